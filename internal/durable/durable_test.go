package durable

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "MANIFEST")
	for _, content := range []string{"first", "second, which is longer", "3"} {
		if err := Replace(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Fatalf("got %q, %v, want %q", got, err, content)
		}
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestReplaceSaysWhatIsMissing(t *testing.T) {
	err := Replace(filepath.Join(t.TempDir(), "no", "folder"), nil)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestSigned: a body comes back as it was, and any changed bit is found.
func TestSigned(t *testing.T) {
	signed := Sign("thing", 3, []byte(`{"a": 1}`))
	body, err := Body("m", "thing", 3, signed)
	if err != nil || string(body) != `{"a": 1}` {
		t.Fatalf("got %q, %v", body, err)
	}
	var version *VersionError
	if _, err := Body("m", "thing", 4, signed); !errors.As(err, &version) || version.Got != 3 {
		t.Errorf("other version: %v", err)
	}
	for i := range signed {
		for bit := range 8 {
			broken := slices.Clone(signed)
			broken[i] ^= 1 << bit
			if _, err := Body("m", "thing", 3, broken); err == nil {
				t.Fatalf("bit %d of byte %d changed and nobody saw", bit, i)
			}
		}
	}
	for n := range signed {
		if _, err := Body("m", "thing", 3, signed[:n]); err == nil {
			t.Fatalf("cut to %d bytes and nobody saw", n)
		}
	}
}

func TestRanges(t *testing.T) {
	cases := map[string]struct {
		flags []bool
		want  []Range
	}{
		"none":    {[]bool{false, false}, nil},
		"all":     {[]bool{true, true, true}, []Range{{0, 3}}},
		"several": {[]bool{true, false, true, true, false, true}, []Range{{0, 1}, {2, 4}, {5, 6}}},
		"empty":   {nil, nil},
	}
	for name, c := range cases {
		got := Ranges(c.flags)
		if !slices.Equal(got, c.want) || !slices.Equal(Flags(got, len(c.flags)), c.flags) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		if !CheckRanges(got, len(c.flags)) {
			t.Errorf("%s: %v is refused", name, got)
		}
	}
	for _, bad := range [][]Range{{{2, 2}}, {{3, 1}}, {{0, 4}}, {{0, 2}, {1, 3}}} {
		if CheckRanges(bad, 3) {
			t.Errorf("%v of 3 is accepted", bad)
		}
	}
}

func FuzzBody(f *testing.F) {
	f.Add(Sign("thing", 3, []byte(`{"a": 1}`)))
	f.Add([]byte("evident thing, format 3, crc32c 00000000\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := Body("m", "thing", 3, data)
		if err == nil && !slices.Equal(Sign("thing", 3, body), data) {
			t.Fatalf("%q is taken, though it is not what is written", data)
		}
	})
}
