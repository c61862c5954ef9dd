package evident

import (
	"context"
	"fmt"
	"iter"

	"evident/document"
)

// readJob is one file on its way into the index.
type readJob struct {
	file     plannedFile
	done     chan struct{} // closed when the fields below are set
	document *document.Document
	passages []document.Passage
	err      error // a *document.SkipError, or ctx's
}

// readFiles reads files with several workers and yields them in the order given, so that an index
// does not depend on which worker was faster. It ends early when ctx does.
func readFiles(ctx context.Context, files []plannedFile, o AddOptions) iter.Seq[*readJob] {
	return func(yield func(*readJob) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		queue := make(chan *readJob)
		order := make(chan *readJob, 4*o.Workers) // bounds how far reading runs ahead
		go func() {
			defer close(queue)
			defer close(order)
			for _, file := range files {
				job := &readJob{file: file, done: make(chan struct{})}
				select {
				case order <- job:
				case <-ctx.Done():
					return
				}
				select {
				case queue <- job:
				case <-ctx.Done():
					return
				}
			}
		}()
		for range o.Workers {
			go func() {
				for job := range queue {
					job.read(ctx, o)
					close(job.done)
				}
			}()
		}
		for job := range order {
			select {
			case <-job.done:
			case <-ctx.Done():
				return
			}
			if ctx.Err() != nil || !yield(job) {
				return
			}
		}
	}
}

// read reads one file. A reader that breaks down on foreign input costs that file, not the run.
func (j *readJob) read(ctx context.Context, o AddOptions) {
	defer func() {
		if cause := recover(); cause != nil {
			reason := fmt.Sprintf("the reader broke down: %v", cause)
			j.err = &document.SkipError{Path: j.file.path, Reason: reason}
		}
	}()
	if IsPhoto(j.file.path) {
		j.document, j.err = readPicture(ctx, j.file.path, o)
		return
	}
	opts := document.ReadOptions{FileBytesMax: o.FileBytesMax, CacheDir: o.CacheDir}
	j.document, j.err = document.Read(ctx, j.file.path, opts)
	if j.err != nil {
		return
	}
	j.passages = j.document.Passages(document.PassageOptions{})
	if len(j.passages) == 0 {
		j.err = &document.SkipError{Path: j.file.path, Reason: "no words in it"}
	}
}
