package server

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"evident"
	"evident/api"
	"evident/client"
	"evident/models"
)

func TestRegions(t *testing.T) {
	s := start(t, nil)
	id := s.id("red.png") // 24 × 16
	var left bytes.Buffer
	mask := image.NewGray(image.Rect(0, 0, 24, 16))
	for y := range 16 {
		for x := range 11 {
			mask.SetGray(x, y, color.Gray{255})
		}
	}
	if err := png.Encode(&left, mask); err != nil {
		t.Fatal(err)
	}
	request := map[string]any{
		"image": id, "labels": []string{"a red wall", "a horse", "a cup"}, "similar": 1, "vectors": true,
		"masks": []any{
			map[string]any{"name": "box", "box": []float64{0, 0, 11, 16}},
			map[string]any{"name": "painted", "png": base64.StdEncoding.EncodeToString(left.Bytes())},
			map[string]any{"name": "corner", "polygon": []float64{12, 0, 24, 0, 24, 7}},
		},
	}
	var r api.RegionResult
	s.do("POST", apiPath+"/regions", request).status(200).json(&r)
	if len(r.Regions) != 3 || r.Width != 24 || r.Image != id || r.TookMS["maskinv"] == 0 {
		t.Fatalf("got %+v", r)
	}
	sum := 0.0
	for i, a := range r.Regions[0].Vector {
		sum += float64(a) * float64(a)
		if b := r.Regions[1].Vector[i]; math.Abs(float64(a-b)) > 1e-5 {
			t.Fatalf("value %d of the same region differs by how it is told: %g and %g", i, a, b)
		}
	}
	if math.Abs(sum-1) > 1e-3 || r.Regions[0].Box != [4]int{0, 0, 11, 16} || r.Regions[0].Area != 11.0/24 {
		t.Errorf("length² %g, box %v, area %g", sum, r.Regions[0].Box, r.Regions[0].Area)
	}
	for _, one := range r.Regions {
		total := 0.0
		for _, l := range one.Labels {
			total += l.Score
		}
		if len(one.Labels) != 3 || math.Abs(total-1) > 1e-6 || one.Labels[0].Score < one.Labels[2].Score {
			t.Errorf("labels of %s: %+v", one.Mask, one.Labels)
		}
		if len(one.Similar) != 1 || one.Similar[0].ImageHit.ID != s.id("blue.png") {
			t.Errorf("similar to %s: %+v", one.Mask, one.Similar)
		}
		heat, err := png.Decode(bytes.NewReader(s.do("GET", one.Heat, nil).status(200).body))
		if err != nil || heat.Bounds().Dx() != 24 || heat.Bounds().Dy() != 16 {
			t.Errorf("map of %s: %v", one.Mask, err)
		}
	}
	s.do("GET", apiPath+"/explanations/"+r.ID, nil).problem("not-found")
	s.do("GET", apiPath+"/regions/"+r.ID+"/maps/3/heat.png", nil).problem("not-found")
}

func TestMatchRegions(t *testing.T) {
	s := start(t, nil)
	c, err := client.New(s.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	masks := []api.RegionMask{{Name: "l", Box: []float64{0, 0, 12, 20}}, {Name: "r", Circle: []float64{20, 10, 5}}}
	r, err := c.MatchRegions(t.Context(), api.RegionMatchRequest{
		Masks: masks, Expressions: []string{"the dark side", "a dot"},
	}, bytes.NewReader(picture(t, 30, 20, image.Black)))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Matches) != 2 || len(r.Matches[0].Ranking) != 2 || r.Matches[1].Text != "a dot" {
		t.Errorf("got %+v", r.Matches)
	}
}

// TestCaptionRegions: regions, and without masks the whole picture, are captioned; the map is the caption's.
func TestCaptionRegions(t *testing.T) {
	if _, err := models.Open(models.Captions); err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
	s := start(t, nil)
	c, err := client.New(s.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.CaptionRegions(t.Context(), api.RegionCaptionRequest{
		Masks: []api.RegionMask{{Name: "l", Box: []float64{0, 0, 12, 20}}}, Count: 2,
	}, bytes.NewReader(picture(t, 30, 20, image.Black)))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Regions) != 1 || len(r.Regions[0].Captions) != 2 || r.Regions[0].Captions[0].Text == "" {
		t.Fatalf("got %+v", r.Regions)
	}
	for _, said := range r.Regions[0].Captions {
		if !(said.Score >= 0 && said.Score <= 1 && said.Likelihood > 0 && said.Likelihood <= 1 && said.Dice > 0 && said.Dice <= 1) {
			t.Errorf("%+v", said)
		}
	}
	heat, err := png.Decode(bytes.NewReader(s.do("GET", r.Regions[0].Heat, nil).status(200).body))
	if err != nil || heat.Bounds().Dx() != 30 {
		t.Errorf("map: %v", err)
	}
	var whole api.RegionResult
	s.do("POST", apiPath+"/regions/caption", map[string]any{"image": s.id("red.png")}).status(200).json(&whole)
	if len(whole.Regions) != 1 || whole.Regions[0].Mask != "picture" || whole.Method != "whole" || len(whole.Regions[0].Captions) != 1 {
		t.Errorf("the whole picture: %+v", whole)
	}
	s.do("POST", apiPath+"/regions/caption", map[string]any{"image": s.id("red.png"), "count": 21}).problem("invalid-request")
}

// TestExportRegions fetches the vectors of two regions as files, and compares them with those that come as JSON.
func TestExportRegions(t *testing.T) {
	s := start(t, nil)
	c, err := client.New(s.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	id, masks := s.id("red.png"), []api.RegionMask{{Box: []float64{0, 0, 11, 16}}, {Circle: []float64{12, 8, 5}}}
	asJSON, err := c.Regions(t.Context(), api.RegionRequest{Image: id, Masks: masks, Vectors: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	size := len(asJSON.Regions[0].Vector)
	file, err := c.ExportRegions(t.Context(), api.RegionExportRequest{Image: id, Masks: masks, File: "npy"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("'shape': (2, %d,)", size); !bytes.HasPrefix(file, []byte("\x93NUMPY")) || !bytes.Contains(file[:128], []byte(want)) {
		t.Fatalf("no array of %s: %q", want, file[:128])
	}
	values := file[len(file)-8*size:]
	for i, r := range asJSON.Regions {
		for j, want := range r.Vector {
			if got := math.Float32frombits(binary.LittleEndian.Uint32(values[4*(i*size+j):])); got != want {
				t.Fatalf("region %d, value %d: %g in the file, %g in JSON", i, j, got, want)
			}
		}
	}
	tensors := s.do("POST", apiPath+"/regions/export", map[string]any{"image": id, "masks": masks, "half": true}).status(200)
	length := binary.LittleEndian.Uint64(tensors.body)
	var header map[string]struct {
		DType string `json:"dtype"`
		Shape []int  `json:"shape"`
	}
	if err := json.Unmarshal(tensors.body[8:8+length], &header); err != nil {
		t.Fatal(err)
	}
	if e := header["image_embeds"]; e.DType != "F16" || !slices.Equal(e.Shape, []int{2, size}) {
		t.Errorf("image_embeds is %+v", e)
	}
	if got := tensors.Header.Get("Content-Disposition"); got != `attachment; filename="regions.safetensors"` {
		t.Errorf("it is to be kept as %s", got)
	}
	p := s.do("POST", apiPath+"/regions/export", map[string]any{"image": id, "masks": masks, "form": "unclip"}).problem("other-encoder")
	if !strings.Contains(p.Detail, "CLIP ViT-L/14") {
		t.Errorf("the encoder is not named: %s", p.Detail)
	}
	s.do("POST", apiPath+"/regions/export", map[string]any{"image": id, "masks": masks, "form": "unclip", "unchecked": true}).status(200)
	s.do("POST", apiPath+"/regions/export", map[string]any{"image": id, "masks": masks, "form": "other"}).problem("invalid-request")
	s.do("POST", apiPath+"/regions/export", map[string]any{"image": id}).problem("invalid-request")
}

// TestFormsOfExport: the API names the forms that the library has.
func TestFormsOfExport(t *testing.T) {
	field, _ := reflect.TypeFor[api.RegionExportRequest]().FieldByName("Form")
	named := strings.Split(field.Tag.Get("enum"), ",")
	var has []string
	for _, f := range evident.ExportForms() {
		has = append(has, f.Name)
	}
	slices.Sort(named)
	if slices.Sort(has); !slices.Equal(named, has) {
		t.Errorf("named are %v, there are %v", named, has)
	}
}

func TestMasksRefused(t *testing.T) {
	s := start(t, nil)
	id := s.id("red.png")
	for name, c := range map[string]struct {
		mask any
		code string
	}{
		"outside":       {map[string]any{"box": []float64{50, 50, 60, 60}}, "bad-mask"},
		"empty":         {map[string]any{"box": []float64{5, 5, 5, 5}}, "bad-mask"},
		"no PNG":        {map[string]any{"png": "AAAA"}, "bad-mask"},
		"no base64":     {map[string]any{"png": "!"}, "bad-mask"},
		"bad runs":      {map[string]any{"rle": map[string]any{"size": []int{16, 24}, "counts": "~~"}}, "bad-mask"},
		"two ways":      {map[string]any{"box": []float64{0, 0, 5, 5}, "circle": []float64{3, 3, 2}}, "ambiguous"},
		"none":          {map[string]any{"name": "x"}, "ambiguous"},
		"box of three":  {map[string]any{"box": []float64{0, 0, 5}}, "invalid-request"},
		"unknown field": {map[string]any{"boxes": []float64{0, 0, 5}}, "invalid-request"},
	} {
		t.Run(name, func(t *testing.T) {
			s.do("POST", apiPath+"/regions", map[string]any{"image": id, "masks": []any{c.mask}}).problem(c.code)
		})
	}
	many := make([]any, 65)
	for i := range many {
		many[i] = map[string]any{"box": []float64{0, 0, 5, 5}}
	}
	s.do("POST", apiPath+"/regions", map[string]any{"image": id, "masks": many}).problem("invalid-request")
}
