package nn

import (
	"fmt"
	"math"
)

// QueryAttention is the attention of one constant query to tokens X [N, D], of which pools are made that attend
// (Lee et al., arXiv:1810.00825):
//
//	A_h = softmax(q_h·K_hᵀ/√size)      [h, N]    K = X·Wkᵀ + bk, V = X·Wvᵀ + bv    [N, E]
//	y   = Wo·concat_h(A_h·V_h) + bo    [E]
//
// Neither K nor V is made. The query is known beforehand, so the scores are X·(Wk_hᵀ·q_h) but for what all
// tokens share, which softmax does not see; and weights sum to 1, so A_h·V_h is Wv_h·(A_h·X) + bv_h.
type QueryAttention struct {
	In, Size, Heads int // D, E, h

	scores     *Linear   // [h, D] Wk_hᵀ·q_h/√size
	values     []float32 // [E, D]
	valuesBias []float32 // [E]
	folds      []*Linear // of each head Wv_hᵀ [D, E/h]
	out, back  *Linear   // Wo and Woᵀ [E, E]
}

// QueryParts is what a checkpoint has of a [QueryAttention].
type QueryParts struct {
	In, Size, Heads    int
	Query              []float32 // [E] as it enters attention, Wq and bq applied
	Keys               []float32 // [E, D]; their bias changes nothing
	Values, ValuesBias []float32 // [E, D], [E]
	Out, OutBias       []float32 // [E, E], [E]
}

// NewQueryAttention prepares a query's attention, in float32.
func NewQueryAttention(p QueryParts) *QueryAttention {
	d, e := p.In, p.Size
	if p.Heads <= 0 || e%p.Heads != 0 || len(p.Query) != e || len(p.Keys) != e*d || len(p.Values) != e*d ||
		len(p.ValuesBias) != e || len(p.Out) != e*e || len(p.OutBias) != e {
		panic(fmt.Sprintf("nn: the parts of a query's attention do not fit %d heads, %d and %d", p.Heads, d, e))
	}
	size := e / p.Heads
	a := &QueryAttention{
		In: d, Size: e, Heads: p.Heads, values: p.Values, valuesBias: p.ValuesBias,
		out: NewLinear(p.Out, p.OutBias, e, e, FP32), back: NewLinear(transposed(p.Out, e, e), nil, e, e, FP32),
	}
	scale, rows := 1/math.Sqrt(float64(size)), make([]float32, p.Heads*d)
	for h := range p.Heads {
		sums := make([]float64, d)
		for i := h * size; i < (h+1)*size; i++ {
			q := float64(p.Query[i]) * scale
			for c, k := range p.Keys[i*d:][:d] {
				sums[c] += q * float64(k)
			}
		}
		for c, v := range sums {
			rows[h*d+c] = float32(v)
		}
		a.folds = append(a.folds, NewLinear(transposed(p.Values[h*size*d:][:size*d], size, d), nil, size, d, FP32))
	}
	a.scores = NewLinear(rows, nil, d, p.Heads, FP32)
	return a
}

// Forward returns y [E] of tokens [N, D].
func (a *QueryAttention) Forward(tokens []float32) []float32 {
	d, heads, size := a.In, a.Heads, a.Size/a.Heads
	n := len(tokens) / d
	scores := make([]float32, n*heads)
	a.scores.Forward(scores, tokens, n)
	mixed := make([]float32, a.Size) // concat_h(A_h·V_h)
	for h := range heads {
		pooled := a.mean(tokens, scores, h)
		for i := h * size; i < (h+1)*size; i++ {
			sum := float64(a.valuesBias[i])
			for c, v := range a.values[i*d:][:d] {
				sum += float64(v) * pooled[c]
			}
			mixed[i] = float32(sum)
		}
	}
	y := make([]float32, a.Size)
	a.out.Forward(y, mixed, 1)
	return y
}

// mean returns the mean of tokens [D] by the weights that a head's scores [N, h] become.
func (a *QueryAttention) mean(tokens, scores []float32, head int) []float64 {
	highest := float32(math.Inf(-1))
	for i := head; i < len(scores); i += a.Heads {
		highest = max(highest, scores[i])
	}
	pooled, sum := make([]float64, a.In), 0.0
	for at, i := 0, head; i < len(scores); at, i = at+a.In, i+a.Heads {
		weight := math.Exp(float64(scores[i] - highest))
		sum += weight
		for c, v := range tokens[at:][:a.In] {
			pooled[c] += weight * float64(v)
		}
	}
	for c := range pooled {
		pooled[c] /= sum
	}
	return pooled
}

// textsTogether bounds the gradients that go through one product, and with them its memory.
const textsTogether = 64

// Relevance writes for each of several gradients ∂s/∂y [T, E] what the attention to each token is worth,
// LeGrad's map before the scaling:
//
//	relevance[t, n] = 1/h · Σ_h max(0, q_h·V_h[n]),  q = Woᵀ·∂s/∂y          [T, N]
//
// V is not made here either: q_h·V_h[n] = (Wv_hᵀ·q_h)·x_n + q_h·bv_h.
func (a *QueryAttention) Relevance(tokens, gradients, relevance []float32) {
	n, count := len(tokens)/a.In, len(gradients)/a.Size
	if len(gradients) != count*a.Size || len(relevance) != count*n {
		panic(fmt.Sprintf("nn: %d values of gradient and %d of relevance do not fit width %d and %d tokens",
			len(gradients), len(relevance), a.Size, n))
	}
	for first := 0; first < count; first += textsTogether {
		last := min(count, first+textsTogether)
		a.relevance(tokens, gradients[first*a.Size:last*a.Size], relevance[first*n:last*n])
	}
}

func (a *QueryAttention) relevance(tokens, gradients, relevance []float32) {
	n, count, heads := len(tokens)/a.In, len(gradients)/a.Size, a.Heads
	slopes := a.slopes(tokens, gradients)
	for token := range n {
		at := slopes[token*heads*count:][:heads*count]
		for t := range count {
			sum := float32(0)
			for h := range heads {
				sum += max(0, at[h*count+t])
			}
			relevance[t*n+token] = sum / float32(heads)
		}
	}
}

// Slopes writes for each of several gradients ∂s/∂y [T, E] the gradient at each head's attention to each token,
// ∂s/∂A [T, N, h], before anything is clipped. It is linear in the gradients.
func (a *QueryAttention) Slopes(tokens, gradients, slopes []float32) {
	n, count, heads := len(tokens)/a.In, len(gradients)/a.Size, a.Heads
	if len(gradients) != count*a.Size || len(slopes) != count*n*heads {
		panic(fmt.Sprintf("nn: %d values of gradient and %d of slopes do not fit width %d, %d tokens and %d heads",
			len(gradients), len(slopes), a.Size, n, heads))
	}
	for first := 0; first < count; first += textsTogether {
		part := min(textsTogether, count-first)
		some := a.slopes(tokens, gradients[first*a.Size:(first+part)*a.Size])
		for i, v := range some {
			slopes[(first+i%part)*n*heads+i/part] = v
		}
	}
}

// slopes returns ∂s/∂A [N, h, T].
func (a *QueryAttention) slopes(tokens, gradients []float32) []float32 {
	d, heads, size := a.In, a.Heads, a.Size/a.Heads
	n, count := len(tokens)/d, len(gradients)/a.Size
	q := make([]float32, count*a.Size)
	a.back.Forward(q, gradients, count)
	// A row of the folded product for each head and text, the texts of a head together.
	rows, bias := make([]float32, heads*count*d), make([]float32, heads*count)
	part := make([]float32, count*size)
	for h := range heads {
		for t := range count {
			of := q[t*a.Size+h*size:][:size]
			copy(part[t*size:], of)
			for i, v := range of {
				bias[h*count+t] += v * a.valuesBias[h*size+i]
			}
		}
		a.folds[h].Forward(rows[h*count*d:][:count*d], part, count)
	}
	slopes := make([]float32, n*heads*count)
	NewLinear(rows, bias, d, heads*count, FP32).Forward(slopes, tokens, n)
	return slopes
}
