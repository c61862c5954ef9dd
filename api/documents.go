package api

// DocumentInfo is what a list of documents says of one.
type DocumentInfo struct {
	ID     string    `json:"id" doc:"names the document in paths"`
	Path   string    `json:"path"`
	Title  string    `json:"title,omitempty"`
	Format string    `json:"format" doc:"txt, md, html, pdf, docx, epub, csv, jsonl, or image/… of pictures"`
	SHA256 string    `json:"sha256,omitempty" doc:"of the stored text"`
	Bytes  int       `json:"bytes" doc:"of the stored text"`
	Image  *HitImage `json:"image,omitempty" doc:"of a picture"`
}

// DocumentQuery narrows and pages a list of documents.
type DocumentQuery struct {
	Match  string `json:"match,omitempty" doc:"only paths that hold these letters" max:"300"`
	Kind   string `json:"kind,omitempty" enum:"text,image" doc:"only texts or only pictures"`
	Limit  int    `json:"limit,omitempty" doc:"documents a page; 50 by default" min:"1" max:"500"`
	Cursor string `json:"cursor,omitempty" doc:"of the page before" max:"100"`
}

// DocumentList is a page of documents, in the order of their paths.
type DocumentList struct {
	Documents []DocumentInfo `json:"documents"`
	Total     int            `json:"total" doc:"documents that match"`
	Next      string         `json:"next,omitempty" doc:"cursor of the next page"`
}

// Document is a document as it is stored; its text is at the path Text.
type Document struct {
	Source   Source            `json:"source"`
	Format   string            `json:"format"`
	Bytes    int               `json:"bytes" doc:"of the stored text"`
	Pages    int               `json:"pages,omitempty"`
	Passages int               `json:"passages"`
	Headings []DocumentHeading `json:"headings,omitempty"`
	Image    *HitImage         `json:"image,omitempty" doc:"of a picture"`
	Starts   []int             `json:"page_starts,omitempty" doc:"bytes of the stored text at which pages begin"`
}

// SpanQuery names bytes of a stored text.
type SpanQuery struct {
	Start int `json:"start,omitempty" doc:"first byte; 0 by default" min:"0" max:"1000000000000"`
	End   int `json:"end" doc:"byte after the last" min:"1" max:"1000000000000"`
}

// PageMarks are the boxes on a page's image that hold the bytes of a span.
type PageMarks struct {
	Page  int       `json:"page"`
	Boxes []PageBox `json:"boxes" doc:"one a line; empty when the span is not on this page"`
}

// PageBox is a rectangle on a page, as shares of its width and height from the upper left corner.
type PageBox struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// Index is what an index holds.
type Index struct {
	Name       string    `json:"name"`
	Documents  int       `json:"documents"`
	Passages   int       `json:"passages"`
	Images     int       `json:"images"`
	Bytes      int64     `json:"bytes" doc:"on disk"`
	Generation int       `json:"generation" doc:"grows with every change"`
	Phrases    int       `json:"phrases" doc:"that the engine phrase finds answers among; 0 where there are none"`
	Roots      []string  `json:"roots" doc:"files and folders that were indexed"`
	Skipped    []Skipped `json:"skipped"`
}

// IndexList is all indexes of the server; the first is the default.
type IndexList struct {
	Indexes []Index `json:"indexes"`
}
