package api

// Answer is what the documents say to a question.
type Answer struct {
	Question  string             `json:"question"`
	Engine    string             `json:"engine" doc:"the method that answered: mix, phrase, or auto for both"`
	Answers   []Candidate        `json:"answers" doc:"most probable first; empty after abstaining"`
	Abstained bool               `json:"abstained" doc:"the documents do not answer; this is a result"`
	Reason    string             `json:"reason,omitempty" doc:"why it abstained"`
	Nearest   []Hit              `json:"nearest,omitempty" doc:"after abstaining: what to read instead"`
	TookMS    map[string]float64 `json:"took_ms" doc:"milliseconds by stage, and total"`
	Uncovered int                `json:"uncovered,omitempty" doc:"documents without phrases, which phrases cannot find"`
}

// Candidate is one distinct answer.
type Candidate struct {
	Text     string     `json:"text"`
	Score    float64    `json:"score" doc:"probability that the answer is right, calibrated"`
	Evidence Evidence   `json:"evidence"`
	Also     []Evidence `json:"also,omitempty" doc:"further places that say the same"`
	Why      Why        `json:"why"`
}

// Evidence is a quotation and where it stands.
type Evidence struct {
	Source Source    `json:"source"`
	Text   Quotation `json:"text"`
	By     []string  `json:"by,omitempty" doc:"what found it, where several engines are at work: bm25, phrase, reader"`
}

// Source is the document a quotation is taken from.
type Source struct {
	ID     string `json:"id,omitempty" doc:"names the document in paths of the server"`
	Path   string `json:"path"`
	SHA256 string `json:"sha256" doc:"of the stored text that offsets count in"`
	Title  string `json:"title,omitempty"`
	Stale  bool   `json:"stale,omitempty" doc:"the file changed since it was indexed"`
}

// Quotation is a run of the stored text. Spans are half-open: stored[Byte[0]:Byte[1]] == Exact.
type Quotation struct {
	Exact   string `json:"exact"`
	Prefix  string `json:"prefix" doc:"the sentence before it, shortened"`
	Suffix  string `json:"suffix" doc:"the sentence after it, shortened"`
	Byte    [2]int `json:"byte" doc:"start and end in bytes of the stored text"`
	Rune    [2]int `json:"rune" doc:"the same in Unicode code points"`
	Page    int    `json:"page,omitempty" doc:"from 1; absent when the format has no pages"`
	Heading string `json:"heading,omitempty"`
}

// Why explains a number by the numbers it was made of.
type Why struct {
	Label   string  `json:"label"`
	Value   float64 `json:"value"`
	Details []Why   `json:"details,omitempty"`
}

// Hit is a passage that matches a query.
type Hit struct {
	ID      string     `json:"id,omitempty" doc:"names the document in paths of the server"`
	Path    string     `json:"path"`
	Score   float64    `json:"score"`
	Passage HitPassage `json:"passage"`
	Why     *Why       `json:"why,omitempty"`
}

// HitPassage is the text of a hit and where it stands in the stored text.
type HitPassage struct {
	Byte    [2]int `json:"byte" doc:"start and end in bytes of the stored text"`
	Text    string `json:"text"`
	Page    int    `json:"page,omitempty"`
	Heading string `json:"heading,omitempty"`
}

// ImageHit is a picture that was found.
type ImageHit struct {
	ID    string   `json:"id,omitempty" doc:"names the picture in paths of the server"`
	Path  string   `json:"path"`
	Score float64  `json:"score" doc:"cosine of the vectors"`
	Image HitImage `json:"image"`
	Stale bool     `json:"stale,omitempty" doc:"the file changed since it was indexed"`
}

// HitImage is what is known of a picture.
type HitImage struct {
	Width  int    `json:"width"`
	Height int    `json:"height"`
	Format string `json:"format"`
}

// Skipped is a file that could not be read, and why.
type Skipped struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// DocumentHeading is a heading and where it begins in the stored text.
type DocumentHeading struct {
	Byte  int    `json:"byte"`
	Level int    `json:"level"`
	Text  string `json:"text"`
}
