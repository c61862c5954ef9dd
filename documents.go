package evident

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"evident/api"
	"evident/document"
	"evident/models"
	"evident/vector"
)

// DocumentInfo is what a list of documents says of one.
type DocumentInfo = api.DocumentInfo

// Documents lists the documents and pictures of the index, in the order of their paths.
func (x *Index) Documents(ctx context.Context) ([]DocumentInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v, err := x.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.snapshot.Release()
	entries, err := v.snapshot.Entries()
	if err != nil {
		return nil, fmt.Errorf("read index %q: %w", x.dir, public(err))
	}
	documents := make([]DocumentInfo, 0, len(entries))
	for _, e := range entries {
		d := DocumentInfo{
			ID: documentID(e.Path), Path: v.catalog.display(e.Path), Title: e.Title,
			Format: e.Format, Bytes: e.TextBytes,
		}
		if e.Picture != nil {
			size := hitImage(e.Picture, e.Format)
			d.Image = &size
		} else {
			d.SHA256 = e.SHA256
		}
		documents = append(documents, d)
	}
	slices.SortFunc(documents, func(a, b DocumentInfo) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.ID, b.ID))
	})
	return documents, nil
}

// Generation counts the changes of the index: what was read of one generation holds for all of it.
func (x *Index) Generation() (int, error) {
	snapshot, err := x.storage.Snapshot(context.Background())
	if err != nil {
		return 0, fmt.Errorf("read index %q: %w", x.dir, public(err))
	}
	defer snapshot.Release()
	return int(snapshot.Generation()), nil
}

// Refresh makes what other processes have indexed meanwhile visible, and says whether there was any.
func (x *Index) Refresh() (changed bool, err error) {
	ctx := context.Background()
	changed, err = x.storage.Refresh(ctx)
	if err != nil {
		return false, fmt.Errorf("read index %q: %w", x.dir, public(err))
	}
	x.loading.Lock()
	defer x.loading.Unlock()
	if x.phrases == nil {
		return changed, nil
	}
	more, err := x.phrases.Refresh(ctx)
	if errors.Is(err, vector.ErrNoIndex) { // another process makes them anew
		err = x.phrases.Close()
		x.phrases, more = nil, true
	}
	if err != nil {
		return changed, fmt.Errorf("read phrases of index %q: %w", x.dir, public(err))
	}
	return changed || more, nil
}

// Preload loads the models that the first question and the first picture would load, and where the index has
// phrases their model and their vectors. Phrases that cannot be asked are no fault of a server that is
// ready, for then questions are answered without them.
func (x *Index) Preload(ctx context.Context) error {
	if _, err := x.loadReader(); err != nil {
		return err
	}
	if _, err := x.Vision(ctx); err != nil || !x.HasPhrases() {
		return err
	}
	encoder, err := x.phraseEncoder()
	if err == nil {
		_, err = x.phraseIndex(ctx, encoder, 0, false)
	}
	if errors.Is(err, ErrModelMissing) || errors.Is(err, ErrOtherModel) || errors.Is(err, ErrNoPhrases) {
		return nil
	}
	return err
}

// Quote returns the bytes of a span of a document's stored text as evidence. The path is as in
// [Index.Show]; the error is [ErrSpan] for a span that the text does not have.
func (x *Index) Quote(ctx context.Context, path string, span document.ByteSpan) (*Evidence, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v, err := x.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.snapshot.Release()
	full, err := v.resolve(path)
	if err != nil {
		return nil, err
	}
	d, err := v.document(full)
	if err != nil {
		return nil, err
	}
	cuts := func(at int) bool { return at < len(d.Text) && !utf8.RuneStart(d.Text[at]) }
	if span.Start < 0 || span.End <= span.Start || span.End > len(d.Text) || cuts(span.Start) || cuts(span.End) {
		return nil, fmt.Errorf("quote bytes %d to %d of the %d of %s: %w",
			span.Start, span.End, len(d.Text), path, ErrSpan)
	}
	e := &Evidence{Source: d.source, Text: quote(d.Text, span.Start, span.End)}
	for i, page := range d.Pages {
		if page.At <= span.Start {
			e.Text.Page = i + 1
		}
	}
	for _, h := range d.Headings {
		if h.At <= span.Start {
			e.Text.Heading = h.Label
		}
	}
	return e, nil
}

// UsedModel is a model that an index answers or sees with.
type UsedModel struct {
	Name, Role  string // Role is "reader", "vision" or "phrases"
	Description string
	Loaded      bool     // it is in memory
	Bytes       int64    // of its weights; 0 when not known
	Classes     []string // the only texts that an image classifier knows
}

// Models lists the models of the index. What is known of them without loading is all it says.
func (x *Index) Models() []UsedModel {
	reader := UsedModel{Name: models.Default, Role: "reader"}
	if x.opts.Fast {
		reader.Name = models.Fast
	}
	vision := UsedModel{Name: models.Vision, Role: "vision"}
	if x.opts.Vision.Model != nil {
		vision.Name = cmp.Or(x.opts.Vision.Name, "given folder")
	}
	reader.describe()
	vision.describe()
	if x.opts.Model != nil {
		reader = UsedModel{Name: "given folder", Role: "reader", Bytes: folderBytes(x.opts.Model)}
	}
	used := []*UsedModel{&reader, &vision}
	if x.HasPhrases() {
		used = append(used, x.usedEncoder())
	}
	x.models.mu.Lock()
	defer x.models.mu.Unlock()
	reader.Loaded = x.models.reader != nil
	if vision.Loaded = x.models.vision != nil; vision.Loaded {
		vision.Classes = x.models.vision.Classes()
	}
	out := make([]UsedModel, len(used))
	for i, u := range used {
		if u.Role == "phrases" {
			u.Loaded = x.models.encoder != nil
		}
		out[i] = *u
	}
	return out
}

// usedEncoder is the model that phrases are made and asked with.
func (x *Index) usedEncoder() *UsedModel {
	if x.opts.Phrases.Model != nil {
		return &UsedModel{
			Name: cmp.Or(x.opts.Phrases.Name, "given folder"), Role: "phrases", Bytes: folderBytes(x.opts.Phrases.Model),
		}
	}
	encoder := &UsedModel{Name: models.Phrase, Role: "phrases"}
	encoder.describe()
	return encoder
}

// describe fills in what is known of a built-in model.
func (u *UsedModel) describe() {
	for _, m := range models.All {
		if files, err := models.Open(m.Name); err == nil && m.Name == u.Name {
			u.Description, u.Bytes = m.Description, folderBytes(files)
		}
	}
}

// documentID names a stored path where a path is no handy name: in addresses.
func documentID(path string) string {
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:8])
}

func hitImage(p *document.Picture, format string) HitImage {
	format = strings.TrimPrefix(format, document.PictureFormat)
	return HitImage{Width: p.Width, Height: p.Height, Format: format}
}
