package server

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"image"
	"image/jpeg"
	"image/png"
	"math"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"evident/api"
	"evident/internal/service"
)

func TestAsk(t *testing.T) {
	s := start(t, nil)
	var posted, got api.Answer
	a := s.do("POST", apiPath+"/ask", map[string]any{"question": "who designed the bridge", "threshold": -1, "top": 2}).status(200).json(&posted)
	if timing := a.Header.Get("Server-Timing"); !strings.Contains(timing, "read;dur=") || !strings.Contains(timing, "total;dur=") {
		t.Errorf("Server-Timing %q", timing)
	}
	s.do("GET", apiPath+"/ask?threshold=-1&top=2&question=who+designed+the+bridge", nil).status(200).json(&got)
	if len(posted.Answers) == 0 || len(posted.Answers) > 2 || posted.Answers[0].Text != got.Answers[0].Text {
		t.Fatalf("posted %+v, got %+v", posted.Answers, got.Answers)
	}
	for _, c := range posted.Answers {
		e := c.Evidence
		stored := s.do("GET", apiPath+"/indexes/default/documents/"+e.Source.ID+"/text", nil).status(200)
		if quoted := string(stored.body[e.Text.Byte[0]:e.Text.Byte[1]]); quoted != e.Text.Exact || quoted == "" {
			t.Errorf("the stored text has %q where %q is quoted", quoted, e.Text.Exact)
		}
		span := "?start=" + strconv.Itoa(e.Text.Byte[0]) + "&end=" + strconv.Itoa(e.Text.Byte[1])
		var again api.Evidence
		s.do("GET", apiPath+"/indexes/default/documents/"+e.Source.ID+"/evidence"+span, nil).status(200).json(&again)
		if again.Text.Exact != e.Text.Exact || again.Text.Prefix != e.Text.Prefix || again.Source.SHA256 != e.Source.SHA256 {
			t.Errorf("evidence is %+v, was %+v", again, e)
		}
	}
}

func TestAskAbstains(t *testing.T) {
	s := start(t, nil)
	var a api.Answer
	s.do("POST", apiPath+"/ask", map[string]any{"question": "who designed the bridge", "threshold": 1}).status(200).json(&a)
	if !a.Abstained || a.Reason == "" || len(a.Nearest) == 0 || a.Nearest[0].ID == "" || a.Answers == nil {
		t.Errorf("got %+v", a)
	}
}

func TestRefusals(t *testing.T) {
	s := start(t, func(_ *service.Options, o *Options) { o.BodyMax = 3 << 20 })
	id := s.id("valley.txt")
	docs := apiPath + "/indexes/default/documents/"
	for _, c := range []struct {
		name, method, path string
		body               any
		headers            []string
		code, where        string
	}{
		{"unknown field", "POST", apiPath + "/ask", `{"question":"who","tpo":3}`, nil, "invalid-request", "body /tpo"},
		{"no words", "POST", apiPath + "/ask", `{"question":"  "}`, nil, "bad-question", ""},
		{"too many words", "POST", apiPath + "/ask", map[string]any{"question": strings.Repeat("word ", 300)}, nil, "bad-question", ""},
		{"no such index", "POST", apiPath + "/ask", `{"question":"who","index":"other"}`, nil, "no-index", ""},
		{"no such engine", "POST", apiPath + "/ask", `{"question":"who","engine":"steam"}`, nil, "invalid-request", "body /engine"},
		{"no JSON", "POST", apiPath + "/ask", `{"question":`, nil, "invalid-request", "body /"},
		{"not said to be JSON", "POST", apiPath + "/ask", strings.NewReader(`{"question":"who"}`), []string{"Content-Type", "text/plain"}, "unsupported-type", ""},
		{"a body too large", "POST", apiPath + "/ask", `{"question":"` + strings.Repeat("x", 4<<20) + `"}`, nil, "body-too-large", ""},
		{"unknown parameter", "GET", apiPath + "/search?query=bridge&limit=3", nil, nil, "invalid-request", "query limit"},
		{"a query that is none", "GET", apiPath + "/search?query=%zz", nil, nil, "invalid-request", "query"},
		{"a parameter where there are none", "GET", apiPath + "/models?x=1", nil, nil, "invalid-request", "query x"},
		{"no such document", "GET", docs + "0000000000000000", nil, nil, "no-document", ""},
		{"no such path", "GET", "/api/v1/nothing", nil, nil, "not-found", ""},
		{"no such method", "PATCH", apiPath + "/ask", nil, nil, "method-not-allowed", ""},
		{"span beyond the text", "GET", docs + id + "/evidence?start=0&end=9999", nil, nil, "bad-span", ""},
		{"span turned around", "GET", docs + id + "/evidence?start=9&end=3", nil, nil, "bad-span", ""},
		{"a text is no picture", "GET", docs + id + "/image", nil, nil, "not-an-image", ""},
		{"a text has no pages", "GET", docs + id + "/pages/1/image.png", nil, nil, "no-page", ""},
		{"page that is no number", "GET", docs + id + "/pages/one/marks?start=0&end=3", nil, nil, "no-page", ""},
		{"cursor of another kind", "GET", apiPath + "/indexes/default/documents?cursor=abc", nil, nil, "bad-cursor", ""},
		{"text and picture", "GET", apiPath + "/search/images?query=a&like=b", nil, nil, "ambiguous", ""},
		{"neither text nor picture", "GET", apiPath + "/search/images", nil, nil, "ambiguous", ""},
		{"blank text", "POST", apiPath + "/embeddings", `{"texts":[" "]}`, nil, "bad-text", ""},
		{"explain a text", "POST", apiPath + "/explanations", `{"image":"` + id + `","texts":["a"]}`, nil, "not-an-image", ""},
		{"no such model", "POST", "/v1/embeddings", `{"model":"other","input":"a"}`, nil, "no-model", ""},
		{"no such job", "GET", apiPath + "/jobs/000000000000000000", nil, nil, "not-found", ""},
		{"no such explanation", "GET", apiPath + "/explanations/000000000000000000/overlay.png", nil, nil, "not-found", ""},
		{"another folder", "POST", apiPath + "/jobs", `{"kind":"index","paths":["/etc"]}`, nil, "folder-not-allowed", ""},
		{"out of the folder", "POST", apiPath + "/jobs", map[string]any{"kind": "index", "paths": []string{s.folder + "/../"}}, nil, "folder-not-allowed", ""},
		{"another host", "GET", apiPath + "/status", nil, []string{"Host", "evil.example"}, "host-not-allowed", ""},
		{"another origin", "POST", apiPath + "/ask", `{"question":"who"}`, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, "cross-origin", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := s.do(c.method, c.path, c.body, c.headers...).problem(c.code)
			if c.where != "" && (len(p.Errors) == 0 || p.Errors[0].Where != c.where) {
				t.Errorf("faults %+v, want one at %q", p.Errors, c.where)
			}
		})
	}
	if allow := s.do("PATCH", apiPath+"/ask", nil).Header.Get("Allow"); !strings.Contains(allow, "POST") {
		t.Errorf("Allow %q", allow)
	}
}

func TestSearch(t *testing.T) {
	s := start(t, nil)
	var r api.SearchResult
	s.do("POST", apiPath+"/search", `{"query":"fine crowns","top":2,"explain":true}`).status(200).json(&r)
	if len(r.Hits) == 0 || !strings.HasSuffix(r.Hits[0].Path, "rules.md") || r.Hits[0].Why == nil || r.Hits[0].ID != s.id("rules.md") {
		t.Errorf("got %+v", r.Hits)
	}
	s.do("GET", apiPath+"/search?query=zebra", nil).status(200).json(&r)
	if r.Hits == nil || len(r.Hits) != 0 {
		t.Errorf("nothing found is %+v", r.Hits)
	}
}

func TestDocuments(t *testing.T) {
	s := start(t, nil)
	var all, first, rest api.DocumentList
	at := apiPath + "/indexes/default/documents"
	s.do("GET", at, nil).status(200).json(&all)
	if all.Total != 5 || len(all.Documents) != 5 || all.Next != "" {
		t.Fatalf("got %+v", all)
	}
	a := s.do("GET", at+"?limit=2", nil).status(200).json(&first)
	if len(first.Documents) != 2 || first.Total != 5 || !strings.Contains(a.Header.Get("Link"), `rel="next"`) {
		t.Fatalf("got %+v, Link %q", first, a.Header.Get("Link"))
	}
	seen := first.Documents
	for next := first.Next; next != ""; next = rest.Next {
		rest = api.DocumentList{}
		s.do("GET", at+"?limit=2&cursor="+url.QueryEscape(next), nil).status(200).json(&rest)
		seen = append(seen, rest.Documents...)
	}
	for i, d := range seen {
		if d != all.Documents[i] && (d.Image == nil || *d.Image != *all.Documents[i].Image) {
			t.Errorf("document %d is %+v, want %+v", i, d, all.Documents[i])
		}
	}
	if len(seen) != 5 {
		t.Errorf("%d documents over pages", len(seen))
	}
	s.do("GET", at+"?kind=image", nil).status(200).json(&rest)
	if rest.Total != 2 || rest.Documents[0].Image == nil || rest.Documents[0].Format != "image/png" {
		t.Errorf("pictures: %+v", rest)
	}
	var d api.Document
	s.do("GET", at+"/"+s.id("rules.md"), nil).status(200).json(&d)
	if len(d.Headings) != 2 || d.Headings[1].Text != "Fines" || d.Passages == 0 {
		t.Errorf("got %+v", d)
	}
}

func TestETags(t *testing.T) {
	s := start(t, nil)
	docs := apiPath + "/indexes/default/documents/"
	for _, path := range []string{docs + s.id("valley.txt") + "/text", docs + s.id("valley.txt"), docs + s.id("red.png") + "/image", "/static/evident.css"} {
		tag := s.do("GET", path, nil).status(200).Header.Get("ETag")
		if tag == "" {
			t.Errorf("%s has no ETag", path)
			continue
		}
		if a := s.do("GET", path, nil, "If-None-Match", `"x", `+tag).status(304); len(a.body) > 0 || a.Header.Get("ETag") != tag {
			t.Errorf("%s: 304 with a body, or without its tag", path)
		}
		s.do("GET", path, nil, "If-None-Match", `"x"`).status(200)
	}
	if a := s.do("HEAD", docs+s.id("valley.txt")+"/text", nil).status(200); a.ContentLength != int64(len(library["valley.txt"])) || len(a.body) > 0 {
		t.Errorf("HEAD: %d bytes promised, %d sent", a.ContentLength, len(a.body))
	}
}

func TestPictures(t *testing.T) {
	s := start(t, nil)
	id := s.id("blue.png")
	a := s.do("GET", apiPath+"/indexes/default/documents/"+id+"/image?side=20", nil).status(200)
	im, err := jpeg.Decode(bytes.NewReader(a.body))
	if err != nil || im.Bounds().Dx() != 20 || im.Bounds().Dy() != 10 {
		t.Fatalf("%v, %v", im.Bounds(), err)
	}
	var found api.ImageSearchResult
	s.do("GET", apiPath+"/search/images?like="+id, nil).status(200).json(&found)
	if len(found.Hits) != 2 || found.Hits[0].ID != id || found.Hits[0].Score < 0.999 || found.Hits[1].Score >= found.Hits[0].Score {
		t.Errorf("like itself: %+v", found.Hits)
	}
	file := picture(t, 30, 16, image.White)
	body, media := form(t, file, "top", "1")
	s.do("POST", apiPath+"/search/images", body, "Content-Type", media).status(200).json(&found)
	if len(found.Hits) != 1 {
		t.Errorf("like an upload: %+v", found.Hits)
	}
	s.do("POST", apiPath+"/search/images", `{"query":"a blue field","top":2}`).status(200).json(&found)
	if len(found.Hits) != 2 {
		t.Errorf("by text: %+v", found.Hits)
	}
}

func TestExplain(t *testing.T) {
	s := start(t, nil)
	body, media := form(t, picture(t, 37, 23, image.Black), "texts", "a white dot", "texts", "a horse")
	var e api.Explanation
	a := s.do("POST", apiPath+"/explanations", body, "Content-Type", media).status(201).json(&e)
	if e.Width != 37 || e.Height != 23 || len(e.Maps) != 2 || e.Maps[1].Text != "a horse" || e.Maps[0].Words == "" {
		t.Fatalf("got %+v", e)
	}
	if a.Header.Get("Location") != apiPath+"/explanations/"+e.ID {
		t.Errorf("Location %q", a.Header.Get("Location"))
	}
	var again api.Explanation
	s.do("GET", a.Header.Get("Location"), nil).status(200).json(&again)
	if again.Maps[0] != e.Maps[0] {
		t.Errorf("it is %+v, was %+v", again.Maps[0], e.Maps[0])
	}
	heat, err := png.Decode(bytes.NewReader(s.do("GET", e.Maps[0].Heat, nil).status(200).body))
	if err != nil || heat.Bounds().Dx() != 37 || heat.Bounds().Dy() != 23 {
		t.Errorf("heat: %v %v", heat.Bounds(), err)
	}
	checkRaw(t, s.do("GET", e.Maps[0].Raw, nil).status(200).body, &e.Maps[0])
	overlay := s.do("GET", apiPath+"/explanations/"+e.ID+"/overlay.png?layout=side&palette=jet", nil).status(200)
	if _, err := png.Decode(bytes.NewReader(overlay.body)); err != nil {
		t.Error(err)
	}
	s.do("GET", apiPath+"/explanations/"+e.ID+"/overlay.png?layout=round", nil).problem("invalid-request")
	s.do("GET", apiPath+"/explanations/"+e.ID+"/maps/2/heat.png", nil).problem("not-found")
	s.do("GET", apiPath+"/explanations/"+e.ID+"/picture", nil).status(200)
}

// checkRaw compares a NumPy file with what the explanation says of the map.
func checkRaw(t *testing.T, file []byte, m *api.TextMap) {
	t.Helper()
	if !bytes.HasPrefix(file, []byte("\x93NUMPY\x01\x00")) || !bytes.Contains(file[:128], []byte("'shape': (23, 37,), ")) {
		t.Fatalf("not the array: %.128q", file)
	}
	values := file[10+int(binary.LittleEndian.Uint16(file[8:])):]
	if len(values) != 4*37*23 {
		t.Fatalf("%d bytes", len(values))
	}
	peak, at := math.Inf(-1), 0
	for i := range 37 * 23 {
		if v := float64(math.Float32frombits(binary.LittleEndian.Uint32(values[4*i:]))); v > peak {
			peak, at = v, i
		}
	}
	if math.Abs(peak-m.Max) > 1e-6*math.Abs(peak) || [2]int{at % 37, at / 37} != m.Peak {
		t.Errorf("the strongest is %g at %d, %d, said to be %g at %v", peak, at%37, at/37, m.Max, m.Peak)
	}
}

func TestUploadLimits(t *testing.T) {
	s := start(t, func(o *service.Options, so *Options) { o.PixelsMax, so.BodyMax = 500, 1<<20 })
	explain := func(file []byte) *answer {
		body, media := form(t, file, "texts", "a dot")
		return s.do("POST", apiPath+"/explanations", body, "Content-Type", media)
	}
	explain(picture(t, 25, 20, image.White)).status(201)
	explain(picture(t, 26, 20, image.White)).problem("image-too-large")
	explain(bytes.Repeat([]byte{7}, 1<<20)).problem("body-too-large")
	explain([]byte("no picture")).problem("not-an-image")
	cut := picture(t, 25, 20, image.White)
	explain(cut[:len(cut)-20]).problem("not-an-image")
	explain(nil).problem("not-an-image")
	s.do("POST", apiPath+"/explanations", strings.NewReader("x"), "Content-Type", "multipart/form-data").problem("invalid-request")
	s.do("POST", apiPath+"/explanations", strings.NewReader("--b\r\nx"), "Content-Type", "multipart/form-data; boundary=b").problem("invalid-request")
}

func TestEmbeddings(t *testing.T) {
	s := start(t, nil)
	var mine api.EmbeddingResult
	s.do("POST", apiPath+"/embeddings", `{"texts":["a cat","a dog"]}`).status(200).json(&mine)
	var others api.OpenAIEmbeddingList
	s.do("POST", "/v1/embeddings", `{"model":"`+mine.Model+`","input":"a dog"}`).status(200).json(&others)
	if len(others.Data) != 1 || others.Usage.TotalTokens != 2 {
		t.Fatalf("got %+v", others)
	}
	square := 0.0
	for i, v := range mine.Vectors[1] {
		square += float64(v) * float64(v)
		if math.Abs(float64(v-others.Data[0].Embedding[i])) > 1e-5 {
			t.Fatalf("value %d is %g in one form and %g in the other", i, v, others.Data[0].Embedding[i])
		}
	}
	if math.Abs(square-1) > 1e-3 {
		t.Errorf("the vector has length %g", math.Sqrt(square))
	}
	var list api.OpenAIModelList
	s.do("GET", "/v1/models", nil).status(200).json(&list)
	if len(list.Data) != 2 || list.Data[1].ID != mine.Model {
		t.Errorf("models %+v", list.Data)
	}
}

func TestOperation(t *testing.T) {
	metrics := NewMetrics()
	s := start(t, func(o *service.Options, so *Options) { o.Observe, so.Metrics = metrics, metrics })
	for _, path := range []string{"/livez", "/readyz", "/healthz"} {
		var h api.Health
		if s.do("GET", path, nil).status(200).json(&h); h.Status != "ok" {
			t.Errorf("%s: %+v", path, h)
		}
	}
	s.do("POST", apiPath+"/ask", `{"question":"who designed the bridge","threshold":-1}`).status(200)
	text := string(s.do("GET", "/metrics", nil).status(200).body)
	for _, want := range []string{
		`evident_answers_total{outcome="span"} 1`, `evident_index_documents{kind="image"} 2`,
		`evident_http_request_duration_seconds_count{method="POST",route="/api/v1/ask",status="200"} 1`,
		`evident_stage_duration_seconds_count{stage="read"} 1`, "evident_queue_depth 0",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	var status api.Status
	s.do("GET", apiPath+"/status", nil).status(200).json(&status)
	if !status.Ready || status.Version != "v0.0.1-test" || status.Limits.Queue != max(service.WaitingLeast, service.WaitingEach*runtime.GOMAXPROCS(0)) || status.Indexes[0].Documents != 3 {
		encoded, _ := json.Marshal(status)
		t.Errorf("status %s", encoded)
	}
}
