package api

// JobRequest starts work that goes on after the answer.
type JobRequest struct {
	Kind  string   `json:"kind" enum:"index" doc:"index: read what is new and changed"`
	Index string   `json:"index,omitempty" doc:"name of the index; the first one by default"`
	Paths []string `json:"paths,omitempty" doc:"files and folders; those indexed before by default" max:"100" each:"1,4096"`
}

// Job is a piece of work.
type Job struct {
	ID       string       `json:"id"`
	Kind     string       `json:"kind" enum:"index"`
	Index    string       `json:"index"`
	Paths    []string     `json:"paths"`
	State    string       `json:"state" enum:"waiting,running,done,failed,cancelled"`
	Progress Progress     `json:"progress"`
	Result   *IndexReport `json:"result,omitempty" doc:"of a job that is done or was cancelled"`
	Error    *Problem     `json:"error,omitempty" doc:"of a job that failed"`
	Created  string       `json:"created" doc:"time, RFC 3339"`
	Ended    string       `json:"ended,omitempty" doc:"time, RFC 3339"`
}

// Over says whether the job's state will not change any more.
func (j *Job) Over() bool {
	return j.State == "done" || j.State == "failed" || j.State == "cancelled"
}

// Progress says how far a job is.
type Progress struct {
	Done        int     `json:"done" doc:"files"`
	Total       int     `json:"total" doc:"files"`
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
}

// JobList is the jobs that the server remembers, newest first.
type JobList struct {
	Jobs []Job `json:"jobs"`
}
