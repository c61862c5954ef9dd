package extract

import "context"

func parsePDF(context.Context, []byte, Limits) (*Content, error) {
	return nil, refuse("PDF (not read yet)")
}

func parseDOCX(context.Context, []byte, Limits) (*Content, error) {
	return nil, refuse("docx (not read yet)")
}

func parseEPUB(context.Context, []byte, Limits) (*Content, error) {
	return nil, refuse("epub (not read yet)")
}

func parseCSV(context.Context, string, Limits) (*Content, error) {
	return nil, refuse("csv (not read yet)")
}

func parseJSONL(context.Context, string, Limits) (*Content, error) {
	return nil, refuse("jsonl (not read yet)")
}

func sniffZip([]byte) (string, error) { return "", refuse(reasonArchive) }
func delimiter(string) byte           { return 0 }
func isJSONLines(string) bool         { return false }
