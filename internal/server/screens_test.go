package server

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"evident"
	"evident/internal/service"
)

// TestScreens makes the pictures of docs/screens, whose README says of what: EVIDENT_SCREENSHOTS is the folder for them,
// EVIDENT_SCREENSHOTS_OF that of the texts and photos.
func TestScreens(t *testing.T) {
	of := os.Getenv("EVIDENT_SCREENSHOTS_OF")
	if of == "" || os.Getenv("EVIDENT_SCREENSHOTS") == "" {
		t.Skip("NOT TESTED: pictures of the pages are made where EVIDENT_SCREENSHOTS and EVIDENT_SCREENSHOTS_OF name folders")
	}
	b := openBrowser(t)
	s := screened(t, of)
	astronaut, cat := s.id("astronaut.jpg"), s.id("chelsea.jpg")
	b.as("light", 1440)
	b.open(s.URL + "/ask?q=" + url.QueryEscape("Who was the first woman to command a space shuttle?"))
	b.shot("ask")
	b.run(chromedp.Click(chromedp.CSS(".answer [data-open]")), chromedp.WaitReady(chromedp.CSS("mark.here")))
	b.shot("read")
	b.open(s.URL + "/look?image=" + astronaut + "&texts=" + url.QueryEscape("a face\na space shuttle\na helmet"))
	b.run(chromedp.WaitVisible(chromedp.CSS(".stage canvas")), chromedp.Click(chromedp.CSS(".map:nth-of-type(3) input")))
	b.shot("look")
	b.open(s.URL + "/region?image=" + cat)
	b.run(chromedp.WaitVisible(chromedp.CSS("canvas")), chromedp.SendKeys(chromedp.CSS("#labels"), "cat\ndog\ncushion\nwall"),
		chromedp.Click(chromedp.CSS("[data-tool=box]")),
		chromedp.Evaluate[chromedp.Void](fmt.Sprintf(stroke, 0.16, 0.06, 0.62, 0.9)), chromedp.WaitVisible(chromedp.CSS(".words")))
	b.shot("region")
	b.as("dark", 390)
	b.open(s.URL + "/search?kind=images&q=" + url.QueryEscape("a cup on a saucer"))
	b.shot("search-narrow")
	b.open(s.URL + "/ask?q=" + url.QueryEscape("Who paid for the launch pad?"))
	b.shot("abstained-narrow")
}

// as sets the scheme of colours and the width of the window.
func (b *browser) as(scheme string, width int64) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}); err != nil {
		b.t.Fatal(err)
	}
	b.run(chromedp.EmulateViewport(width, 900))
}

// screened is a server over a folder as its owner sees it: with the default models, and with paths from the folder above.
func screened(t *testing.T, folder string) *testServer {
	t.Helper()
	index, err := evident.Open(t.Context(), filepath.Join(t.TempDir(), "index"), evident.Options{
		Create: true, CacheDir: cacheDir, Vision: evident.VisionOptions{CacheDir: cacheDir},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	t.Chdir(filepath.Dir(folder))
	if _, err := index.Add(t.Context(), []string{filepath.Base(folder)}, evident.AddOptions{CacheDir: cacheDir}); err != nil {
		t.Fatal(err)
	}
	return start(t, func(o *service.Options, _ *Options) { o.Indexes[0].Index = index })
}
