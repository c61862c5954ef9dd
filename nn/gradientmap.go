package nn

import (
	"context"
	"fmt"

	"evident/internal/kernel"
)

// AttentionGradient writes for one gradient g [d] at the block's output, the same at every token, what
// [BlockGradient.Relevance] sums: ∂s/∂A [h, n, n], a row a query, positive and negative.
func (g *BlockGradient) AttentionGradient(ctx context.Context, p *Point, gradient, dst []float32) error {
	d, n, size := g.Width, p.Tokens, g.Width/g.Heads
	if len(gradient) != d || len(dst) != g.Heads*n*n {
		panic(fmt.Sprintf("nn: %d values of gradient and %d of its map do not fit width %d, %d heads and %d tokens",
			len(gradient), len(dst), d, g.Heads, n))
	}
	w := newWorkspace(ctx, g.fold.set, g.Threads)
	defer w.release()
	ld := paddedColumns(g.Wide)
	lowered, direct := make([]float32, ld), make([]float32, d)
	g.down.multiply(w, output{matrix: matrix{f32: lowered, ld: ld}}, matrix{f32: gradient, ld: d}, 1)
	g.out.multiply(w, output{matrix: matrix{f32: direct, ld: d}}, matrix{f32: gradient, ld: d}, 1)
	q := g.attention(w, p, lowered, direct)
	w.do(g.Heads, 2*float64(n)*float64(n)*float64(d), func(_, head int) {
		for i := range n {
			row := q.f32[i*q.ld+head*size:][:size]
			for j := range n {
				dst[(head*n+i)*n+j] = p.alongValue(row, head, j)
			}
		}
	})
	return ctx.Err()
}

// alongValue returns x · V of a head and token.
func (p *Point) alongValue(x []float32, head, token int) float32 {
	size, padded := len(x), paddedColumns(p.Tokens)
	at := (head*padded + token/kernel.Columns*kernel.Columns) * size
	lane, sum := token%kernel.Columns, float32(0)
	if p.f32 != nil {
		for c, v := range x {
			sum += v * p.f32[at+c*kernel.Columns+lane]
		}
		return sum
	}
	pair := [1]float32{}
	for c, v := range x {
		fromBF16(pair[:], p.bf16[at+(c/2*kernel.Columns+lane)*2+c%2:][:1])
		sum += v * pair[0]
	}
	return sum
}
