package evident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"evident/document"
	"evident/internal/extract"
	"evident/store"
)

// Vision returns the vision model of the index, loaded at the first call: that of
// [Options.Vision], the built-in one by default.
func (x *Index) Vision(ctx context.Context) (*Vision, error) {
	x.models.mu.Lock()
	defer x.models.mu.Unlock()
	if x.models.vision == nil {
		v, err := OpenVision(ctx, x.opts.Vision)
		if err != nil {
			return nil, err
		}
		x.models.vision = v
	}
	return x.models.vision, nil
}

// seenByOthers returns the stored pictures whose vectors are of another model than the index's: they
// are read again.
func (x *Index) seenByOthers(ctx context.Context) (map[string]bool, error) {
	snapshot, err := x.storage.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("read index %q: %w", x.dir, public(err))
	}
	defer snapshot.Release()
	if snapshot.Stats().Pictures == 0 {
		return nil, nil
	}
	pictures, err := snapshot.Pictures()
	if err != nil {
		return nil, fmt.Errorf("read index %q: %w", x.dir, public(err))
	}
	_, files, err := x.opts.Vision.open()
	if err != nil {
		return nil, nil //nolint:nilerr // without a model what is stored is all there is
	}
	identity, err := identityOf(files)
	if err != nil {
		return nil, nil //nolint:nilerr // as above; loading it will say what is wrong
	}
	others := map[string]bool{}
	for _, p := range pictures {
		if p.Model != identity {
			others[p.Path] = true
		}
	}
	return others, nil
}

// readPicture makes a document of a picture. What is wrong with the file is a *document.SkipError.
func readPicture(ctx context.Context, path string, o AddOptions) (*document.Document, error) {
	skip := func(reason string) error { return &document.SkipError{Path: path, Reason: reason} }
	limit := cmp.Or(o.FileBytesMax, document.FileBytesMaxDefault)
	if info, err := os.Stat(path); err == nil && info.Size() > limit {
		return nil, skip("larger than the limit of " + extract.ByteSize(limit))
	}
	vision, err := o.vision(ctx)
	if errors.Is(err, ErrModelMissing) {
		return nil, &document.SkipError{Path: path, Reason: "picture, and there is no vision model to see it", Passing: true}
	}
	if err != nil {
		return nil, err
	}
	photo, err := OpenPhoto(path, PhotoOptions{PixelsMax: o.PixelsMax})
	if err != nil {
		return nil, skip("picture: " + rootCause(err))
	}
	im, err := vision.model.EncodePicture(ctx, photo.image)
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", path, err)
	}
	return &document.Document{
		Path: path, Format: document.PictureFormat + photo.image.Format,
		Picture: &document.Picture{
			Width: photo.Width, Height: photo.Height, Model: vision.identity, Vector: im.Embedding,
		},
	}, nil
}

// rootCause is the innermost error, which says what is wrong without naming the file again.
func rootCause(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}

// ImageQuery is what pictures are looked for by: a text, or a picture that they should be like.
type ImageQuery struct {
	Text  string
	Photo *Photo // nil for a text
}

// SearchImages returns the pictures of the index that a query fits best, best first. The error is
// [ErrEmptyIndex] when there are no pictures, and a [*TextError] for a text without words.
func (x *Index) SearchImages(ctx context.Context, q ImageQuery, o SearchOptions) ([]ImageHit, error) {
	album, err := x.album(ctx)
	if err != nil {
		return nil, err
	}
	defer album.snapshot.Release()
	vector, err := album.vision.queryVector(ctx, q)
	if err != nil {
		return nil, err
	}
	hits := album.rank(vector, cmp.Or(o.Top, 10), nil)
	for i := range hits {
		hits[i].Path = album.catalog.display(hits[i].Path)
	}
	return hits, nil
}

// album is one state of the index's pictures, and the model that saw them. Its snapshot must be released after use.
type album struct {
	*view
	vision   *Vision
	pictures []store.StoredPicture
}

// album returns the newest state.
func (x *Index) album(ctx context.Context) (a *album, err error) {
	v, err := x.view(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			v.snapshot.Release()
		}
	}()
	pictures, err := v.snapshot.Pictures()
	if err != nil {
		return nil, fmt.Errorf("read index %q: %w", x.dir, public(err))
	}
	if len(pictures) == 0 {
		return nil, fmt.Errorf("search index %q: no pictures in it: %w", x.dir, ErrEmptyIndex)
	}
	vision, err := x.Vision(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range pictures {
		if p.Model != vision.identity || len(p.Vector) != vision.model.Size() {
			return nil, fmt.Errorf("search index %q: %w", x.dir, &sentinelError{ErrOtherModel, &otherModelError{vision.name}})
		}
	}
	return &album{v, vision, pictures}, nil
}

// rank returns the pictures that a vector fits best, best first, at most top, by their stored paths. Those that are
// left out are not among them.
func (a *album) rank(vector []float32, top int, leftOut func(path string) bool) []ImageHit {
	hits := make([]ImageHit, 0, len(a.pictures))
	for _, p := range a.pictures {
		if leftOut != nil && leftOut(p.Path) {
			continue
		}
		hits = append(hits, ImageHit{
			ID: documentID(p.Path), Path: p.Path, Score: dot(vector, p.Vector),
			Image: hitImage(p.Picture, p.Format),
		})
	}
	slices.SortStableFunc(hits, func(a, b ImageHit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Path, b.Path))
	})
	hits = hits[:min(top, len(hits))]
	for i := range hits {
		hits[i].Stale = a.stale(hits[i].Path)
	}
	return hits
}

// stale says whether a stored file has changed or is gone.
func (v *view) stale(path string) bool {
	stat, err := v.snapshot.Stat(path)
	if err != nil {
		return true
	}
	info, err := os.Stat(path)
	return err != nil || !stat.Same(info)
}

// otherModelError says which model cannot be used.
type otherModelError struct{ asked string }

func (e *otherModelError) Error() string {
	return fmt.Sprintf("its pictures were seen by another model than %s", e.asked)
}

// queryVector returns the vector of length 1 that a query is.
func (v *Vision) queryVector(ctx context.Context, q ImageQuery) ([]float32, error) {
	if q.Photo != nil {
		im, err := v.model.EncodePicture(ctx, q.Photo.image)
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", q.Photo.Path, err)
		}
		return im.Embedding, nil
	}
	texts, err := v.texts(ctx, []string{q.Text})
	if err != nil {
		return nil, err
	}
	return texts[0].Embedding, nil
}
