package api

// EvaluationRequest measures answers or maps on a set that the server was started with.
type EvaluationRequest struct {
	Task   string `json:"task" enum:"ask,squad,pointing,segmentation,region-retrieval,image-retrieval" doc:"ask: questions asked of the index; squad: read from their paragraphs; the others: on photos"`
	Set    string `json:"set" doc:"name of a set" min:"1" max:"200"`
	Index  string `json:"index,omitempty" doc:"that is asked, or whose models are; the first one by default"`
	Engine string `json:"engine,omitempty" enum:"auto,mix,phrase" doc:"of the task ask; auto by default"`
	Limit  int    `json:"limit,omitempty" doc:"at most so many questions or photos, drawn at random; all by default" min:"1" max:"1000000"`
	Seed   int    `json:"seed,omitempty" doc:"of the draw and of the intervals; 1 by default" min:"0" max:"1000000000"`
}

// EvaluationSet is a set that can be measured on.
type EvaluationSet struct {
	Name  string   `json:"name"`
	Items string   `json:"items" enum:"questions,photos"`
	Count int      `json:"count"`
	Tasks []string `json:"tasks" doc:"what can be measured on it"`
}

// Evaluation is what was measured.
type Evaluation struct {
	ID      string            `json:"id"`
	Request EvaluationRequest `json:"request"`
	Model   string            `json:"model" doc:"that was judged"`
	Ended   string            `json:"ended" doc:"time, RFC 3339"`
	Report  EvaluationReport  `json:"report"`
}

// EvaluationReport is figures: percentages, unless their names say otherwise.
type EvaluationReport struct {
	N         int                           `json:"n" doc:"items judged"`
	Unit      string                        `json:"unit" doc:"what n counts"`
	Metrics   map[string]float64            `json:"metrics"`
	Intervals map[string][2]float64         `json:"intervals" doc:"95 %, of some metrics"`
	Baselines map[string]map[string]float64 `json:"baselines" doc:"the same metrics of what it is compared with"`
	Seconds   float64                       `json:"seconds"`
}

// EvaluationList is the sets and what was measured on them, newest first.
type EvaluationList struct {
	Sets        []EvaluationSet `json:"sets"`
	Evaluations []Evaluation    `json:"evaluations"`
}

// EvaluationItem is a question of an evaluation and how its answer was judged.
type EvaluationItem struct {
	ID          string   `json:"id"`
	Question    string   `json:"question"`
	Answers     []string `json:"answers" doc:"accepted; none where there is no answer to find"`
	Said        string   `json:"said" doc:"empty where it abstained"`
	Probability float64  `json:"probability" doc:"that what was found is right"`
	Exact       float64  `json:"exact" doc:"1 where it is an accepted answer"`
	F1          float64  `json:"f1" doc:"0 to 1: overlap of words with the nearest accepted answer"`
}

// EvaluationItemQuery narrows and pages the items of an evaluation.
type EvaluationItemQuery struct {
	Wrong  bool   `json:"wrong,omitempty" doc:"only those that are not exactly right"`
	Limit  int    `json:"limit,omitempty" doc:"items a page; 50 by default" min:"1" max:"500"`
	Cursor string `json:"cursor,omitempty" doc:"of the page before" max:"100"`
}

// EvaluationItemList is a page of items; those of photos are not kept.
type EvaluationItemList struct {
	Items []EvaluationItem `json:"items"`
	Total int              `json:"total" doc:"items that fit"`
	Next  string           `json:"next,omitempty" doc:"cursor of the next page"`
}

// EvaluationComparisonQuery names the evaluation to compare with.
type EvaluationComparisonQuery struct {
	With string `json:"with" doc:"id of another evaluation of the same set" min:"1" max:"64"`
}

// EvaluationComparison is how one evaluation differs from another: items first, then totals.
type EvaluationComparison struct {
	Items   []EvaluationChange `json:"items" doc:"questions that are answered better or worse, the largest changes first; at most 500"`
	Better  int                `json:"better" doc:"questions"`
	Worse   int                `json:"worse" doc:"questions"`
	Same    int                `json:"same" doc:"questions"`
	Metrics []MetricChange     `json:"metrics"`
}

// EvaluationChange is a question that two evaluations judge differently.
type EvaluationChange struct {
	Item EvaluationItem `json:"item" doc:"of this evaluation"`
	Was  EvaluationItem `json:"was" doc:"of the one compared with"`
}

// MetricChange is a figure of two evaluations.
type MetricChange struct {
	Name     string      `json:"name"`
	Value    float64     `json:"value"`
	Was      float64     `json:"was"`
	Interval *[2]float64 `json:"interval,omitempty" doc:"95 % of the difference, on the items of both; where both have items"`
}
