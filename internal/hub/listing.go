package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"
)

// file is one file of a model as the hub lists it.
type file struct {
	Path string
	Size int64
	Hash hash
}

// listing is a revision of a model.
type listing struct {
	Commit  string
	License string
	Files   []file
}

// listingMax bounds the answer that lists a model's files.
const listingMax = 16 << 20

var commitRule = regexp.MustCompile(`^[0-9a-f]{40}$`)

// list asks the hub which files a revision has.
func (h *Hub) list(ctx context.Context, name Name) (*listing, error) {
	address := fmt.Sprintf("%s/api/models/%s/revision/%s?blobs=true",
		h.endpoint(), name.Repository, url.PathEscape(name.Revision))
	var answer struct {
		SHA      string `json:"sha"`
		CardData struct {
			License any `json:"license"`
		} `json:"cardData"`
		Siblings []struct {
			Name   string `json:"rfilename"`
			Size   int64  `json:"size"`
			BlobID string `json:"blobId"`
			LFS    *struct {
				SHA256 string `json:"sha256"`
				Size   int64  `json:"size"`
			} `json:"lfs"`
		} `json:"siblings"`
	}
	err := h.attempt(ctx, func() error {
		response, err := h.get(ctx, address, 0)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(io.LimitReader(response.Body, listingMax+1))
		if err != nil {
			return &retryable{err}
		}
		if len(text) > listingMax {
			return fmt.Errorf("the list of files is longer than %d MB", listingMax>>20)
		}
		if err := json.Unmarshal(text, &answer); err != nil {
			return fmt.Errorf("%s does not answer like a model hub: %w", h.endpoint(), err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !commitRule.MatchString(answer.SHA) {
		return nil, fmt.Errorf("%s does not answer like a model hub: it names commit %q", h.endpoint(), answer.SHA)
	}
	l := &listing{Commit: answer.SHA}
	l.License, _ = answer.CardData.License.(string)
	for _, s := range answer.Siblings {
		f := file{Path: s.Name, Size: s.Size, Hash: hash{git, s.BlobID}}
		if s.LFS != nil {
			f.Size, f.Hash = s.LFS.Size, hash{sha256Sum, s.LFS.SHA256}
		}
		if !localPath(f.Path) || f.Size < 0 {
			return nil, fmt.Errorf("the hub lists a file %q of %d bytes, which cannot be", f.Path, f.Size)
		}
		if err := f.Hash.check(); err != nil {
			return nil, fmt.Errorf("the hub lists %s: %w", f.Path, err)
		}
		l.Files = append(l.Files, f)
	}
	return l, nil
}

// localPath says whether a path stays below its folder, on every system.
func localPath(p string) bool {
	return p != "" && !path.IsAbs(p) && path.Clean(p) == p && p != ".." && !strings.HasPrefix(p, "../") &&
		!strings.ContainsAny(p, `\:`) && !strings.ContainsRune(p, 0)
}

func (h *Hub) endpoint() string {
	if h.Endpoint == "" {
		return DefaultEndpoint
	}
	return strings.TrimRight(h.Endpoint, "/")
}

// Timeouts of the default client. A body that stands still has its own limit, see stallMax.
const (
	connectMax = 15 * time.Second
	answerMax  = 30 * time.Second
)

var defaultClient = &http.Client{Transport: &http.Transport{
	Proxy:                 http.ProxyFromEnvironment,
	DialContext:           (&net.Dialer{Timeout: connectMax}).DialContext,
	TLSHandshakeTimeout:   connectMax,
	ResponseHeaderTimeout: answerMax,
	ForceAttemptHTTP2:     true,
}}

// get asks for an address, from byte offset on. The answer is 200, or 206 where an offset is asked.
// A redirection to another host does not take the token along (net/http drops it).
func (h *Hub) get(ctx context.Context, address string, offset int64) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "evident")
	request.Header.Set("Accept-Encoding", "identity") // offsets and hashes count the bytes themselves
	if h.Token != "" {
		request.Header.Set("Authorization", "Bearer "+h.Token)
	}
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	client := h.Client
	if client == nil {
		client = defaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &retryable{err}
	}
	if err := statusError(response); err != nil {
		response.Body.Close()
		return nil, err
	}
	return response, nil
}

// statusError turns a status that is no answer into an error.
func statusError(r *http.Response) error {
	switch {
	case r.StatusCode == http.StatusOK || r.StatusCode == http.StatusPartialContent:
		return nil
	case r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w (HTTP %d)", ErrToken, r.StatusCode)
	case r.StatusCode == http.StatusNotFound:
		return ErrNotFound
	case r.StatusCode == http.StatusTooManyRequests || r.StatusCode >= 500:
		return &retryable{fmt.Errorf("the hub answered %s", r.Status)}
	}
	return fmt.Errorf("the hub answered %s", r.Status)
}

// retryable marks an error of the line or the server, which may pass.
type retryable struct{ error }

func (e *retryable) Unwrap() error { return e.error }

// Attempts at one request, and the wait before the second, which doubles.
const (
	attemptsMax = 4
	firstWait   = time.Second
)

// attempt runs what until it succeeds, fails for good, or has failed attemptsMax times in a row.
func (h *Hub) attempt(ctx context.Context, what func() error) error {
	sleep := h.Wait
	if sleep == nil {
		sleep = time.Sleep
	}
	for failed, wait := 0, firstWait; ; wait *= 2 {
		err := what()
		var again *retryable
		var moved *progressed
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &moved):
			failed, wait = 0, firstWait
		}
		if !errors.As(err, &again) {
			return err
		}
		if failed++; failed == attemptsMax {
			return again.error
		}
		sleep(wait)
	}
}
