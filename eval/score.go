package eval

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// Normalise brings an answer to the form in which SQuAD compares answers: lower case, no ASCII
// punctuation, no articles, single blanks. It follows the official scripts to the letter, which
// means Python's idea of lower case, of a word and of a blank.
func Normalise(answer string) string {
	return strings.Join(normalTokens(answer), " ")
}

// normalTokens returns the words of [Normalise].
func normalTokens(answer string) []string {
	var b strings.Builder
	var word []rune // the word being read, held back until it is known not to be an article
	flush := func() {
		if w := string(word); w != "a" && w != "an" && w != "the" {
			b.WriteString(w)
		} else {
			b.WriteByte(' ')
		}
		word = word[:0]
	}
	for _, r := range lower(answer) {
		switch {
		case r < unicode.MaxASCII && unicode.In(r, unicode.P, unicode.S):
			// Dropped before words are formed, so that "a.b" is the one word "ab".
		case r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r):
			word = append(word, r)
		default:
			flush()
			b.WriteRune(r)
		}
	}
	flush()
	return strings.FieldsFunc(b.String(), isBlank)
}

// lower is Python's str.lower, which unlike strings.ToLower knows the final sigma and the dotted
// capital I.
func lower(s string) string {
	if strings.ContainsAny(s, "Σİ") {
		return cases.Lower(language.Und).String(s)
	}
	return strings.ToLower(s)
}

// isBlank is Python's str.isspace for one rune: also the four separators of ASCII.
func isBlank(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// ExactMatch says whether answer equals one of the accepted ones after [Normalise].
// Without accepted answers the empty answer is the right one, as in SQuAD 2.0.
func ExactMatch(answer string, accepted []string) bool {
	got := Normalise(answer)
	if len(accepted) == 0 {
		return got == ""
	}
	for _, a := range accepted {
		if got == Normalise(a) {
			return true
		}
	}
	return false
}

// F1 returns the best overlap in words, from 0 to 1, of answer with one of the accepted ones.
//
//	2·same / (words of answer + words of accepted), same counted with multiplicity
//
// It is 0 when no word is shared, also when both are empty: that is the rule of SQuAD 1.1. Without
// accepted answers it is 1 for the empty answer and 0 otherwise, as in SQuAD 2.0.
func F1(answer string, accepted []string) float64 {
	got := normalTokens(answer)
	if len(accepted) == 0 {
		if len(got) == 0 {
			return 1
		}
		return 0
	}
	best := 0.0
	for _, a := range accepted {
		best = max(best, overlap(got, normalTokens(a)))
	}
	return best
}

func overlap(got, want []string) float64 {
	count := map[string]int{}
	for _, w := range want {
		count[w]++
	}
	same := 0
	for _, w := range got {
		if count[w] > 0 {
			count[w]--
			same++
		}
	}
	if same == 0 {
		return 0
	}
	return 2 * float64(same) / float64(len(got)+len(want))
}

// Scores are the results of questions in order; Exact and F1 run from 0 to 1.
type Scores struct {
	Exact, F1  []float64
	Answerable []bool // whether the question has an answer
	Missing    int    // questions without a prediction
}

func (s *Scores) add(q Question, answer string) {
	accepted := gold(q)
	exact := 0.0
	if ExactMatch(answer, accepted) {
		exact = 1
	}
	s.Exact = append(s.Exact, exact)
	s.F1 = append(s.F1, F1(answer, accepted))
	s.Answerable = append(s.Answerable, len(accepted) > 0)
}

// gold returns the accepted answers that say something. SQuAD 2.0's script drops answers that are
// empty once normalised; SQuAD 1.1 has none such.
func gold(q Question) []string {
	kept := make([]string, 0, len(q.Answers))
	for _, a := range q.Answers {
		if Normalise(a) != "" {
			kept = append(kept, a)
		}
	}
	return kept
}

// Score compares predictions, answers by question id, with a set. The empty string means "no
// answer". A missing prediction counts as wrong in a set where all questions have answers and is
// left out of the means in one with unanswerable questions: both as the official scripts do it.
func Score(d *Dataset, predictions map[string]string) *Scores {
	s := &Scores{}
	skipMissing := d.HasUnanswerable()
	for _, q := range d.Questions {
		answer, ok := predictions[q.ID]
		if !ok {
			s.Missing++
			if skipMissing {
				continue
			}
		}
		s.add(q, answer)
	}
	return s
}

// Metrics returns the means in percent: "exact", "f1", and for sets with unanswerable questions the
// same for either part ("has_answer_f1", "no_answer_f1", …).
func (s *Scores) Metrics() map[string]float64 {
	m := map[string]float64{"exact": percent(mean(s.Exact)), "f1": percent(mean(s.F1))}
	var part [2]struct{ exact, f1 []float64 }
	for i, answerable := range s.Answerable {
		p := &part[0]
		if answerable {
			p = &part[1]
		}
		p.exact, p.f1 = append(p.exact, s.Exact[i]), append(p.f1, s.F1[i])
	}
	for i, name := range []string{"no_answer", "has_answer"} {
		if len(part[0].exact) > 0 && len(part[i].exact) > 0 {
			m[name+"_exact"], m[name+"_f1"] = percent(mean(part[i].exact)), percent(mean(part[i].f1))
		}
	}
	if s.Missing > 0 {
		m["missing"] = float64(s.Missing)
	}
	return m
}

func mean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total / float64(len(values))
}

func percent(share float64) float64 { return 100 * share }
