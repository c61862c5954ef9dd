package extract

import "context"

func parsePDF(context.Context, []byte, Limits) (*Content, error) {
	return nil, refuse("PDF (not read yet)")
}
