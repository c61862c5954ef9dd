package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"evident/internal/filelock"
)

// Progress is how far a pull is.
type Progress struct {
	File        string // being fetched
	Done, Total int64  // bytes of the whole model
}

// Pull fetches a revision of a model and returns it. What is there already is not fetched again, and
// what was fetched in part goes on. progress may be nil.
func (h *Hub) Pull(ctx context.Context, name Name, progress func(Progress)) (*Model, error) {
	if h.Offline {
		return nil, fmt.Errorf("pull %s: %w", name, ErrOffline)
	}
	listed, err := h.list(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", name, err)
	}
	files, err := wanted(listed.Files)
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", name, err)
	}
	folder := h.folder(name.Repository)
	for _, sub := range []string{"blobs", "refs", filepath.Join("snapshots", listed.Commit)} {
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o755); err != nil {
			return nil, fmt.Errorf("pull %s: %w", name, err)
		}
	}
	held, err := filelock.Take(filepath.Join(folder, lockName))
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", name, err)
	}
	defer held.Release()
	p := puller{hub: h, name: name, commit: listed.Commit, folder: folder, report: progress}
	for _, f := range files {
		p.state.Total += f.Size
	}
	for _, f := range files {
		if err := p.file(ctx, f); err != nil {
			return nil, fmt.Errorf("pull %s: %s: %w", name, f.Path, err)
		}
	}
	if err := p.finish(listed.License); err != nil {
		return nil, fmt.Errorf("pull %s: %w", name, err)
	}
	return h.Find(name)
}

const (
	lockName       = ".evident-lock"
	incompleteName = ".incomplete" // the ending that the Hugging Face tools use too
	completeName   = ".evident.json"
)

// puller fetches the files of one commit.
type puller struct {
	hub    *Hub
	name   Name
	commit string
	folder string
	report func(Progress)
	state  Progress
}

// file brings one file into the snapshot.
func (p *puller) file(ctx context.Context, f file) error {
	p.state.File = f.Path
	blob := filepath.Join(p.folder, "blobs", f.Hash.sum)
	link := filepath.Join(p.folder, "snapshots", p.commit, filepath.FromSlash(f.Path))
	if info, err := os.Stat(link); err == nil && info.Size() == f.Size {
		p.advance(f.Size) // checked when it got its name
		return nil
	}
	if info, err := os.Stat(blob); err == nil && info.Size() == f.Size {
		p.advance(f.Size)
		return place(blob, link)
	}
	if err := p.fetch(ctx, f, blob); err != nil {
		return err
	}
	return place(blob, link)
}

// advance counts bytes and reports.
func (p *puller) advance(n int64) {
	p.state.Done += n
	if p.report != nil {
		p.report(p.state)
	}
}

// place gives a blob its name in the snapshot: a link, or where links are not to be had the file
// itself.
func place(blob, link string) error {
	target, err := filepath.Rel(filepath.Dir(link), blob)
	if err != nil {
		return err
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if os.Symlink(target, link) == nil {
		return nil
	}
	return os.Rename(blob, link)
}

// fetch downloads a file into its blob: into a file beside it, which is kept when the line breaks,
// and which becomes the blob when size and hash are right.
func (p *puller) fetch(ctx context.Context, f file, blob string) error {
	part, err := os.OpenFile(blob+incompleteName, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer part.Close()
	counted := int64(0) // of this file, as reported
	err = p.hub.attempt(ctx, func() error {
		have, err := part.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		if have > f.Size { // of another file, or of a fault: nothing to go on with
			if have, err = 0, part.Truncate(0); err != nil {
				return err
			}
		}
		p.advance(have - counted)
		counted = have
		if have == f.Size {
			return nil
		}
		got, err := p.receive(ctx, f, part, have, &counted)
		var again *retryable
		if got > 0 && errors.As(err, &again) {
			return &progressed{err}
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := f.Hash.verify(part, f.Size); err != nil {
		p.advance(-counted)
		return errors.Join(fmt.Errorf("what came is not what the hub names: %w", err), os.Remove(part.Name()))
	}
	if err := part.Sync(); err != nil {
		return err
	}
	return os.Rename(part.Name(), blob)
}

// progressed marks a failure after which there is more than before: attempts are counted anew.
type progressed struct{ error }

func (e *progressed) Unwrap() error { return e.error }

// receive appends to part what the hub sends from byte have on, and returns how much that was.
func (p *puller) receive(ctx context.Context, f file, part *os.File, have int64, counted *int64) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	address := p.hub.endpoint() + "/" + p.name.Repository + "/resolve/" + p.commit + "/" + escaped(f.Path)
	response, err := p.hub.get(ctx, address, have)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK && have > 0 || !continues(response, have) {
		p.advance(-have) // the server does not go on: from the start
		*counted -= have
		if err := part.Truncate(0); err != nil {
			return 0, err
		}
		if response.StatusCode != http.StatusOK {
			return 0, &retryable{fmt.Errorf("the hub sent %q", response.Header.Get("Content-Range"))}
		}
		have = 0
	}
	if _, err := part.Seek(have, io.SeekStart); err != nil {
		return 0, err
	}
	body := &watched{Reader: response.Body, timer: time.AfterFunc(stallMax, func() { cancel(errStalled) })}
	defer body.timer.Stop()
	got := int64(0)
	buffer := make([]byte, 1<<20)
	for {
		n, err := body.Read(buffer)
		if have+got+int64(n) > f.Size {
			return got, fmt.Errorf("the hub sends more than the %d bytes it names", f.Size)
		}
		if _, err := part.Write(buffer[:n]); err != nil {
			return got, err // the disk: no use in trying again
		}
		got += int64(n)
		*counted += int64(n)
		p.advance(int64(n))
		switch {
		case errors.Is(err, io.EOF) && have+got == f.Size:
			return got, nil
		case errors.Is(err, io.EOF):
			return got, &retryable{io.ErrUnexpectedEOF}
		case err != nil && errors.Is(context.Cause(ctx), errStalled):
			return got, &retryable{errStalled}
		case err != nil:
			return got, &retryable{err}
		}
	}
}

// stallMax is how long a line may carry nothing.
const stallMax = time.Minute

var errStalled = fmt.Errorf("nothing came for %v", stallMax)

// watched puts the timer back whenever something comes.
type watched struct {
	io.Reader
	timer *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.timer.Reset(stallMax)
	return n, err
}

// continues says whether a partial answer begins at the byte that was asked for.
func continues(r *http.Response, offset int64) bool {
	if r.StatusCode != http.StatusPartialContent {
		return true
	}
	text, ok := strings.CutPrefix(r.Header.Get("Content-Range"), "bytes ")
	first, _, _ := strings.Cut(text, "-")
	at, err := strconv.ParseInt(first, 10, 64)
	return ok && err == nil && at == offset
}

// escaped makes a path fit for an address.
func escaped(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}
