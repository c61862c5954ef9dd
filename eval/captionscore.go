package eval

import (
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
)

// bleuOrder is the longest n-gram that BLEU and CIDEr count.
const bleuOrder = 4

// captionWords returns the words of a caption: lower case, without marks; what an apostrophe or a dash joins is one.
func captionWords(caption string) []string {
	var words []string
	for _, word := range strings.FieldsFunc(strings.ToLower(caption), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' && r != '-'
	}) {
		if word = strings.Trim(word, "'-"); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// grams counts the n-grams of words, by n - 1.
type grams [bleuOrder]map[string]int

func countGrams(words []string) (g grams) {
	for n := 1; n <= bleuOrder; n++ {
		g[n-1] = map[string]int{}
		for i := range len(words) - n + 1 {
			g[n-1][strings.Join(words[i:i+n], " ")]++
		}
	}
	return g
}

// bleuCounts is what BLEU needs to know of captions and their references, and adds up.
type bleuCounts struct {
	matched, said      [bleuOrder]int // n-grams by n - 1: those found in a reference, at most as often as in any; all
	length, references int            // words of captions; of the references nearest to each in length
}

// countBLEU counts one caption. Of two references as near in length the shorter counts.
func countBLEU(caption []string, references [][]string) (c bleuCounts) {
	c.length = len(caption)
	nearest := -1
	most := grams{}
	for n := range most {
		most[n] = map[string]int{}
	}
	for _, words := range references {
		apart, best := math.Abs(float64(len(words)-c.length)), math.Abs(float64(nearest-c.length))
		if nearest < 0 || apart < best || apart == best && len(words) < nearest {
			nearest = len(words)
		}
		for n, counts := range countGrams(words) {
			for gram, count := range counts {
				most[n][gram] = max(most[n][gram], count)
			}
		}
	}
	c.references = max(nearest, 0)
	for n, counts := range countGrams(caption) {
		for gram, count := range counts {
			c.matched[n] += min(count, most[n][gram])
			c.said[n] += count
		}
	}
	return c
}

func (c *bleuCounts) add(other *bleuCounts) {
	for n := range bleuOrder {
		c.matched[n] += other.matched[n]
		c.said[n] += other.said[n]
	}
	c.length += other.length
	c.references += other.references
}

// scores returns BLEU-1 to BLEU-4 of the corpus, 0…1 (Papineni et al. 2002): the geometric mean of the precisions of up to n
// words, times exp(1 - r/c) where the captions are shorter, c words, than their references, r words. Without smoothing: where no n words
// in a row match, the score is 0.
func (c *bleuCounts) scores() (bleu [bleuOrder]float64) {
	product := 1.0
	for n := range bleuOrder {
		if c.said[n] == 0 || c.matched[n] == 0 {
			return bleu
		}
		product *= float64(c.matched[n]) / float64(c.said[n])
		bleu[n] = math.Pow(product, 1/float64(n+1))
		if c.length < c.references {
			bleu[n] *= math.Exp(1 - float64(c.references)/float64(c.length))
		}
	}
	return bleu
}

// cider scores captions by how much they share with what people say of a photo and not of others (Vedantam et al.,
// arXiv:1411.5726), as its authors' code does by the name of CIDEr-D: counts are cut at the reference's, and other
// lengths are punished.
type cider struct {
	frequency [bleuOrder]map[string]int // of how many photos the references have an n-gram
	photos    int
}

// newCIDEr learns from the references of all photos, [photos][references], which n-grams are common.
func newCIDEr(references [][][]string) *cider {
	c := &cider{photos: len(references)}
	for n := range c.frequency {
		c.frequency[n] = map[string]int{}
	}
	for _, photo := range references {
		seen := grams{}
		for n := range seen {
			seen[n] = map[string]int{}
		}
		for _, words := range photo {
			for n, counts := range countGrams(words) {
				for gram := range counts {
					seen[n][gram] = 1
				}
			}
		}
		for n := range seen {
			for gram := range seen[n] {
				c.frequency[n][gram]++
			}
		}
	}
	return c
}

// weights returns tf·idf of each n-gram, with idf = ln(photos / photos that have it), and their length.
func (c *cider) weights(n int, counts map[string]int) (map[string]float64, float64) {
	weights, squares := make(map[string]float64, len(counts)), 0.0
	for gram, count := range counts {
		w := float64(count) * math.Log(float64(c.photos)/float64(max(1, c.frequency[n][gram])))
		weights[gram] = w
	}
	for _, gram := range slices.Sorted(maps.Keys(weights)) {
		squares += weights[gram] * weights[gram]
	}
	return weights, math.Sqrt(squares)
}

// score returns the score of one caption, 0…10: the mean over n and references of the cosine of their tf·idf weights.
func (c *cider) score(caption []string, references [][]string) float64 {
	const sigma = 6.0 // words
	own, sum := countGrams(caption), 0.0
	for _, words := range references {
		theirs, apart := countGrams(words), float64(len(words)-len(caption))
		penalty := math.Exp(-apart * apart / (2 * sigma * sigma))
		for n := range bleuOrder {
			said, length := c.weights(n, own[n])
			wanted, wantedLength := c.weights(n, theirs[n])
			if length == 0 || wantedLength == 0 {
				continue
			}
			both := 0.0
			for _, gram := range slices.Sorted(maps.Keys(said)) { // in order: sums of floats depend on it
				both += min(said[gram], wanted[gram]) * wanted[gram]
			}
			sum += penalty * both / (length * wantedLength)
		}
	}
	return 10 * sum / float64(bleuOrder*len(references))
}
