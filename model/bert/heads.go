package bert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// head is a linear map of hidden rows to two logits.
type head struct {
	weight []float32 // [2, d]
	bias   []float32 // [2]
}

// logits returns the two logits of a hidden row.
func (h *head) logits(row []float32) (first, second float32) {
	a, b := float64(h.bias[0]), float64(h.bias[1])
	w, v := h.weight[:len(row)], h.weight[len(row):][:len(row)]
	for c, x := range row {
		a += float64(w[c]) * float64(x)
		b += float64(v[c]) * float64(x)
	}
	return float32(a), float32(b)
}

// QAHead scores every token as the start and as the end of the answer.
type QAHead struct{ span head }

// QA returns the head of a …ForQuestionAnswering model, or nil.
func (m *Model) QA() *QAHead { return m.qa }

// Logits returns the start and end logits of all rows, [M] each.
func (q *QAHead) Logits(h *Hidden) (start, end []float32) { return q.span.all(h) }

func (h *head) all(hidden *Hidden) (first, second []float32) {
	m := hidden.Sequences.Rows()
	first, second = make([]float32, m), make([]float32, m)
	for i := range m {
		first[i], second[i] = h.logits(hidden.Rows[i*hidden.Width:][:hidden.Width])
	}
	return first, second
}

// JointHead is the head of evident's joint reader: spans on every token, and of the pair as a
// whole its relevance and its answerability.
type JointHead struct {
	span, pair head
	settings   json.RawMessage
}

// JointLogits are the joint reader's outputs.
type JointLogits struct {
	Start, End    []float32 // [M]: a row a token
	Relevance     []float32 // [inputs]: the passage is about the question
	Answerability []float32 // [inputs]: the passage holds the answer
}

// Joint returns the head of a joint reader, or nil.
func (m *Model) Joint() *JointHead { return m.joint }

// Settings returns the folder's reader.json, or nil when it has none.
func (j *JointHead) Settings() json.RawMessage { return j.settings }

// Logits returns what the head makes of all inputs, none of which may be empty.
func (j *JointHead) Logits(h *Hidden) *JointLogits {
	n := len(h.Sequences) - 1
	l := &JointLogits{Relevance: make([]float32, n), Answerability: make([]float32, n)}
	l.Start, l.End = j.span.all(h)
	for i := range n {
		l.Relevance[i], l.Answerability[i] = j.pair.logits(h.Row(i, 0))
	}
	return l
}

// loadHeads reads the heads that the architecture names.
func (m *Model) loadHeads(r *reader, folder fs.FS) error {
	r.prefix = "" // heads lie beside the encoder
	switch {
	case strings.HasSuffix(m.config.architecture, "ForQuestionAnswering"):
		m.qa = &QAHead{r.head("qa_outputs", m.config.Width)}
	case m.config.architecture == jointArchitecture:
		m.joint = &JointHead{span: r.head("span", m.config.Width), pair: r.head("pair", m.config.Width)}
		data, err := fs.ReadFile(folder, "reader.json")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read model: %w", err)
		}
		if err == nil && !json.Valid(data) {
			return fmt.Errorf("read reader.json: it is not JSON")
		}
		m.joint.settings = data
	case m.config.architecture == phraseArchitecture:
		m.phrase = r.phraseHead(m, folder)
	}
	return r.err
}

func (r *reader) head(name string, d int) head {
	return head{r.tensor(name+".weight", 2, d), r.tensor(name+".bias", 2)}
}
