package cli

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"evident/internal/hub/hubtest"
	"evident/internal/readertest"
	"evident/internal/unprivileged"
	"evident/models"
	"evident/store"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"evident": func() {
			os.Exit(Main(Streams{
				In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environment: os.Getenv,
			}, os.Args[1:]))
		},
	})
}

// TestScripts runs the pages of testdata/script. Besides testscript's own commands they may use:
//
//	exitcode N program args…   run the program, which must end with code N
//	[builtin]                  a condition: the program has its models built in
//	unprivileged               obey permissions of files from here on, also as root; skips where that cannot be
//	lock DIR                   hold the index DIR as another writer would, until the end
//	hub [TOKEN]                a model hub with the model org/name, which demands TOKEN
//	makefile FILE N WHAT       make a file of N MiB, N words, or N bytes of junk, or a PNG of N x N pixels
//
// $MODEL is a folder with a small random reader, $PHRASES one with a small random phrase encoder: their
// answers are nonsense, but quotations. [phrases] is a condition: a phrase encoder is built in; [captions] a
// decoder of captions.
func TestScripts(t *testing.T) {
	model := t.TempDir()
	if err := readertest.Write(model, 7); err != nil {
		t.Fatal(err)
	}
	phrases := t.TempDir()
	if err := readertest.WritePhrases(phrases, 7); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("XDG_DATA_HOME", filepath.Join(env.WorkDir, "home", "data"))
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, "home", "cache"))
			env.Setenv("MODEL", model)
			env.Setenv("PHRASES", phrases)
			env.Setenv("LONG", strings.Repeat("word ", 10000))
			return writePictures(env.WorkDir)
		},
		Condition: func(name string) (bool, error) {
			model, known := map[string]string{
				"builtin": models.Fast, "phrases": models.Phrase, "captions": models.Captions,
			}[name]
			if !known {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			_, err := models.Open(model)
			return err == nil, nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exitcode": exitcode, "makefile": makefile, "lock": lock, "hub": startHub,
			"unprivileged": layDown,
		},
	})
}

// exitcode runs a program that must end with a code.
func exitcode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N program args…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // testscript hands it over bare
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// layDown lets root be as anybody else.
func layDown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: unprivileged")
	}
	if err := unprivileged.Here(); err != nil {
		ts.Logf("NOT TESTED: %v", err)
		ts.Fatalf("%v", err)
	}
}

// lock takes an index's lock until the script ends.
func lock(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lock DIR")
	}
	s, err := store.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	w, err := s.Writer()
	ts.Check(err)
	ts.Defer(func() {
		ts.Check(w.Close())
		ts.Check(s.Close())
	})
}

// makefile makes a file of N MiB, of N words, or of N bytes of junk, or a PNG of N x N pixels.
func makefile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: makefile FILE N MiB|words|junk|png")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	path := ts.MkAbs(args[0])
	switch args[2] {
	case "MiB":
		ts.Check(os.WriteFile(path, []byte("a text"), 0o600))
		ts.Check(os.Truncate(path, int64(n)<<20)) // sparse: it takes no room
	case "words":
		ts.Check(os.WriteFile(path, []byte(strings.Repeat("why ", n)), 0o600))
	case "junk":
		random, junk := rand.NewChaCha8([32]byte{5}), make([]byte, n)
		_, _ = random.Read(junk)
		ts.Check(os.WriteFile(path, junk, 0o600))
	case "png":
		im := image.NewGray(image.Rect(0, 0, n, n))
		for i := range im.Pix {
			im.Pix[i] = uint8(i % n * 255 / n) // brighter to the right
		}
		var b bytes.Buffer
		ts.Check(png.Encode(&b, im))
		ts.Check(os.WriteFile(path, b.Bytes(), 0o600))
	default:
		ts.Fatalf("makefile: %q?", args[2])
	}
}

// Every command's page shows two examples and every flag in lower case without a full stop.
func TestHelpPages(t *testing.T) {
	a := &app{streams: Streams{Environment: os.Getenv}, out: &output{}}
	for _, c := range a.rootCommand().Commands() {
		if c.Annotations[topicNote] != "" || c.Name() == "completion" {
			continue
		}
		if n := strings.Count("\n"+c.Example, "\n  "); n < 2 {
			t.Errorf("%s: %d examples, want 2", c.Name(), n)
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short text %q", c.Name(), c.Short)
		}
	}
	for name, topic := range topics {
		for i, line := range strings.Split(topic.text, "\n") {
			if n := len([]rune(line)); n > 100 {
				t.Errorf("topic %s line %d: %d columns", name, i, n)
			}
		}
	}
}

func ExampleMain() {
	nothing := func(string) string { return "" }
	code := Main(Streams{Out: os.Stdout, Err: os.Stdout, Environment: nothing},
		[]string{"ask", "--top", "0", "who?"})
	fmt.Println(code)
	// Output:
	// evident: --top 0: at least 1
	// hint: run "evident help" for the commands
	// 2
}

// startHub starts a model hub for the rest of the script and points HF_ENDPOINT at it.
func startHub(ts *testscript.TestScript, _ bool, args []string) {
	s := hubtest.New()
	ts.Defer(s.Close)
	s.AddModel()
	if len(args) > 0 {
		s.Token = args[0]
	}
	ts.Setenv("HF_ENDPOINT", s.URL)
}
