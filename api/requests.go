package api

// AskRequest is a question.
type AskRequest struct {
	Question  string  `json:"question" doc:"one sentence, at most 200 words" min:"1" max:"4000"`
	Index     string  `json:"index,omitempty" doc:"name of the index; the first one by default"`
	Top       int     `json:"top,omitempty" doc:"distinct answers; 3 by default" min:"1" max:"20"`
	Passages  int     `json:"passages,omitempty" doc:"passages read; 20 by default" min:"1" max:"100"`
	Engine    string  `json:"engine,omitempty" enum:"auto,mix,phrase" doc:"the method that answers; auto by default: both where there are phrases"`
	Threshold float64 `json:"threshold,omitempty" doc:"abstain below this probability; below 0 never" min:"-1" max:"1"`
}

// SearchRequest looks for passages that share a query's words.
type SearchRequest struct {
	Query   string `json:"query" doc:"some words" min:"1" max:"4000"`
	Index   string `json:"index,omitempty" doc:"name of the index; the first one by default"`
	Top     int    `json:"top,omitempty" doc:"hits; 10 by default" min:"1" max:"100"`
	Explain bool   `json:"explain,omitempty" doc:"say how each score was made"`
}

// SearchResult is the passages that were found, best first.
type SearchResult struct {
	Query  string             `json:"query"`
	Hits   []Hit              `json:"hits"`
	TookMS map[string]float64 `json:"took_ms" doc:"milliseconds by stage, and total"`
}

// ImageSearchRequest looks for pictures: those that show what a text says, or those like a picture.
// Exactly one of Query, Like and an uploaded file "image" is given.
type ImageSearchRequest struct {
	Query string `json:"query,omitempty" doc:"what the picture shows" max:"1000"`
	Like  string `json:"like,omitempty" doc:"id of a picture of the index" max:"64"`
	Index string `json:"index,omitempty" doc:"name of the index; the first one by default"`
	Top   int    `json:"top,omitempty" doc:"hits; 24 by default" min:"1" max:"200"`
}

// ImageSearchResult is the pictures that were found, best first.
type ImageSearchResult struct {
	Query  string             `json:"query,omitempty"`
	Like   string             `json:"like,omitempty"`
	Hits   []ImageHit         `json:"hits"`
	TookMS map[string]float64 `json:"took_ms" doc:"milliseconds by stage, and total"`
}

// ExplainRequest asks where in a picture texts are seen. The picture is one of the index, or an
// uploaded file "image".
type ExplainRequest struct {
	Image string   `json:"image,omitempty" doc:"id of a picture of the index" max:"64"`
	Texts []string `json:"texts" doc:"what to look for" min:"1" max:"16" each:"1,300"`
	Index string   `json:"index,omitempty" doc:"name of the index; the first one by default"`
	Each  bool     `json:"each,omitempty" doc:"scale each map by itself instead of all by one scale"`
}

// Explanation is where in a picture texts are seen.
type Explanation struct {
	ID     string             `json:"id" doc:"names the explanation in paths while it is kept"`
	Model  string             `json:"model"`
	Image  string             `json:"image,omitempty" doc:"id of the picture, when it is of the index"`
	Path   string             `json:"path,omitempty"`
	Width  int                `json:"width" doc:"of the picture, in pixels"`
	Height int                `json:"height"`
	Maps   []TextMap          `json:"maps"`
	Notes  []string           `json:"notes,omitempty"`
	TookMS map[string]float64 `json:"took_ms" doc:"milliseconds by stage, and total"`
}

// TextMap is one text's map.
type TextMap struct {
	Text       string  `json:"text"`
	Similarity float64 `json:"similarity" doc:"cosine of picture and text; of a classifier the class's probability"`
	Presence   float64 `json:"presence" doc:"0 to 1: how surely the text is seen at all"`
	Peak       [2]int  `json:"peak" doc:"x, y of the strongest pixel"`
	Min        float64 `json:"min" doc:"of the raw map"`
	Max        float64 `json:"max" doc:"of the raw map"`
	Words      string  `json:"words" doc:"the map in a sentence"`
	Cut        bool    `json:"cut,omitempty" doc:"the text was longer than the model reads"`
	Heat       string  `json:"heat" doc:"path of the map as grey PNG, on the scale that all texts share"`
	Raw        string  `json:"raw" doc:"path of the map as computed: NumPy float32 [height, width]"`
}

// OverlayQuery says how an overlay is drawn.
type OverlayQuery struct {
	Layout  string  `json:"layout,omitempty" enum:"overlay,contour,side,heat" doc:"overlay by default"`
	Palette string  `json:"palette,omitempty" enum:"even,jet" doc:"even by default"`
	Opacity float64 `json:"opacity,omitempty" min:"0.05" max:"1" doc:"of the map where it is hottest; 0.75 by default"`
	Bare    bool    `json:"bare,omitempty" doc:"no titles and no scale"`
	Side    int     `json:"side,omitempty" min:"64" max:"2048" doc:"longest side of a tile, in pixels"`
}

// EmbeddingRequest asks for vectors of texts, or of a picture: one of the index, or an uploaded file
// "image".
type EmbeddingRequest struct {
	Texts []string `json:"texts,omitempty" doc:"texts that may describe pictures" max:"256" each:"1,1000"`
	Image string   `json:"image,omitempty" doc:"id of a picture of the index" max:"64"`
	Index string   `json:"index,omitempty" doc:"name of the index; the first one by default"`
}

// EmbeddingResult is vectors of length 1; texts and pictures of one model compare.
type EmbeddingResult struct {
	Model   string      `json:"model"`
	Vectors [][]float32 `json:"vectors"`
}
