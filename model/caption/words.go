package caption

import "strings"

// text joins word pieces to a text: "##" continues a word, and marks stand as one writes them.
func (d *Decoder) text(ids []int) string {
	var b strings.Builder
	glue := true
	for _, id := range ids {
		piece, continues := strings.CutPrefix(d.pieces[id], "##")
		if !glue && !continues && !strings.Contains(".,;:!?)'-", piece) {
			b.WriteByte(' ')
		}
		b.WriteString(piece)
		glue = piece == "(" || piece == "'" || piece == "-"
	}
	return b.String()
}
