//go:build cluster

package weaviate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"evident/api"
	"evident/internal/cli"
)

// TestMain is the command evident where a test runs this program as such.
func TestMain(m *testing.M) {
	if os.Getenv("EVIDENT_TEST_COMMAND") != "" {
		os.Exit(cli.Main(cli.Streams{
			In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environment: os.Getenv,
		}, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// evidentCommand is "evident args…".
func evidentCommand(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), "EVIDENT_TEST_COMMAND=1")
	return c
}

// run runs evident and returns what it writes and its exit code.
func run(t *testing.T, args ...string) (out, errs string, code int) {
	t.Helper()
	c := evidentCommand(args...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), c.ProcessState.ExitCode()
}

// TestCommand uses evident as a person does, on a cluster and in a folder, and compares.
func TestCommand(t *testing.T) {
	nodes := startNodes(t, 3, flushSeconds+"5")
	onCluster := []string{"--store", address("papers", nodes...)}
	inFolder := []string{"--data", filepath.Join(t.TempDir(), "papers.idx")}
	papers, questions := writePapers(t)
	for _, where := range [][]string{onCluster, inFolder} {
		out, errs, code := run(t, append(where, "--json", "index", "--phrases", papers)...)
		if code != 0 {
			t.Fatalf("index %v: exit code %d\n%s%s", where, code, out, errs)
		}
		t.Logf("%s: %s", where[0], strings.Join(strings.Fields(out), " "))
	}
	time.Sleep(10 * time.Second) // see TestFreshDocuments
	t.Run("answers", func(t *testing.T) { compareAnswers(t, onCluster, inFolder, questions) })
	t.Run("passages and pictures", func(t *testing.T) { compareHits(t, onCluster, inFolder, questions) })
	t.Run("nothing has changed", func(t *testing.T) {
		out, errs, code := run(t, append(onCluster, "--json", "index", papers)...)
		if code != 0 || !strings.Contains(out, `"added": 0`) || !strings.Contains(out, `"unchanged": 5`) {
			t.Errorf("exit code %d\n%s%s", code, out, errs)
		}
	})
	t.Run("the text is the file", func(t *testing.T) {
		want, err := os.ReadFile(filepath.Join(papers, "2.txt"))
		if err != nil {
			t.Fatal(err)
		}
		if out, errs, code := run(t, append(onCluster, "show", "--text", "2.txt")...); code != 0 || out != string(want) {
			t.Errorf("exit code %d, %d bytes of %d\n%s", code, len(out), len(want), errs)
		}
	})
	t.Run("errors", func(t *testing.T) { errorsTeach(t, nodes) })
	t.Run("several servers", func(t *testing.T) { serversAgree(t, nodes, questions) })
}

// writePapers writes four files of Wikipedia paragraphs and a picture, and returns questions about them.
func writePapers(t *testing.T) (folder string, questions []string) {
	t.Helper()
	var squad struct {
		Data []struct {
			Paragraphs []struct {
				Context string
				QAs     []struct{ Question string }
			}
		}
	}
	if err := json.NewDecoder(unzipped(t, filepath.Join(data, "squad-1.1-dev.json.gz"))).Decode(&squad); err != nil {
		t.Fatal(err)
	}
	folder = t.TempDir()
	for i := range 4 {
		var text strings.Builder
		for _, p := range squad.Data[i].Paragraphs[:6] {
			text.WriteString(p.Context + "\n\n")
			questions = append(questions, p.QAs[0].Question)
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d.txt", i)), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	im := image.NewRGBA(image.Rect(0, 0, 64, 48))
	for i := range im.Pix {
		im.Pix[i] = 255
	}
	for y := range 24 {
		for x := range 64 {
			im.Set(x, y, color.RGBA{200, uint8(x), 30, 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, im); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "sunset.png"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder, questions
}

// ask asks one question and checks that what is quoted stands in the file where it is said to.
func ask(t *testing.T, where []string, engine, question string) *api.Answer {
	t.Helper()
	out, errs, code := run(t, append(where, "--json", "ask", "--engine", engine, "--threshold", "-1", question)...)
	var a api.Answer
	if err := json.Unmarshal([]byte(out), &a); code != 0 || err != nil || len(a.Answers) == 0 {
		t.Fatalf("ask %v %q: exit code %d, %v\n%s%s", where, question, code, err, out, errs)
	}
	e := a.Answers[0].Evidence
	file, err := os.ReadFile(e.Source.Path)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(file[e.Text.Byte[0]:e.Text.Byte[1]]); got != e.Text.Exact || e.Source.Stale {
		t.Errorf("%q: the file has %q where %q is quoted; stale %v", question, got, e.Text.Exact, e.Source.Stale)
	}
	return &a
}

func compareAnswers(t *testing.T, onCluster, inFolder, questions []string) {
	for _, engine := range []string{"mix", "phrase", "auto"} {
		for i := 0; i < len(questions); i += 6 {
			got, want := ask(t, onCluster, engine, questions[i]), ask(t, inFolder, engine, questions[i])
			g, w := got.Answers[0], want.Answers[0]
			if g.Text != w.Text || g.Evidence.Text != w.Evidence.Text || g.Evidence.Source != w.Evidence.Source {
				t.Errorf("%s: %q: %q at %v on the cluster, %q at %v in the folder", engine, questions[i],
					g.Text, g.Evidence.Text.Byte, w.Text, w.Evidence.Text.Byte)
			}
			if d := g.Score - w.Score; d > 0.02 || d < -0.02 {
				t.Errorf("%s: %q: probability %.3f on the cluster, %.3f in the folder", engine, questions[i], g.Score, w.Score)
			}
		}
	}
}

func compareHits(t *testing.T, onCluster, inFolder, questions []string) {
	search := func(where []string, args ...string) (hits []string) {
		out, errs, code := run(t, append(append(where, "--json", "search"), args...)...)
		var found struct {
			Hits []struct {
				Path    string
				Passage struct {
					Byte [2]int
					Text string
				}
			}
		}
		if err := json.Unmarshal([]byte(out), &found); code != 0 || err != nil {
			t.Fatalf("search %v: exit code %d, %v\n%s", args, code, err, errs)
		}
		for _, h := range found.Hits {
			hits = append(hits, fmt.Sprint(filepath.Base(h.Path), h.Passage.Byte, len(h.Passage.Text)))
		}
		return hits
	}
	for i := 0; i < len(questions); i += 6 {
		got, want := search(onCluster, "-k", "5", questions[i]), search(inFolder, "-k", "5", questions[i])
		if got[0] != want[0] {
			t.Errorf("%q: %v on the cluster, %v in the folder", questions[i], got, want)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v on the cluster, %v in the folder", questions[i], got, want)
		}
	}
	got, want := search(onCluster, "--images", "a sunset"), search(inFolder, "--images", "a sunset")
	if len(got) != 1 || !slices.Equal(got, want) {
		t.Errorf("pictures: %v on the cluster, %v in the folder", got, want)
	}
}

// errorsTeach: each error names what is wrong and the command that comes next.
func errorsTeach(t *testing.T, nodes []*node) {
	for name, c := range map[string]struct {
		store string
		args  []string
		code  int
		says  []string
	}{
		"no collection": {
			address("nothing", nodes...),
			[]string{"ask", "Who?"},
			10,
			[]string{"Nothing", `run "evident index --store weaviate://`},
		},
		"no host": {
			"weaviate://127.0.0.1:1,127.0.0.1:2/papers",
			[]string{"search", "x"},
			2,
			[]string{"127.0.0.1:1", "127.0.0.1:2", `run "curl http://127.0.0.1:1/v1/nodes"`},
		},
		"no address": {"weaviate://a", []string{"search", "x"}, 2, []string{"for example --store weaviate://"}},
		"a snapshot": {
			address("papers", nodes...), []string{"snapshot", "create", t.TempDir()}, 2, []string{"on a cluster", "--data"},
		},
		"no phrases": {
			address("bare", nodes...),
			[]string{"ask", "--engine", "phrase", "Who?"},
			10,
			[]string{"no phrases", "evident index --phrases --store"},
		},
		"both stores": {
			address("papers", nodes...), []string{"--data", "x", "status"}, 2, []string{"exclude each other"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "no phrases" {
				file := filepath.Join(t.TempDir(), "a.txt")
				if err := os.WriteFile(file, []byte("The bridge spans the Aare."), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, errs, code := run(t, "--store", c.store, "index", file); code != 0 {
					t.Fatalf("exit code %d\n%s", code, errs)
				}
			}
			_, errs, code := run(t, append([]string{"--store", c.store}, c.args...)...)
			if code != c.code {
				t.Errorf("exit code %d, want %d\n%s", code, c.code, errs)
			}
			for _, word := range c.says {
				if !strings.Contains(errs, word) {
					t.Errorf("does not say %q:\n%s", word, errs)
				}
			}
		})
	}
}

// serversAgree: servers keep nothing of their own, so that any of them gives the same answer, also when a
// node is gone.
func serversAgree(t *testing.T, nodes []*node, questions []string) {
	var servers []string
	for i, port := range freePairs(t, 3) {
		hosts := append(slices.Clone(nodes[i:]), nodes[:i]...)
		listen := fmt.Sprintf("127.0.0.1:%d", port)
		c := evidentCommand("serve", "--store", address("papers", hosts...), "--listen", listen,
			"--request-timeout", "10m")
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		var log bytes.Buffer
		c.Stderr = &log
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			c.Process.Signal(os.Interrupt)
			if c.Wait(); t.Failed() {
				t.Logf("server %s: %s", listen, log.String())
			}
		})
		servers = append(servers, "http://"+listen)
	}
	for _, s := range servers {
		waitFor(t, 2*time.Minute, func() error {
			answer, err := http.Get(s + "/readyz")
			if err != nil {
				return err
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: status %d", s, answer.StatusCode)
			}
			return nil
		})
	}
	agree := func(t *testing.T) (all []string) {
		for i := 0; i < len(questions); i += 8 {
			var first string
			for _, s := range servers {
				got := answerOf(t, s, questions[i])
				if first == "" {
					first = got
				}
				if got != first {
					t.Errorf("%q: %s answers\n%s\nand %s\n%s", questions[i], s, got, servers[0], first)
				}
			}
			all = append(all, first)
		}
		return all
	}
	before := agree(t)
	nodes[1].kill()
	if after := agree(t); !slices.Equal(before, after) {
		t.Errorf("answers changed when a node was killed:\n%v\n%v", before, after)
	}
}

// answerOf is what a server answers, but for how long it took.
func answerOf(t *testing.T, server, question string) string {
	t.Helper()
	body, _ := json.Marshal(api.AskRequest{Question: question, Passages: 5})
	answer, err := http.Post(server+"/api/v1/ask", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v: %s", server, answer.StatusCode, err, content)
	}
	var a map[string]any
	if err := json.Unmarshal(content, &a); err != nil {
		t.Fatal(err)
	}
	delete(a, "took_ms")
	same, _ := json.Marshal(a)
	return string(same)
}
