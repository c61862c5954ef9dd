// Package mcp lets programs that speak the Model Context Protocol ask: six tools that only read, over
// the same service as the HTTP API, with schemas from the same types. Indexing and deleting are no
// tools: what is read is the user's to decide.
package mcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"net/http"
	"reflect"
	"slices"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"evident/api"
	"evident/internal/openapi"
	"evident/internal/service"
)

// tools is the service as the tools see it.
type tools struct{ *service.Service }

// New returns a server with all tools.
func New(s *service.Service, version string) *sdk.Server {
	server := sdk.NewServer(&sdk.Implementation{Name: "evident", Title: "evident", Version: version}, &sdk.ServerOptions{
		Instructions: "Answers come from the user's own files, with exact quotations. Quote them as they stand and name " +
			"the file. When ask_documents abstains, the files do not answer: say so.",
	})
	t := &tools{s}
	add(server, "ask_documents", "Ask the documents",
		"Answer a question with exact quotations from the user's documents, each with file, page, byte offsets and a "+
			"calibrated probability. Abstains when the documents do not answer.", t.ask)
	add(server, "search_documents", "Search the documents",
		"Find the passages of the user's documents that share a query's words, best first.", t.search)
	add(server, "search_images", "Search the pictures",
		"Find the user's pictures that show what a text says, or that are like a picture of the index.", t.searchImages)
	add(server, "read_document", "Read a document",
		"Read the stored text of a document by its id, a part at a time.", t.read)
	add(server, "explain_image", "Show where in a picture",
		"Show where in a picture of the index each text is seen: a heatmap as picture, and how surely each is seen.", t.explain)
	add(server, "describe_region", "Say what a part of a picture shows",
		"Say in words what regions of a picture of the index show, or without masks what the whole picture does, and which of "+
			"given names fit. The words are those of the photos that the decoder was trained on; each comes with how surely it is seen, "+
			"and with where, as picture.", t.describe)
	server.AddResourceTemplate(&sdk.ResourceTemplate{
		Name: "evidence", Title: "Evidence", MIMEType: "text/plain", URITemplate: evidencePrefix + "{index}/{id}/{start}/{end}",
		Description: "The words of a quotation, as they stand in the document",
	}, t.evidence)
	return server
}

// add adds a tool that only reads. Its schemas are those of the API.
func add[In, Out any](
	server *sdk.Server, name, title, description string,
	handle func(context.Context, *sdk.CallToolRequest, In) (*sdk.CallToolResult, Out, error),
) {
	closed := false
	sdk.AddTool(server, &sdk.Tool{
		Name: name, Title: title, Description: description,
		InputSchema:  openapi.Schema(openapi.Of(reflect.TypeFor[In]())),
		OutputSchema: openapi.Schema(openapi.Of(reflect.TypeFor[Out]())),
		Annotations: &sdk.ToolAnnotations{
			Title: title, ReadOnlyHint: true, IdempotentHint: true, OpenWorldHint: &closed,
		},
	}, func(ctx context.Context, r *sdk.CallToolRequest, in In) (*sdk.CallToolResult, Out, error) {
		progress(ctx, r, 0)
		result, out, err := handle(ctx, r, in)
		if err == nil {
			progress(ctx, r, 1)
		}
		return result, out, told(err)
	})
}

// progress tells a caller that asked for it that the tool has begun, or is done.
func progress(ctx context.Context, r *sdk.CallToolRequest, done float64) {
	token := r.Params.GetProgressToken()
	if token == nil {
		return
	}
	message := "reading"
	if done == 1 {
		message = "done"
	}
	// A caller that went away does not hear it.
	_ = r.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{
		ProgressToken: token, Progress: done, Total: 1, Message: message,
	})
}

// told adds the hint to an error: a model reads it as a person does.
func told(err error) error {
	var p *api.Problem
	if errors.As(err, &p) && p.Hint != "" {
		return fmt.Errorf("%s (%s). %s", p.Detail, p.Code, p.Hint)
	}
	return err
}

func text(format string, args ...any) *sdk.TextContent {
	return &sdk.TextContent{Text: fmt.Sprintf(format, args...)}
}

const evidencePrefix = "evident://evidence/"

// link points at a quotation.
func link(index string, e *api.Evidence) *sdk.ResourceLink {
	return &sdk.ResourceLink{
		URI:  fmt.Sprintf("%s%s/%s/%d/%d", evidencePrefix, index, e.Source.ID, e.Text.Byte[0], e.Text.Byte[1]),
		Name: e.Source.Path, Title: "“" + oneLine(e.Text.Exact) + "”", MIMEType: "text/plain",
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func (t *tools) ask(
	ctx context.Context, _ *sdk.CallToolRequest, in api.AskRequest,
) (*sdk.CallToolResult, *api.Answer, error) {
	index, err := t.IndexName(in.Index)
	if err != nil {
		return nil, nil, err
	}
	answer, err := t.Ask(ctx, in, nil)
	if err != nil {
		return nil, nil, err
	}
	result := &sdk.CallToolResult{}
	if answer.Abstained {
		result.Content = append(result.Content, text("The documents do not answer this: %s.", answer.Reason))
	}
	for _, c := range answer.Answers {
		e := &c.Evidence
		result.Content = append(result.Content, text("%s (probability %.2f)\n“%s%s%s”\n%s, bytes %d–%d",
			oneLine(c.Text), c.Score, e.Text.Prefix, e.Text.Exact, e.Text.Suffix, e.Source.Path, e.Text.Byte[0], e.Text.Byte[1]),
			link(index, e))
	}
	for _, h := range answer.Nearest {
		result.Content = append(result.Content, text("Nearest passage, %s: %s", h.Path, oneLine(h.Passage.Text)))
	}
	return result, answer, nil
}

func (t *tools) search(
	ctx context.Context, _ *sdk.CallToolRequest, in api.SearchRequest,
) (*sdk.CallToolResult, *api.SearchResult, error) {
	found, err := t.Search(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	result := &sdk.CallToolResult{}
	for _, h := range found.Hits {
		result.Content = append(result.Content, text("%s (document %s, bytes %d–%d): %s",
			h.Path, h.ID, h.Passage.Byte[0], h.Passage.Byte[1], oneLine(h.Passage.Text)))
	}
	if len(found.Hits) == 0 {
		result.Content = append(result.Content, text("No passage shares a word with this."))
	}
	return result, found, nil
}

func (t *tools) searchImages(
	ctx context.Context, _ *sdk.CallToolRequest, in api.ImageSearchRequest,
) (*sdk.CallToolResult, *api.ImageSearchResult, error) {
	found, err := t.SearchImages(ctx, in, nil)
	if err != nil {
		return nil, nil, err
	}
	result := &sdk.CallToolResult{}
	for _, h := range found.Hits {
		result.Content = append(result.Content, text("%s (picture %s, %d × %d, similarity %.3f)",
			h.Path, h.ID, h.Image.Width, h.Image.Height, h.Score))
	}
	return result, found, nil
}

// ReadRequest asks for a part of a document's stored text.
type ReadRequest struct {
	ID    string `json:"id" doc:"of the document, as answers and hits name it" max:"64"`
	Index string `json:"index,omitempty" doc:"name of the index; the first one by default"`
	Start int    `json:"start,omitempty" doc:"byte to begin at" min:"0"`
}

// ReadResult is a part of a document.
type ReadResult struct {
	Path  string `json:"path"`
	Start int    `json:"start" doc:"byte of the stored text that the part begins at"`
	Next  int    `json:"next,omitempty" doc:"byte that the next part begins at; absent at the end"`
	Bytes int    `json:"bytes" doc:"of the whole stored text"`
	Text  string `json:"text"`
}

// partBytes is how much of a document one call reads.
const partBytes = 24_000

func (t *tools) read(
	ctx context.Context, _ *sdk.CallToolRequest, in ReadRequest,
) (*sdk.CallToolResult, *ReadResult, error) {
	d, stored, err := t.Document(ctx, in.Index, in.ID)
	if err != nil {
		return nil, nil, err
	}
	if in.Start > len(stored) {
		return nil, nil, api.NewProblem("bad-span", fmt.Sprintf("the text has %d bytes, %d is beyond", len(stored), in.Start))
	}
	part := stored[in.Start:min(len(stored), in.Start+partBytes)]
	if in.Start+len(part) < len(stored) {
		if i := strings.LastIndexByte(part, '\n'); i > partBytes/2 {
			part = part[:i+1]
		}
	}
	out := &ReadResult{Path: d.Source.Path, Start: in.Start, Bytes: len(stored), Text: strings.ToValidUTF8(part, "")}
	if next := in.Start + len(part); next < len(stored) {
		out.Next = next
	}
	return &sdk.CallToolResult{Content: []sdk.Content{text("%s", out.Text)}}, out, nil
}

func (t *tools) explain(
	ctx context.Context, _ *sdk.CallToolRequest, in api.ExplainRequest,
) (*sdk.CallToolResult, *api.Explanation, error) {
	e, overlay, err := t.drawn(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	result := &sdk.CallToolResult{Content: []sdk.Content{overlay}}
	for _, m := range e.Maps {
		result.Content = append(result.Content, text("%s: seen %.0f %%, %s", m.Text, 100*m.Presence, m.Words))
	}
	return result, e, nil
}

// drawn explains a picture, and draws the maps over it.
func (t *tools) drawn(ctx context.Context, r api.ExplainRequest) (*api.Explanation, *sdk.ImageContent, error) {
	e, err := t.Explain(ctx, r, nil)
	if err != nil {
		return nil, nil, err
	}
	picture, err := t.Overlay(ctx, e.ID, api.OverlayQuery{})
	if err != nil {
		return nil, nil, err
	}
	var file bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		return nil, nil, fmt.Errorf("encode a picture: %w", err)
	}
	return e, &sdk.ImageContent{Data: file.Bytes(), MIMEType: "image/png"}, nil
}

// DescribeRequest asks what regions of a picture show, and which names fit them.
type DescribeRequest struct {
	Image string           `json:"image" doc:"id of a picture of the index" max:"64"`
	Index string           `json:"index,omitempty" doc:"name of the index; the first one by default"`
	Masks []api.RegionMask `json:"masks,omitempty" doc:"the regions; the whole picture by default" max:"16"`
	Names []string         `json:"names,omitempty" doc:"names that each region is compared with" max:"64" each:"1,300"`
	Count int              `json:"count,omitempty" doc:"captions of each region; 1 by default" min:"1" max:"20"`
}

// describe captions regions, compares them with names, and draws where the best captions are seen.
func (t *tools) describe(
	ctx context.Context, _ *sdk.CallToolRequest, in DescribeRequest,
) (*sdk.CallToolResult, *api.RegionResult, error) {
	said, err := t.CaptionRegions(ctx, api.RegionCaptionRequest{Image: in.Image, Index: in.Index, Masks: in.Masks, Count: in.Count}, nil)
	if err != nil {
		return nil, nil, err
	}
	if err := t.name(ctx, in, said); err != nil {
		return nil, nil, err
	}
	var texts []string
	for _, r := range said.Regions {
		if len(r.Captions) > 0 && !slices.Contains(texts, r.Captions[0].Text) {
			texts = append(texts, r.Captions[0].Text)
		}
	}
	_, overlay, err := t.drawn(ctx, api.ExplainRequest{Image: in.Image, Index: in.Index, Texts: texts})
	if err != nil {
		return nil, nil, err
	}
	result := &sdk.CallToolResult{Content: []sdk.Content{overlay}}
	for _, r := range said.Regions {
		for _, c := range r.Captions {
			result.Content = append(result.Content, text("%s: “%s”, seen %.0f %%, its map fits the region by %.2f", r.Mask, c.Text, 100*c.Score, c.Dice))
		}
		for _, l := range r.Labels {
			result.Content = append(result.Content, text("%s, among the names: %s %.0f %%", r.Mask, l.Text, 100*l.Score))
		}
	}
	return result, said, nil
}

// name fills in how well names fit regions. The whole picture is a region as large as it.
func (t *tools) name(ctx context.Context, in DescribeRequest, said *api.RegionResult) error {
	if len(in.Names) == 0 {
		return nil
	}
	masks := in.Masks
	if len(masks) == 0 {
		masks = []api.RegionMask{{Box: []float64{0, 0, float64(said.Width), float64(said.Height)}}}
	}
	named, err := t.Regions(ctx, api.RegionRequest{Image: in.Image, Index: in.Index, Masks: masks, Labels: in.Names}, nil, nil)
	if err != nil {
		return err
	}
	for i := range said.Regions {
		said.Regions[i].Labels = named.Regions[i].Labels
	}
	return nil
}

// evidence reads a resource that an answer linked to.
func (t *tools) evidence(ctx context.Context, r *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
	uri := r.Params.URI
	parts := strings.Split(strings.TrimPrefix(uri, evidencePrefix), "/")
	if len(parts) != 4 {
		return nil, sdk.ResourceNotFoundError(uri)
	}
	span, err := spanOf(parts[2], parts[3])
	if err != nil {
		return nil, sdk.ResourceNotFoundError(uri)
	}
	e, err := t.Evidence(ctx, parts[0], parts[1], span)
	if err != nil {
		return nil, told(err)
	}
	return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{
		URI: uri, MIMEType: "text/plain", Text: e.Text.Exact,
	}}}, nil
}

// Handler answers over HTTP.
func Handler(server *sdk.Server) http.Handler {
	return sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return server }, nil)
}
