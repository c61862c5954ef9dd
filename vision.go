package evident

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"evident/internal/picture"
	"evident/internal/region"
	"evident/legrad"
	"evident/model/caption"
	"evident/model/vision"
	"evident/models"
)

// VisionOptions are the settings of a [Vision]. The zero value is the built-in model.
type VisionOptions struct {
	Model    fs.FS // folder of a vision-language model or an image classifier; nil means the built-in one
	Name     string
	CacheDir string // where weights are kept in the form they are multiplied in, see [Options]; "" means nowhere
}

// Vision sees pictures through a vision-language model: it compares them with texts and shows where
// a text is seen. It is safe for concurrent use.
type Vision struct {
	model    *vision.Model
	name     string
	identity string // see identityOf

	decoder func() (*caption.Decoder, error) // of captions, read when it is first needed

	mu         sync.Mutex
	explainers map[string]*legrad.Explainer // by what they were made with
	methods    map[string]legrad.Method     // likewise
	seers      map[string]*region.Seer      // likewise
	others     []vision.Text                // what texts are judged against
}

// OpenVision loads a model. The error is [ErrModelMissing] where there are no weights and
// [ErrDamaged] where they are not what the configuration promises.
func OpenVision(ctx context.Context, o VisionOptions) (*Vision, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name, files, err := o.open()
	if err != nil {
		return nil, err
	}
	identity, err := identityOf(files)
	if err != nil {
		return nil, fmt.Errorf("load model %s: %w", name, &sentinelError{ErrModelMissing, err})
	}
	loaded, err := vision.LoadWith(files, vision.Options{CacheDir: o.CacheDir})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("load model %s: %w", name, &sentinelError{ErrModelMissing, err})
	case err != nil:
		return nil, fmt.Errorf("load model %s: %w", name, &sentinelError{ErrDamaged, err})
	}
	if name == "" {
		name = loaded.Name
	}
	return &Vision{
		model: loaded, name: name, identity: identity, explainers: map[string]*legrad.Explainer{},
		methods: map[string]legrad.Method{}, seers: map[string]*region.Seer{},
		decoder: sync.OnceValues(func() (*caption.Decoder, error) { return openDecoder(files, loaded) }),
	}, nil
}

// open returns the model's folder and its name.
func (o VisionOptions) open() (name string, files fs.FS, err error) {
	if o.Model != nil {
		return o.Name, o.Model, nil
	}
	files, err = models.Open(models.Vision)
	if err != nil {
		return "", nil, fmt.Errorf("load model %w", &sentinelError{ErrModelMissing, err})
	}
	return models.Vision, files, nil
}

// identityOf tells models apart in an index, for vectors compare only with those of the same
// weights: a hash of the configuration, and of size, beginning and end of each file of weights.
func identityOf(files fs.FS) (string, error) {
	sum := sha256.New()
	found := 0
	for _, pattern := range []string{"*config.json", "*.safetensors"} {
		names, err := fs.Glob(files, pattern) // in order
		if err != nil {
			return "", err
		}
		found += len(names)
		for _, name := range names {
			if err := hashEnds(sum, files, name); err != nil {
				return "", err
			}
		}
	}
	if found == 0 {
		return "", fmt.Errorf("no model in it: %w", fs.ErrNotExist)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// hashEnds adds a file's name, size, first and last bytes.
func hashEnds(sum io.Writer, files fs.FS, name string) error {
	const end = 64 << 10
	file, err := files.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	fmt.Fprintf(sum, "%s %d\n", name, info.Size())
	if _, err := io.CopyN(sum, file, end); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	if seeker, ok := file.(io.Seeker); ok && info.Size() > 2*end {
		if _, err := seeker.Seek(-end, io.SeekEnd); err != nil {
			return err
		}
	}
	_, err = io.Copy(sum, file)
	return err
}

// Model is what the other packages of this module work with.
func (v *Vision) Model() *vision.Model { return v.model }

// Name is the model's.
func (v *Vision) Name() string { return v.name }

// Classes are the only texts that an image classifier knows; nil of a model that reads any text.
func (v *Vision) Classes() []string { return v.model.Classes }

// Photo is a picture in memory, upright.
type Photo struct {
	Path          string // "" where it came from no file
	Width, Height int    // in pixels
	Notes         []string

	image *picture.Image
}

// PixelsMax is the largest picture that is decoded, in pixels, unless [PhotoOptions] says otherwise.
const PixelsMax = picture.PixelsMax

// PhotoOptions limits what is decoded. The zero value allows [PixelsMax] pixels.
type PhotoOptions struct{ PixelsMax int }

// OpenPhoto reads a picture: JPEG, PNG, GIF, WebP, TIFF or BMP, told by its content. Its size is
// compared with the limit before any pixel is decoded. The error is [ErrNotImage] for a file of
// another kind and a [*PhotoSizeError] for too large a picture.
func OpenPhoto(path string, o PhotoOptions) (*Photo, error) {
	im, err := picture.Open(path, picture.Options{PixelsMax: o.PixelsMax})
	if err != nil {
		return nil, err
	}
	return &Photo{Path: path, Width: im.Width, Height: im.Height, Notes: im.Notes, image: im}, nil
}

// Errors of [OpenPhoto].
var (
	ErrNotImage  = picture.ErrNotImage  // no picture of a known kind
	ErrTruncated = picture.ErrTruncated // the file ends before the picture does
)

// PhotoSizeError says that a picture has more pixels than the limit.
type PhotoSizeError = picture.TooLargeError

// IsPhoto says whether a file begins as a picture does. One that cannot be opened is none.
func IsPhoto(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	head := make([]byte, 32)
	n, _ := io.ReadFull(file, head)
	return picture.IsImage(head[:n])
}
