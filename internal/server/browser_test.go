package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"evident"
	"evident/internal/service"
	"evident/models"
)

// browser is a Chromium with the network cut: it reaches this machine's loopback and nothing else.
type browser struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // it is the browser, as chromedp has it

	mu       sync.Mutex
	requests []string
	bytes    float64
}

// openBrowser starts the installed Chromium. Without one the test is skipped.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	found := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			found = path
			break
		}
	}
	if found == "" {
		t.Skip("NOT TESTED: no Chromium is installed (Debian: apt-get install chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(found), chromedp.NoSandbox, chromedp.WindowSize(1440, 900),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"),
		chromedp.UserDataDir(t.TempDir()))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, close := chromedp.NewContext(allocator)
	t.Cleanup(close)
	b := &browser{t: t, ctx: ctx}
	listen := func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			b.requests = append(b.requests, e.Request.URL)
		case *network.EventLoadingFinished:
			b.bytes += e.EncodedDataLength
		}
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil { // starts the browser
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, listen); err != nil {
		t.Fatal(err)
	}
	return b
}

type step = chromedp.Action[chromedp.Void]

func (b *browser) run(steps ...step) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, 90*time.Second)
	defer stop()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// open goes to an address; its view is there when it returns.
func (b *browser) open(url string) {
	b.t.Helper()
	b.run(chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("main")))
}

// value returns what a script returns, or promises.
func value[T any](b *browser, script string) T {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, 90*time.Second)
	defer stop()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.300s: %v", script, err)
	}
	return v
}

// when waits until an expression is true.
func when(expression string) step { return chromedp.Poll[chromedp.Void](expression) }

// address is where the browser is.
func (b *browser) address() string { return value[string](b, "location.href") }

// shot keeps a picture of the page where EVIDENT_SCREENSHOTS names a folder.
func (b *browser) shot(name string) {
	folder := os.Getenv("EVIDENT_SCREENSHOTS")
	if folder == "" {
		return
	}
	b.run(chromedp.Evaluate[chromedp.Void](`scrollTo(0, 0)`)) // what sticks stands at its place
	value[bool](b, `Promise.allSettled([...document.images].map((i) => { i.loading = "eager"; return i.decode(); })).then(() => true)`)
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	write(b.t, filepath.Join(folder, name+".png"), picture)
}

// real starts a server with the small built-in reader over documents and photos: those of the folder
// EVIDENT_SCREENSHOTS_OF, where it is set, which are for all to see.
func real(t *testing.T) *testServer {
	t.Helper()
	if _, err := models.Open(models.Fast); err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
	folder := cmp.Or(os.Getenv("EVIDENT_SCREENSHOTS_OF"), t.TempDir())
	for name, text := range library {
		write(t, filepath.Join(folder, name), []byte(text))
	}
	pdf, err := os.ReadFile(filepath.Join("..", "extract", "testdata", "columns.pdf"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "columns.pdf"), pdf)
	photos, _ := filepath.Glob("../../../../shared/data/demo/[cd]*.jpg") // more to look at, where they are
	if os.Getenv("EVIDENT_SCREENSHOTS_OF") != "" {
		photos = nil
	}
	for _, p := range photos {
		content, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, filepath.Base(p)), content)
	}
	index, err := evident.Open(t.Context(), filepath.Join(t.TempDir(), "index"), evident.Options{
		Create: true, Fast: true, CacheDir: cacheDir, Vision: evident.VisionOptions{CacheDir: cacheDir},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	set := filepath.Join(t.TempDir(), "bridges.json")
	write(t, set, []byte(questions))
	s := start(t, func(o *service.Options, _ *Options) {
		o.Indexes[0].Index, o.Folders = index, []string{folder}
		o.Now, o.Sets = time.Now, []string{set}
	})
	for _, p := range []string{"red.png", "blue.png"} {
		content, err := os.ReadFile(filepath.Join(s.folder, p))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, p), content)
	}
	if _, err := index.Add(t.Context(), []string{folder}, evident.AddOptions{CacheDir: cacheDir}); err != nil {
		t.Fatal(err)
	}
	s.folder = folder
	return s
}

// phrased is real with phrases.
func phrased(t *testing.T) *testServer {
	t.Helper()
	if _, err := models.Open(models.Phrase); err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
	s := real(t)
	s.done("POST", apiPath+"/jobs", `{"kind": "index", "phrases": true}`)
	return s
}

// TestBrowserAsk asks, opens the source, and finds the mark where the answer stands: the words occur
// twice in the document.
func TestBrowserAsk(t *testing.T) {
	b := openBrowser(t)
	s := real(t)
	b.open(s.URL + "/")
	b.run(chromedp.SendKeys(chromedp.CSS("#q"), "Who designed the bridge?\r"), chromedp.WaitReady(chromedp.CSS(".answer mark")))
	first := value[string](b, `document.querySelector(".answer h2").textContent`)
	if first != "Lise Maurer" {
		t.Fatalf("the answer is %q", first)
	}
	b.run(chromedp.Click(chromedp.CSS(".answer summary")), chromedp.WaitVisible(chromedp.CSS(".answer .tree")))
	b.run(chromedp.Click(chromedp.CSS(".answer [data-open]")), chromedp.WaitReady(chromedp.CSS("mark.here")))
	before := value[string](b, `(() => { const m = document.querySelector("mark.here"); return m.previousSibling.textContent + "[" + m.textContent + "]"; })()`)
	if before != "The bridge, designed by [Lise Maurer]" {
		t.Errorf("marked is %q", before)
	}
	inView := value[bool](b, `(() => { const r = document.querySelector("mark.here").getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight; })()`)
	if !inView {
		t.Error("the mark is not in view")
	}
	b.run(chromedp.Click(chromedp.CSS(".reader aside a")), chromedp.WaitReady(chromedp.CSS(".answer mark")))
	if address := b.address(); !strings.HasSuffix(address, "/ask?q=Who+designed+the+bridge%3F") {
		t.Errorf("back at %s", address)
	}
	b.onlyThisMachine(s)
}

// TestBrowserKeys goes through results with the keyboard alone, and asks in place.
func TestBrowserKeys(t *testing.T) {
	b := openBrowser(t)
	s := real(t)
	b.open(s.URL + "/ask")
	// The driver sends the letter also where the page has refused the key, which no keyboard does.
	b.run(chromedp.Evaluate[chromedp.Void](
		`document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true, cancelable: true }))`))
	focused := value[string](b, `document.activeElement.id`)
	if focused != "q" {
		t.Fatalf("/ focuses %q", focused)
	}
	b.run(chromedp.KeyEvent("Who designed the tower?\r"), chromedp.WaitReady(chromedp.CSS(".answer")))
	b.run(when(`document.querySelector("#live").textContent.includes("Anna Frei")`))
	live := value[string](b, `document.querySelector("#live").textContent`)
	if address := b.address(); !strings.Contains(address, "q=Who+designed+the+tower") {
		t.Errorf("the address is %s, announced is %q", address, live)
	}
	b.run(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`), chromedp.KeyEvent("j"), chromedp.KeyEvent("w"))
	open := value[bool](b, `document.querySelector(".answer.at details").open`)
	if !open {
		t.Error("w does not open why")
	}
	b.run(chromedp.KeyEvent("?"))
	open = value[bool](b, `document.querySelector("#keys").open`)
	if !open {
		t.Error("? does not open the sheet")
	}
	b.run(chromedp.KeyEvent("\u001b"), chromedp.KeyEvent("\r"), chromedp.WaitReady(chromedp.CSS("mark.here")))
}

// TestBrowserPage marks a quotation on the picture of a PDF's page.
func TestBrowserPage(t *testing.T) {
	b := openBrowser(t)
	s := real(t)
	id := s.id("columns.pdf")
	text := string(s.do("GET", apiPath+"/indexes/default/documents/"+id+"/text", nil).status(200).body)
	at := strings.Index(text, "Ingrid Solheim")
	b.open(fmt.Sprintf("%s/read/default/%s?page=1&span=%d-%d", s.URL, id, at, at+len("Ingrid Solheim")))
	b.run(when(`document.querySelector(".page img").complete`))
	box := value[struct{ X, Y, Width, Height, Loaded float64 }](b, `(() => { const p = document.querySelector(".page").getBoundingClientRect(), r = document.querySelector("rect[data-box]").getBoundingClientRect();
		return { X: (r.x - p.x) / p.width, Y: (r.y - p.y) / p.height, Width: r.width / p.width, Height: r.height / p.height, Loaded: document.querySelector(".page img").naturalWidth }; })()`)
	if box.X < 0.15 || box.X > 0.25 || box.Y < 0.14 || box.Y > 0.2 || box.Width < 0.05 || box.Width > 0.15 || box.Loaded != 1200 {
		t.Errorf("the box is at %+v", box)
	}
	b.shot("page")
}

// TestBrowserLook explains a picture: the canvas over it is painted, and changes with the chosen map.
func TestBrowserLook(t *testing.T) {
	b := openBrowser(t)
	s := real(t)
	name := "red.png"
	if _, err := os.Stat(filepath.Join(s.folder, "dog-human.jpg")); err == nil {
		name = "dog-human.jpg"
	}
	b.open(s.URL + "/look?image=" + s.id(name))
	b.run(chromedp.SendKeys(chromedp.CSS("#texts"), "a dog\na person"), chromedp.Click(chromedp.CSS("form.stack button")),
		chromedp.WaitVisible(chromedp.CSS(".stage canvas")))
	sum := `(() => { const c = document.querySelector(".stage canvas"); const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i]; return n; })()`
	first := value[float64](b, sum)
	b.shot("look")
	b.run(chromedp.Click(chromedp.CSS(".map:nth-of-type(2) input")), when(fmt.Sprintf("%s !== %.0f", sum, first)))
	second := value[float64](b, sum)
	if first == 0 || second == 0 {
		t.Errorf("painted %g and %g", first, second)
	}
	b.run(chromedp.Evaluate[chromedp.Void](`(() => { const c = document.querySelector(".stage canvas"), r = c.getBoundingClientRect(); c.dispatchEvent(new PointerEvent("pointermove", { clientX: r.x + r.width / 2, clientY: r.y + r.height / 2 })); })()`))
	readout := value[string](b, `document.querySelector("[data-readout]").textContent`)
	if !strings.HasPrefix(readout, "a person: ") || !strings.Contains(readout, "of the hottest, at ") {
		t.Errorf("readout %q", readout)
	}
	b.onlyThisMachine(s)
}

// TestBrowserJob watches a job to its end.
func TestBrowserJob(t *testing.T) {
	b := openBrowser(t)
	s := real(t)
	write(t, filepath.Join(s.folder, "late.txt"), []byte("The lighthouse was lit in 1877."))
	b.open(s.URL + "/library")
	b.run(chromedp.Click(chromedp.CSS("section.card form button")), chromedp.WaitReady(chromedp.CSS(".state.done")))
	b.open(s.URL + "/ask?q=When+was+the+lighthouse+lit%3F")
	answer := value[string](b, `document.querySelector(".answer h2").textContent`)
	if answer != "1877" {
		t.Errorf("the answer from the new document is %q", answer)
	}
}

// TestBrowserFirstLoad: the first page is small, quick, and from here alone.
func TestBrowserFirstLoad(t *testing.T) {
	b := openBrowser(t)
	s := real(t)
	b.open(s.URL + "/")
	b.run(when(`!document.querySelector("#keys-open").hidden`))
	ready := value[float64](b, `performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd`)
	b.mu.Lock()
	bytes, requests := b.bytes, len(b.requests)
	b.mu.Unlock()
	t.Logf("first load: %.1f kB in %d requests, interactive after %.0f ms", bytes/1000, requests, ready)
	if bytes == 0 || bytes > 200_000 {
		t.Errorf("the first load takes %.0f bytes", bytes)
	}
	b.onlyThisMachine(s)
}

// onlyThisMachine fails where a page asked another host for anything.
func (b *browser) onlyThisMachine(s *testServer) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.requests) == 0 {
		b.t.Error("no request was seen: the test does not look")
	}
	for _, r := range b.requests {
		if !strings.HasPrefix(r, s.URL+"/") && !strings.HasPrefix(r, "blob:") && !strings.HasPrefix(r, "data:") {
			b.t.Errorf("the page asked for %s", r)
		}
	}
}

// TestBrowserAccess runs axe-core on every screen, wide and light, narrow and dark: nothing serious or
// critical may be found, and no screen is wider than its window.
func TestBrowserAccess(t *testing.T) {
	axe := axeCore(t)
	b := openBrowser(t)
	s := phrased(t)
	valley, pdf, red := s.id("valley.txt"), s.id("columns.pdf"), s.id("red.png")
	runs := s.evaluated("mix", "phrase")
	s.done("POST", apiPath+"/snapshots", `{}`)
	ofEmpty := emptyServer(t)
	screens := map[string]string{
		"start": s.URL + "/", "first": ofEmpty.URL + "/",
		"ask": s.URL + "/ask?q=Who+designed+the+bridge%3F", "ask-nothing": s.URL + "/ask?q=How+tall+is+the+dragon+king%3F",
		"ask-problem": s.URL + "/ask?q=" + strings.Repeat("word+", 250), "read": s.URL + "/read/default/" + valley + "?span=24-35&q=bridge",
		"page": s.URL + "/read/default/" + pdf + "?page=1&span=258-272", "look-choose": s.URL + "/look",
		"ask-phrase": s.URL + "/ask?q=Who+designed+the+bridge%3F&engine=phrase",
		"evaluate":   s.URL + "/evaluate", "evaluate-run": s.URL + "/evaluate?id=" + runs[0], "evaluate-problem": s.URL + "/evaluate?id=0",
		"evaluate-compare": s.URL + "/evaluate?id=" + runs[1] + "&with=" + runs[0], "evaluate-nothing": ofEmpty.URL + "/evaluate",
		"look-maps": s.URL + "/look?image=" + red + "&texts=a+dog", "search": s.URL + "/search?q=bridge", "search-nothing": s.URL + "/search?q=zebra",
		"search-images": s.URL + "/search?kind=images&q=red", "library": s.URL + "/library", "jobs": s.URL + "/jobs",
		"region-choose": s.URL + "/region", "region": s.URL + "/region?image=" + red,
		"region-box": s.URL + "/region?image=" + red + "&box=2,2,12,12&labels=a+wall%0Aa+dog", "status": s.URL + "/status", "docs": s.URL + "/docs", "errors": s.URL + "/docs/errors", "error": s.URL + "/docs/errors/no-index",
		"fault": s.URL + "/read/default/0000000000000000", "login": s.URL + "/login",
	}
	checked := 0
	for _, look := range []struct {
		scheme string
		width  int64
	}{{"light", 1440}, {"dark", 390}} {
		b.as(look.scheme, look.width)
		for name, url := range screens {
			b.open(url)
			checked++
			for _, fault := range b.axe(axe) {
				t.Errorf("%s, %s, %d wide: %s", name, look.scheme, look.width, fault)
			}
			b.shot(fmt.Sprintf("%s-%s-%d", name, look.scheme, look.width))
			if over := value[float64](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
				t.Errorf("%s is %.0f pixels wider than a window of %d", name, over, look.width)
			}
		}
	}
	t.Logf("%d screens checked", checked)
}

// emptyServer is a server over an index without anything in it.
func emptyServer(t *testing.T) *testServer {
	t.Helper()
	index, err := evident.Open(t.Context(), filepath.Join(t.TempDir(), "index"), evident.Options{
		Create: true, Fast: true, CacheDir: cacheDir, Vision: evident.VisionOptions{CacheDir: cacheDir},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	return start(t, func(o *service.Options, _ *Options) {
		o.Indexes[0].Index, o.Folders = index, []string{t.TempDir()}
	})
}

// axe returns what axe-core finds serious or critical.
func (b *browser) axe(source string) []string {
	b.t.Helper()
	b.run(chromedp.Evaluate[chromedp.Void](source))
	found := value[string](b, `axe.run(document, { resultTypes: ["violations"] }).then(r => JSON.stringify(r.violations
		.filter(v => v.impact === "serious" || v.impact === "critical")
		.map(v => v.id + ": " + v.nodes.map(n => n.target.join(" ") + " " + n.failureSummary).join("; "))))`)
	var faults []string
	if err := json.Unmarshal([]byte(found), &faults); err != nil {
		b.t.Fatal(err)
	}
	return faults
}

// axeCore returns the source of axe-core (MPL-2.0, not part of this repository): the file that
// EVIDENT_AXE names, or what npm fetches. Without either the test is skipped.
func axeCore(t *testing.T) string {
	t.Helper()
	path := os.Getenv("EVIDENT_AXE")
	if path == "" {
		folder := t.TempDir()
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
		defer stop()
		install := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, "axe-core@4")
		if out, err := install.CombinedOutput(); err != nil {
			t.Skipf("NOT TESTED: axe-core cannot be had: %v %s (or set EVIDENT_AXE to axe.min.js)", err, out)
		}
		path = filepath.Join(folder, "node_modules", "axe-core", "axe.min.js")
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// evaluated measures the questions with engines and returns the evaluations' ids.
func (s *testServer) evaluated(engines ...string) (ids []string) {
	s.t.Helper()
	for _, engine := range engines {
		job := s.done("POST", apiPath+"/evaluations", `{"task": "ask", "set": "bridges", "engine": "`+engine+`"}`)
		ids = append(ids, job.Evaluation.ID)
	}
	return ids
}

// stroke draws from one place of the picture to another, in shares of its sides.
const stroke = `(() => { const c = document.querySelector("canvas"), r = c.getBoundingClientRect();
	const p = (type, x, y) => c.dispatchEvent(new PointerEvent(type, { clientX: r.x + x * r.width, clientY: r.y + y * r.height, button: 0, pointerId: 1, bubbles: true }));
	c.setPointerCapture = () => {};
	p("pointerdown", %[1]g, %[2]g); p("pointermove", (%[1]g + %[3]g) / 2, (%[2]g + %[4]g) / 2); p("pointermove", %[3]g, %[4]g); p("pointerup", %[3]g, %[4]g); })()`

// strokeMax is how long a region may take from the end of the stroke to its names, on a quiet machine.
const strokeMax = 300 // milliseconds

// TestBrowserStrokes measures the time from the end of a stroke until the names are there, where EVIDENT_STROKES says how many strokes.
func TestBrowserStrokes(t *testing.T) {
	strokes, err := strconv.Atoi(os.Getenv("EVIDENT_STROKES"))
	if err != nil {
		t.Skip("NOT TESTED: a time is measured on a quiet machine alone: EVIDENT_STROKES=20")
	}
	b := openBrowser(t)
	s := real(t)
	b.open(s.URL + "/region?image=" + s.id("dog-human.jpg"))
	b.run(chromedp.WaitVisible(chromedp.CSS("canvas")), chromedp.SendKeys(chromedp.CSS("#labels"), "dog\nhuman face\ngrass\nsky"))
	var took []float64
	random := rand.New(rand.NewPCG(9, 300))
	for range strokes + 1 { // the first of all loads the encoder
		x, y := 0.6*random.Float64(), 0.6*random.Float64()
		b.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("[data-took]")?.removeAttribute("data-took"); document.querySelector(".words")?.remove()`),
			chromedp.Evaluate[chromedp.Void](fmt.Sprintf(stroke, x, y, x+0.1+0.2*random.Float64(), y+0.1+0.2*random.Float64())),
			chromedp.WaitReady(chromedp.CSS("[data-took]")), chromedp.WaitReady(chromedp.CSS(".words")))
		took = append(took, value[float64](b, `Number(document.querySelector("[data-took]").dataset.took)`))
	}
	first := took[0]
	took = took[1:]
	slices.Sort(took)
	t.Logf("%d strokes: p50 %.0f ms, most %.0f ms; the first of all %.0f ms", strokes, took[strokes/2], took[strokes-1], first)
	if took[strokes-1] > strokeMax {
		t.Errorf("a stroke took %.0f ms, at most %d are wanted", took[strokes-1], strokeMax)
	}
}

// takesAlong keeps the painted regions as each of the files that the page offers.
func (b *browser) takesAlong() {
	b.t.Helper()
	b.run(chromedp.Click(chromedp.CSS(".take summary")), chromedp.Evaluate[chromedp.Void](`(() => {
		let content = null;
		URL.createObjectURL = (blob) => { content = blob; return "blob:none"; };
		HTMLAnchorElement.prototype.click = function () {
			const name = this.download;
			window.kept = content.arrayBuffer().then((b) => name + " " + new TextDecoder("latin1").decode(b.slice(0, 400)));
		};
	})()`))
	for file, want := range map[string][2]string{
		"masks": {"masks.json ", `{"masks":[{"name":"region 1","png":`}, "json": {"regions.json ", `"method":"mask-inversion"`},
		"npy": {"regions.npy ", "'shape': (1, "}, "safetensors": {"regions.safetensors ", `"form":"plain"`},
	} {
		kept := value[string](b, `(() => { window.kept = null; document.querySelector("[data-file=`+file+`]").click(); return new Promise((done) => {
			const wait = setInterval(() => { if (window.kept) { clearInterval(wait); window.kept.then(done); } }, 20); }); })()`)
		if !strings.HasPrefix(kept, want[0]) || !strings.Contains(kept, want[1]) {
			b.t.Errorf("taken along as %s is %.200s", file, kept)
		}
	}
	if misfits := value[float64](b, `document.querySelectorAll("[data-generators] option:disabled").length`); misfits != 6 {
		b.t.Errorf("%g forms cannot be chosen with the built-in model, want 6", misfits)
	}
}

// TestBrowserEvaluate measures from the page, looks at the figures, and compares two runs.
func TestBrowserEvaluate(t *testing.T) {
	b := openBrowser(t)
	s := phrased(t)
	for _, engine := range []string{"mix", "phrase"} {
		b.open(s.URL + "/evaluate")
		b.run(chromedp.SetValue(chromedp.CSS("#engine"), engine), chromedp.SendKeys(chromedp.CSS("#limit"), "3"),
			chromedp.Click(chromedp.CSS(".measure button")), chromedp.WaitReady(chromedp.CSS(".job:first-of-type .state.done")))
	}
	b.run(chromedp.Click(chromedp.CSS(".job a")), chromedp.WaitReady(chromedp.CSS(".figures")))
	if figures := value[string](b, `document.querySelector(".figures").innerText`); !strings.Contains(figures, "F1 of words") {
		t.Errorf("the figures are %q", figures)
	}
	b.run(chromedp.Click(chromedp.CSS("tr:nth-of-type(2) [name=with]")), chromedp.Click(chromedp.CSS("form[method=get][action='/evaluate'] button")),
		chromedp.WaitReady(chromedp.CSS("#changed")))
	text := value[string](b, `document.querySelector("section[aria-labelledby=changed]").innerText`)
	if !strings.Contains(text, "better") || !strings.Contains(text, "phrase (") || !strings.Contains(text, "mix (") {
		t.Errorf("compared: %q", text)
	}
	b.onlyThisMachine(s)
}

// TestBrowserEngine chooses the engine on the page, and comes back to the answer that it gave.
func TestBrowserEngine(t *testing.T) {
	b := openBrowser(t)
	s := phrased(t)
	b.open(s.URL + "/ask?q=Who+designed+the+bridge%3F")
	engine := `document.querySelector(".took").textContent.split(" ").pop()`
	if got := value[string](b, engine); got != "auto" {
		t.Errorf("unasked, %s answers", got)
	}
	b.run(chromedp.Click(chromedp.CSS("[name=engine][value=phrase]")), chromedp.Click(chromedp.CSS(".ask button")), when(engine+` === "phrase"`))
	if address := b.address(); !strings.HasSuffix(address, "&engine=phrase") {
		t.Errorf("the address is %s", address)
	}
	b.run(chromedp.Click(chromedp.CSS(".answer [data-open]")), chromedp.WaitReady(chromedp.CSS("mark.here")),
		chromedp.Click(chromedp.CSS(".reader aside a")), chromedp.WaitReady(chromedp.CSS("[name=engine][value=phrase]:checked")))
	without := emptyServer(t)
	b.open(without.URL + "/ask")
	if !value[bool](b, `document.querySelector("[name=engine][value=phrase]").disabled`) {
		t.Error("phrases can be chosen where there are none")
	}
}

// TestBrowserIndexes chooses another index; what is found there leads to its documents.
func TestBrowserIndexes(t *testing.T) {
	b := openBrowser(t)
	s := real(t)
	snapshot := s.done("POST", apiPath+"/snapshots", `{}`).Snapshot.Name
	s.do("POST", apiPath+"/indexes", map[string]any{"name": "copy", "snapshot": snapshot}).status(201)
	b.open(s.URL + "/ask")
	b.run(chromedp.SetValue(chromedp.CSS("#index"), "copy"), chromedp.Click(chromedp.CSS(".choose button")), chromedp.WaitReady(chromedp.CSS(".ask [name=index][value=copy]")),
		chromedp.SendKeys(chromedp.CSS("#q"), "Who designed the bridge?\r"), chromedp.WaitReady(chromedp.CSS(".answer mark")))
	b.run(chromedp.Click(chromedp.CSS(".answer [data-open]")), chromedp.WaitReady(chromedp.CSS("mark.here")))
	if address := b.address(); !strings.Contains(address, "/read/copy/") {
		t.Errorf("the answer leads to %s", address)
	}
	for _, page := range []string{"/look", "/region", "/library", "/search?kind=images&q=red"} {
		to := page + "?index=copy"
		if strings.Contains(page, "?") {
			to = page + "&index=copy"
		}
		b.open(s.URL + to)
		link := value[string](b, `document.querySelector("[data-open]").getAttribute("href")`)
		if !strings.Contains(link, "copy") {
			t.Errorf("%s leads to %s", to, link)
		}
		if got := value[float64](b, `fetch(document.querySelector("[data-open]").href).then(r => r.status)`); got != 200 {
			t.Errorf("%s: status %g", link, got)
		}
	}
}

// TestBrowserRegion paints a part of a picture and sees which name fits it, by mouse and by keys.
func TestBrowserRegion(t *testing.T) {
	b := openBrowser(t)
	s := real(t)
	name, at, want := "red.png", [4]float64{0.2, 0.2, 0.8, 0.8}, ""
	if _, err := os.Stat(filepath.Join(s.folder, "dog-human.jpg")); err == nil {
		name, at, want = "dog-human.jpg", [4]float64{0.45, 0.08, 0.66, 0.3}, "dog"
	}
	b.open(s.URL + "/region?image=" + s.id(name))
	b.run(chromedp.WaitVisible(chromedp.CSS("canvas")), chromedp.SendKeys(chromedp.CSS("#labels"), "dog\nhuman face\ngrass\nsky"))
	b.run(chromedp.Click(chromedp.CSS("[data-tool=box]")),
		chromedp.Evaluate[chromedp.Void](fmt.Sprintf(stroke, at[0], at[1], at[2], at[3])),
		chromedp.WaitVisible(chromedp.CSS("[data-results] .bar")))
	live := value[string](b, `document.querySelector(".live figcaption").textContent`)
	if !strings.HasPrefix(live, "step 10 of 10, fits 0.") {
		t.Errorf("the live map says %q", live)
	}
	seen := `(() => { const c = document.querySelector(".live canvas"), d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 0; i < d.length; i += 4) n += d[i] - d[i + 2]; return n; })()`
	last := value[float64](b, seen)
	b.run(chromedp.Evaluate[chromedp.Void](`(() => { const s = document.querySelector(".live input"); s.value = 1; s.dispatchEvent(new Event("input")); })()`))
	if first := value[float64](b, seen); first == last || first == 0 {
		t.Errorf("at the first step the map shows %g, at the last %g", first, last)
	}
	best := value[string](b, `document.querySelector("[data-results] .bar span").textContent`)
	t.Logf("%s after %s ms", best, value[string](b, `document.querySelector("[data-took]").dataset.took`))
	if want != "" && best != want {
		t.Errorf("the region is %q, want %q", best, want)
	}
	b.run(chromedp.Click(chromedp.CSS("[data-results] .bars button")), when(`document.querySelector("#live").textContent.startsWith("The map")`))
	b.run(chromedp.WaitVisible(chromedp.CSS(".words .caption")))
	if said := value[string](b, `document.querySelector(".words .caption").textContent + "|" + document.querySelector(".speaks").textContent`); strings.HasPrefix(said, "|") || !strings.Contains(said, "words of its training photos") {
		t.Errorf("in words: %q", said)
	}
	b.shot("region-painted")
	b.takesAlong()
	b.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("canvas").focus()`),
		chromedp.KeyEvent("b"), chromedp.KeyEvent("\r"), when(`document.querySelector("[data-results] .bar")`))
	painted := value[float64](b, `(() => { const c = document.querySelector("canvas"); const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n / (c.width * c.height); })()`)
	if painted < 0.01 {
		t.Errorf("only %.4f of the picture is painted", painted)
	}
	b.onlyThisMachine(s)
}
