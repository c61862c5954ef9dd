package api

// JobRequest starts work that goes on after the answer.
type JobRequest struct {
	Kind  string   `json:"kind" enum:"index" doc:"index: read what is new and changed"`
	Index string   `json:"index,omitempty" doc:"name of the index; the first one by default"`
	Paths []string `json:"paths,omitempty" doc:"files and folders; those indexed before by default" max:"100" each:"1,4096"`

	Phrases bool `json:"phrases,omitempty" doc:"make phrases too, for the engine phrase; done anyway where there are some"`
}

// Job is a piece of work.
type Job struct {
	ID       string       `json:"id"`
	Kind     string       `json:"kind" enum:"index,snapshot,evaluation,model"`
	Index    string       `json:"index"`
	Paths    []string     `json:"paths" doc:"of a job that indexes"`
	Subject  string       `json:"subject,omitempty" doc:"of others: the model, or the task and the set"`
	State    string       `json:"state" enum:"waiting,running,done,failed,cancelled"`
	Progress Progress     `json:"progress"`
	Result   *IndexReport `json:"result,omitempty" doc:"of indexing that is done or was cancelled"`
	Error    *Problem     `json:"error,omitempty" doc:"of a job that failed"`
	Created  string       `json:"created" doc:"time, RFC 3339"`
	Ended    string       `json:"ended,omitempty" doc:"time, RFC 3339"`

	Snapshot   *Snapshot     `json:"snapshot,omitempty" doc:"that was made"`
	Evaluation *Evaluation   `json:"evaluation,omitempty" doc:"what was measured"`
	Model      *FetchedModel `json:"model,omitempty" doc:"that was fetched"`
}

// Over says whether the job's state will not change any more.
func (j *Job) Over() bool {
	return j.State == "done" || j.State == "failed" || j.State == "cancelled"
}

// Progress says how far a job is.
type Progress struct {
	Done        int     `json:"done" doc:"units"`
	Total       int     `json:"total" doc:"units; 0 until it is known"`
	Unit        string  `json:"unit" enum:"files,passages,questions,photos,MB"`
	Skipped     int     `json:"skipped" doc:"files"`
	SecondsLeft float64 `json:"seconds_left,omitempty" doc:"estimated; absent until it can be"`
}

// IndexReport says what indexing did.
type IndexReport struct {
	Documents int       `json:"documents" doc:"in the index now"`
	Passages  int       `json:"passages" doc:"in the index now"`
	Images    int       `json:"images" doc:"in the index now"`
	Added     int       `json:"added"`
	Changed   int       `json:"changed"`
	Unchanged int       `json:"unchanged"`
	Removed   int       `json:"removed"`
	Skipped   []Skipped `json:"skipped"`
	Seconds   float64   `json:"seconds"`
	Phrases   int       `json:"phrases,omitempty" doc:"passages of which phrases were made"`
}

// JobList is the jobs that the server remembers, newest first.
type JobList struct {
	Jobs []Job `json:"jobs"`
}
