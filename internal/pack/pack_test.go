package pack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// sizes of the sections of a test's model: empty, odd, a cache line, more than a page.
var sizes = []int{0, 7, 64, 4099, 13001}

// later is a clock by which files that were just written have settled, but are not left over.
func later() time.Time { return time.Now().Add(5 * settled) }

// writeModel makes a folder with a "model" of one byte that all sections depend on.
func writeModel(t testing.TB, seed byte) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "model.safetensors"), bytes.Repeat([]byte{seed}, 1000))
	return dir
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// contentOf is what the section of a size is computed to from the model's byte.
func contentOf(seed byte, size int) []byte {
	data := Bytes(size)
	for i := range data {
		data[i] = seed + byte(i*i>>4) + byte(size)
	}
	return data
}

func keyOf(size int) Key {
	return Key{Name: fmt.Sprintf("tensor of %d \"bytes\"", size), Form: "test", Shape: []int{size, 1}}
}

// load does what loading a model does, and checks every byte it gets.
func load(t testing.TB, folder fs.FS, o Options) (r Report, computed int) {
	t.Helper()
	data, err := fs.ReadFile(folder, "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	seed := data[0]
	c := Open(folder, []string{"model.safetensors"}, o)
	for _, size := range sizes {
		got, err := c.Section(keyOf(size), func() ([]byte, error) {
			computed++
			return contentOf(seed, size), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, contentOf(seed, size)) {
			t.Fatalf("section of %d bytes has other bytes than were computed", size)
		}
		if len(got) > 0 && !isAligned(got) {
			t.Fatalf("section of %d bytes does not begin on a cache line", size)
		}
	}
	c.Keep()
	return c.Report(), computed
}

// expect loads and checks what became of the cache.
func expect(t testing.TB, what string, folder fs.FS, o Options, want State) Report {
	t.Helper()
	r, computed := load(t, folder, o)
	if r.State != want || (computed == 0) != (want == Used) {
		t.Fatalf("%s: %q after computing %d sections, want %q: %v", what, r.State, computed, want, r)
	}
	return r
}

func TestRoundTrip(t *testing.T) {
	dir, o := writeModel(t, 1), Options{Dir: t.TempDir(), Precision: "bf16", Now: later}
	folder := os.DirFS(dir)
	made := expect(t, "first", folder, o, Made)
	if want := filepath.Join(dir, "evident-bf16.packed"); made.Path != want || made.Cause != nil {
		t.Errorf("written to %q because %v, want %q", made.Path, made.Cause, want)
	}
	if used := expect(t, "second", folder, o, Used); used.Path != made.Path {
		t.Errorf("used %q, written was %q", used.Path, made.Path)
	}
	o.Precision = "int8"
	expect(t, "another precision", folder, o, Made)
	o.Precision = "bf16"
	expect(t, "the first one again", folder, o, Used)
	o.Dir = ""
	expect(t, "without a folder", folder, o, Off)
}

func TestNilCacheComputes(t *testing.T) {
	var c *Cache
	got, err := c.Section(Key{}, func() ([]byte, error) { return []byte("x"), nil })
	if err != nil || string(got) != "x" || c.Complete() || !c.Ingredient() {
		t.Errorf("got %q, %v", got, err)
	}
	c.Keep()
	if r := c.Report(); r.State != Off {
		t.Errorf("report %v", r)
	}
}

// TestMemoryFolderIsNotKept: there is no place that would be the model's own.
func TestMemoryFolderIsNotKept(t *testing.T) {
	folder := fstest.MapFS{"model.safetensors": {Data: []byte{1, 2, 3}}}
	dir := t.TempDir()
	expect(t, "in memory", folder, Options{Dir: dir, Precision: "fp32"}, Off)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("files %v, %v", entries, err)
	}
}

func TestIngredientsAreNotKept(t *testing.T) {
	o := Options{Dir: t.TempDir(), Precision: "fp32", Now: later}
	folder := os.DirFS(writeModel(t, 1))
	c := Open(folder, []string{"model.safetensors"}, o)
	outer, inner := Key{Name: "outer"}, Key{Name: "inner"}
	if _, err := c.Section(outer, func() ([]byte, error) {
		return c.Section(inner, func() ([]byte, error) { return []byte("flour"), nil })
	}); err != nil {
		t.Fatal(err)
	}
	c.Keep()
	c = Open(folder, []string{"model.safetensors"}, o)
	failing := func() ([]byte, error) { return nil, errors.New("computed again") }
	if got, err := c.Section(outer, failing); err != nil || string(got) != "flour" {
		t.Errorf("outer: %q, %v", got, err)
	}
	if _, err := c.Section(inner, failing); err == nil {
		t.Error("an ingredient was kept")
	}
}

// TestSectionsAreAdded: a model that needs more of the same weights keeps what others need.
func TestSectionsAreAdded(t *testing.T) {
	o := Options{Dir: t.TempDir(), Precision: "fp32", Now: later}
	folder := os.DirFS(writeModel(t, 1))
	expect(t, "first", folder, o, Made)
	c := Open(folder, []string{"model.safetensors"}, o)
	more := func() ([]byte, error) { return []byte("more"), nil }
	if _, err := c.Section(Key{Name: "more"}, more); err != nil {
		t.Fatal(err)
	}
	shaped := keyOf(sizes[1])
	shaped.Shape = []int{1, sizes[1]}
	if got, err := c.Section(shaped, more); err != nil || string(got) != "more" {
		t.Errorf("another shape: %q, %v", got, err)
	}
	c.Keep()
	if r := c.Report(); r.State != Made {
		t.Errorf("report %v", r)
	}
	expect(t, "what was there", folder, o, Used)
}

// TestErrorsAreNotKept: what could not be computed has no section, and an incomplete load no file.
func TestErrorsAreNotKept(t *testing.T) {
	dir, o := writeModel(t, 1), Options{Dir: t.TempDir(), Precision: "fp32", Now: later}
	c := Open(os.DirFS(dir), []string{"model.safetensors"}, o)
	broken := errors.New("broken")
	if _, err := c.Section(Key{Name: "a"}, func() ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if c.Ingredient() {
		t.Error("after an error, everything is taken for an ingredient")
	}
	c.Keep()
	if names := list(t, dir); !slices.Equal(names, []string{"model.safetensors"}) {
		t.Errorf("files %v", names)
	}
}

func list(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// embedded is a Digested folder.
type embedded struct {
	fstest.MapFS
	sum byte
}

func (e embedded) Name() string { return "tiny" }

func (e embedded) SHA256(string) (sum [sha256.Size]byte, ok bool) {
	sum[0] = e.sum
	return sum, e.sum > 0
}

// TestDigestedFolder: the folder's word is taken for its content, and one name has one file.
func TestDigestedFolder(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "deep", "er"), Precision: "fp32", Now: later}
	model := func(content, sum byte) embedded {
		data := bytes.Repeat([]byte{content}, 1000)
		return embedded{fstest.MapFS{"model.safetensors": {Data: data}}, sum}
	}
	r := expect(t, "first", model(1, 1), o, Made)
	if r.Path != filepath.Join(o.Dir, "tiny-fp32.packed") {
		t.Errorf("written to %s", r.Path)
	}
	expect(t, "second", model(1, 1), o, Used)
	if r = expect(t, "new weights", model(1, 2), o, Made); !errors.Is(r.Cause, errStale) {
		t.Errorf("cause %v", r.Cause)
	}
	expect(t, "without a digest", model(3, 0), o, Made)
	expect(t, "without a digest, again", model(3, 0), o, Used)
	expect(t, "without a digest, changed", model(4, 0), o, Made)
	expect(t, "a digest that was forgotten: the edges tell", model(5, 2), o, Made)
	expect(t, "and again", model(6, 2), o, Made)
	if names := list(t, o.Dir); !slices.Equal(names, []string{"tiny-fp32.packed"}) {
		t.Errorf("older versions were left: %v", names)
	}
	if info, err := os.Stat(r.Path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may read the private cache: %v, %v", info.Mode(), err)
	}
}

func TestReportsRead(t *testing.T) {
	for r, want := range map[Report]string{
		{State: Off}:                                    "no packed weights are kept",
		{State: Used, Path: "p"}:                        "packed weights from p",
		{State: Made, Path: "p"}:                        "packed weights written to p",
		{State: Made, Path: "p", Cause: errStale}:       "p anew: made from other weights",
		{State: Failed, Cause: errors.New("disk full")}: "cannot be kept, so that every start makes them: disk full",
	} {
		if got := r.String(); !strings.HasSuffix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
