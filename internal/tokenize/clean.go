package tokenize

import (
	"html"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// cleanHuggingFace is the normaliser of CLIP's tokenizer.json: composed characters (NFC), white
// space as single blanks, lower case.
func cleanHuggingFace(text string) string {
	return lowerEach(strings.Join(strings.Fields(norm.NFC.String(text)), " "))
}

// cleanOpenCLIP is what open_clip does to a text before it is cut into words: repair (ftfy), HTML
// entities resolved twice, white space as single blanks, lower case.
func cleanOpenCLIP(text string) string {
	return lowerEach(finalSigmas(strings.Join(strings.Fields(cleanBasic(text)), " ")))
}

// cleanBasic repairs a text and resolves HTML entities twice.
func cleanBasic(text string) string {
	const rounds = 8 // a repair can uncover another; real text needs one or two
	for range rounds {
		before := text
		if !strings.Contains(text, "<") { // else it is taken for HTML, of which "&lt;" is a part
			text = html.UnescapeString(text)
		}
		text = repair(text)
		if text == before {
			break
		}
	}
	return html.UnescapeString(html.UnescapeString(text))
}

// repair undoes what ftfy 6 undoes, as far as text in UTF-8 read as Windows-1252 goes: of the
// encodings that ftfy tries, that is the one met in practice (docs/adr/0019).
func repair(text string) string {
	text = unmixed(withoutEscapes(text))
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\u02bc', r >= '\u2018' && r <= '\u201b':
			b.WriteByte('\'')
		case r >= '\u201c' && r <= '\u201f':
			b.WriteByte('"')
		case r >= 0x80 && r < 0xA0 && r != 0x85: // a C1 control is a byte of Windows-1252
			b.WriteRune(charmap.Windows1252.DecodeByte(byte(r)))
		case r < '\t', r == '\v', r >= 0x0E && r < ' ', r == 0x7F,
			r >= 0x206A && r < 0x2070, r == 0xFEFF, r >= 0xFFF9 && r < 0xFFFD:
			// controls of no meaning for text
		case r == '\u3000', r >= 0xFF01 && r < 0xFFF0: // wide and narrow forms
			b.WriteString(norm.NFKC.String(string(r)))
		default:
			if plain, ok := ligatures[r]; ok {
				b.WriteString(plain)
			} else {
				b.WriteRune(r)
			}
		}
	}
	return norm.NFC.String(b.String())
}

// ligatures are the Latin letters that stand for two or three.
var ligatures = map[rune]string{
	'Ĳ': "IJ", 'ĳ': "ij", 'ŉ': "ʼn", 'Ǆ': "DŽ", 'ǅ': "Dž", 'ǆ': "dž", 'Ǉ': "LJ", 'ǈ': "Lj",
	'ǉ': "lj", 'Ǌ': "NJ", 'ǋ': "Nj", 'ǌ': "nj", 'Ǳ': "DZ", 'ǲ': "Dz", 'ǳ': "dz", 'ﬀ': "ff",
	'ﬁ': "fi", 'ﬂ': "fl", 'ﬃ': "ffi", 'ﬄ': "ffl", 'ﬅ': "ſt", 'ﬆ': "st",
}

// withoutEscapes leaves out the sequences that colour a terminal: ESC [ 1;31 m.
func withoutEscapes(text string) string {
	if !strings.Contains(text, "\x1b[") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if strings.HasPrefix(text[i:], "\x1b[") {
			end := i + 2
			for end < len(text) && (text[end] >= '0' && text[end] <= '9' || text[end] == ';') {
				end++
			}
			if end < len(text) && unicode.IsLetter(rune(text[end])) && text[end] < utf8.RuneSelf {
				i = end
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// unmixed returns what was meant when UTF-8 was read as Windows-1252: all characters exist there,
// and their bytes are UTF-8 of something beyond ASCII ("Ã©", "â€™"). Other texts are returned as they
// are.
func unmixed(text string) string {
	raw := make([]byte, 0, len(text))
	beyond := false
	for _, r := range text {
		b, ok := charmap.Windows1252.EncodeRune(r)
		switch {
		case r >= 0x80 && r < 0xA0: // bytes that Windows-1252 leaves open come as C1 controls
			b = byte(r)
		case !ok:
			return text
		}
		beyond = beyond || b >= utf8.RuneSelf
		raw = append(raw, b)
	}
	if !beyond || !utf8.Valid(raw) {
		return text
	}
	return string(raw)
}

// lowerEach folds case character by character.
func lowerEach(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range text {
		if r == 'İ' { // the one letter whose lower case is two characters
			b.WriteString("i\u0307")
			continue
		}
		b.WriteRune(lower(r))
	}
	return b.String()
}

// finalSigmas writes Σ at the end of a word as ς, as Python's lower does.
func finalSigmas(text string) string {
	if !strings.Contains(text, "Σ") {
		return text
	}
	runes := []rune(text)
	for i, r := range runes {
		if r == 'Σ' && i > 0 && unicode.IsLetter(runes[i-1]) &&
			(i+1 == len(runes) || !unicode.IsLetter(runes[i+1])) {
			runes[i] = 'ς'
		}
	}
	return string(runes)
}
