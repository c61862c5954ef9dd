package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"evident/api"
	"evident/document"
	"evident/internal/weights"
)

func (s *Server) askQuery(c *call) (*reply, error) {
	var r api.AskRequest
	if err := c.query(&r); err != nil {
		return nil, err
	}
	return s.ask(c, r)
}

func (s *Server) askBody(c *call) (*reply, error) {
	var r api.AskRequest
	if err := c.decode(&r); err != nil {
		return nil, err
	}
	return s.ask(c, r)
}

func (s *Server) ask(c *call, r api.AskRequest) (*reply, error) {
	if c.wantsEvents() {
		return partly(s, c, func(ctx context.Context, tell func(*api.Answer)) (*api.Answer, error) {
			return s.service.Ask(ctx, r, tell)
		}), nil
	}
	answer, err := s.service.Ask(c.Context(), r, nil)
	if err != nil {
		return nil, err
	}
	return &reply{json: answer, took: answer.TookMS}, nil
}

func (s *Server) searchQuery(c *call) (*reply, error) {
	var r api.SearchRequest
	if err := c.query(&r); err != nil {
		return nil, err
	}
	return s.search(c.Context(), r)
}

func (s *Server) searchBody(c *call) (*reply, error) {
	var r api.SearchRequest
	if err := c.decode(&r); err != nil {
		return nil, err
	}
	return s.search(c.Context(), r)
}

func (s *Server) search(ctx context.Context, r api.SearchRequest) (*reply, error) {
	found, err := s.service.Search(ctx, r)
	if err != nil {
		return nil, err
	}
	return &reply{json: found, took: found.TookMS}, nil
}

func (s *Server) searchImagesQuery(c *call) (*reply, error) {
	var r api.ImageSearchRequest
	if err := c.query(&r); err != nil {
		return nil, err
	}
	return s.searchImages(c.Context(), r, nil)
}

func (s *Server) searchImagesBody(c *call) (*reply, error) {
	var r api.ImageSearchRequest
	upload, err := c.decodeUpload(&r)
	if err != nil {
		return nil, err
	}
	return s.searchImages(c.Context(), r, upload)
}

func (s *Server) searchImages(ctx context.Context, r api.ImageSearchRequest, upload []byte) (*reply, error) {
	found, err := s.service.SearchImages(ctx, r, upload)
	if err != nil {
		return nil, err
	}
	return &reply{json: found, took: found.TookMS}, nil
}

func (s *Server) explain(c *call) (*reply, error) {
	var r api.ExplainRequest
	upload, err := c.decodeUpload(&r)
	if err != nil {
		return nil, err
	}
	e, err := s.service.Explain(c.Context(), r, upload)
	if err != nil {
		return nil, err
	}
	return &reply{
		status: 201, json: e, took: e.TookMS,
		header: map[string]string{"Location": apiPath + "/explanations/" + e.ID},
	}, nil
}

func (s *Server) explanation(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	e, err := s.service.Explanation(c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return &reply{json: e}, nil
}

func (s *Server) overlay(c *call) (*reply, error) {
	var q api.OverlayQuery
	if err := c.query(&q); err != nil {
		return nil, err
	}
	im, err := s.service.Overlay(c.Context(), c.PathValue("id"), q)
	if err != nil {
		return nil, err
	}
	return ofPNG(im)
}

func (s *Server) heat(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	im, err := s.service.Heat(c.Context(), c.PathValue("id"), c.number("n"))
	if err != nil {
		return nil, err
	}
	return ofPNG(im)
}

func (s *Server) rawMap(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	values, width, height, err := s.service.RawMap(c.PathValue("id"), c.number("n"))
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	w, err := weights.NewNPYWriter(&file, height, width)
	if err == nil {
		err = w.Write(values)
	}
	if err != nil {
		return nil, fmt.Errorf("write a map: %w", err)
	}
	return ofContent("application/octet-stream", file.Bytes()), nil
}

// ofPNG is a reply that is a picture without loss.
func ofPNG(im image.Image) (*reply, error) {
	var file bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&file, im); err != nil {
		return nil, fmt.Errorf("encode a picture: %w", err)
	}
	return ofContent("image/png", file.Bytes()), nil
}

// ofContent is a reply that is told apart by its bytes.
func ofContent(media string, content []byte) *reply {
	sum := sha256.Sum256(content)
	return &reply{media: media, bytes: content, etag: hex.EncodeToString(sum[:12])}
}

func (s *Server) embed(c *call) (*reply, error) {
	var r api.EmbeddingRequest
	upload, err := c.decodeUpload(&r)
	if err != nil {
		return nil, err
	}
	vectors, err := s.service.Embed(c.Context(), r, upload)
	if err != nil {
		return nil, err
	}
	return &reply{json: vectors}, nil
}

func (s *Server) indexes(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	list, err := s.service.Indexes()
	if err != nil {
		return nil, err
	}
	return &reply{json: list}, nil
}

func (s *Server) index(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	x, err := s.service.Index(c.PathValue("index"))
	if err != nil {
		return nil, err
	}
	return &reply{json: x}, nil
}

func (s *Server) documents(c *call) (*reply, error) {
	var q api.DocumentQuery
	if err := c.query(&q); err != nil {
		return nil, err
	}
	list, err := s.service.Documents(c.Context(), c.PathValue("index"), q)
	if err != nil {
		return nil, err
	}
	a := &reply{json: list}
	if list.Next != "" {
		next := c.URL.Query()
		next.Set("cursor", list.Next)
		to := url.URL{Path: c.URL.Path, RawQuery: next.Encode()}
		a.header = map[string]string{"Link": "<" + to.String() + `>; rel="next"`}
	}
	return a, nil
}

func (s *Server) document(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	d, _, err := s.service.Document(c.Context(), c.PathValue("index"), c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	body, err := encode(d)
	if err != nil {
		return nil, err
	}
	return ofContent(asJSON, body), nil
}

func (s *Server) text(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	d, text, err := s.service.Document(c.Context(), c.PathValue("index"), c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return &reply{media: "text/plain; charset=utf-8", bytes: []byte(text), etag: d.Source.SHA256}, nil
}

func (s *Server) evidence(c *call) (*reply, error) {
	var q api.SpanQuery
	if err := c.query(&q); err != nil {
		return nil, err
	}
	span := document.ByteSpan{Start: q.Start, End: q.End}
	e, err := s.service.Evidence(c.Context(), c.PathValue("index"), c.PathValue("id"), span)
	if err != nil {
		return nil, err
	}
	return &reply{json: e}, nil
}

// jpegQuality is what pictures are shown in: no fault can be seen, and a photo is small.
const jpegQuality = 88

func (s *Server) image(c *call) (*reply, error) {
	var q sizeQuery
	if err := c.query(&q); err != nil {
		return nil, err
	}
	im, err := s.service.Image(c.Context(), c.PathValue("index"), c.PathValue("id"), cmp.Or(q.Side, 1600))
	if err != nil {
		return nil, err
	}
	return ofJPEG(im)
}

func ofJPEG(im image.Image) (*reply, error) {
	var file bytes.Buffer
	if err := jpeg.Encode(&file, im, &jpeg.Options{Quality: jpegQuality}); err != nil {
		return nil, fmt.Errorf("encode a picture: %w", err)
	}
	return ofContent("image/jpeg", file.Bytes()), nil
}

func (s *Server) picture(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	im, err := s.service.Picture(c.Context(), c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return ofJPEG(im)
}

func (s *Server) pageImage(c *call) (*reply, error) {
	var q widthQuery
	if err := c.query(&q); err != nil {
		return nil, err
	}
	im, err := s.service.PageImage(
		c.Context(), c.PathValue("index"), c.PathValue("id"), c.number("page"), cmp.Or(q.Width, 1200))
	if err != nil {
		return nil, err
	}
	return ofPNG(im)
}

func (s *Server) pageMarks(c *call) (*reply, error) {
	var q api.SpanQuery
	if err := c.query(&q); err != nil {
		return nil, err
	}
	span := document.ByteSpan{Start: q.Start, End: q.End}
	marks, err := s.service.PageMarks(
		c.Context(), c.PathValue("index"), c.PathValue("id"), c.number("page"), span)
	if err != nil {
		return nil, err
	}
	return &reply{json: marks}, nil
}

func (s *Server) openAIEmbeddings(c *call) (*reply, error) {
	var r api.OpenAIEmbeddingRequest
	if err := c.decode(&r); err != nil {
		return nil, err
	}
	name, err := s.service.VisionName(c.Context())
	if err != nil {
		return nil, err
	}
	if r.Model != name {
		return nil, api.NewProblem("no-model", fmt.Sprintf("there is no model called %q, only %q", r.Model, name))
	}
	vectors, err := s.service.Embed(c.Context(), api.EmbeddingRequest{Texts: r.Input}, nil)
	if err != nil {
		return nil, err
	}
	list := api.OpenAIEmbeddingList{Object: "list", Model: name, Data: []api.OpenAIEmbedding{}}
	for i, v := range vectors.Vectors {
		list.Data = append(list.Data, api.OpenAIEmbedding{Object: "embedding", Index: i, Embedding: v})
		list.Usage.PromptTokens += len(strings.Fields(r.Input[i]))
	}
	list.Usage.TotalTokens = list.Usage.PromptTokens
	return &reply{json: list}, nil
}

func (s *Server) openAIModels(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	models, err := s.service.Models()
	if err != nil {
		return nil, err
	}
	list := api.OpenAIModelList{Object: "list", Data: []api.OpenAIModel{}}
	for _, m := range models.Models {
		list.Data = append(list.Data, api.OpenAIModel{ID: m.Name, Object: "model", OwnedBy: "evident"})
	}
	return &reply{json: list}, nil
}

// timing writes stages as the header Server-Timing has them, the total last.
func timing(took map[string]float64) string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(took)), func(n string) bool { return n == "total" })
	var parts []string
	for _, name := range append(names, "total") {
		if ms, ok := took[name]; ok {
			parts = append(parts, name+";dur="+strconv.FormatFloat(ms, 'f', 1, 64))
		}
	}
	return strings.Join(parts, ", ")
}

// matches says whether an If-None-Match names a tag.
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || tag == `"`+etag+`"` {
			return true
		}
	}
	return false
}

// deadline is until when an answer may be written: the time it may take, and some for the network.
func deadline(timeout time.Duration) time.Time { return time.Now().Add(timeout + 30*time.Second) }
