package server

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"evident/api"
	"evident/internal/mcp"
	"evident/internal/service"
)

// connect connects the SDK's own client over a transport.
func connect(t *testing.T, transport sdk.Transport, o *sdk.ClientOptions) *sdk.ClientSession {
	t.Helper()
	session, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, o).Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// withMCP starts a server that answers at /mcp too.
func withMCP(t *testing.T) *testServer {
	t.Helper()
	s := start(t, nil)
	handler, err := New(Options{Service: s.service, MCP: mcp.Handler(mcp.New(s.service, "test"))})
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = handler
	return s
}

func TestMCPOverHTTP(t *testing.T) {
	s := withMCP(t)
	checkTools(t, s, connect(t, &sdk.StreamableClientTransport{Endpoint: s.URL + "/mcp"}, nil))
	locked, _, _ := withKeys(t)
	locked.server.o.MCP = nil
	guarded, err := New(Options{Service: locked.service, Keys: locked.server.o.Keys, MCP: mcp.Handler(mcp.New(locked.service, "test"))})
	if err != nil {
		t.Fatal(err)
	}
	locked.Config.Handler = guarded
	locked.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`).problem("key-needed")
}

func TestMCPOverStreams(t *testing.T) {
	s := start(t, nil)
	fromClient, toServer := io.Pipe()
	fromServer, toClient := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- mcp.Stdio(t.Context(), mcp.New(s.service, "test"), fromClient, toClient) }()
	session := connect(t, &sdk.IOTransport{Reader: fromServer, Writer: toServer}, nil)
	checkTools(t, s, session)
	session.Close()
	toServer.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// checkTools goes through the tools as a client does.
func checkTools(t *testing.T, s *testServer, session *sdk.ClientSession) {
	t.Helper()
	list, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
		a := tool.Annotations
		if a == nil || !a.ReadOnlyHint || a.OpenWorldHint == nil || *a.OpenWorldHint || tool.OutputSchema == nil {
			t.Errorf("%s: %+v", tool.Name, a)
		}
	}
	if got := strings.Join(names, " "); got != "ask_documents describe_region explain_image read_document search_documents search_images" {
		t.Errorf("tools %s", got)
	}
	call := func(name string, arguments, into any) *sdk.CallToolResult {
		t.Helper()
		r, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: name, Arguments: arguments})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		encoded, err := json.Marshal(r.StructuredContent)
		if err == nil && into != nil {
			err = json.Unmarshal(encoded, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return r
	}
	var answer api.Answer
	r := call("ask_documents", map[string]any{"question": "who designed the bridge", "threshold": -1}, &answer)
	if r.IsError || len(answer.Answers) == 0 || len(r.Content) < 2 {
		t.Fatalf("answered %+v", r)
	}
	link, ok := r.Content[1].(*sdk.ResourceLink)
	if !ok {
		t.Fatalf("content %T", r.Content[1])
	}
	quoted, err := session.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: link.URI})
	if err != nil || quoted.Contents[0].Text != answer.Answers[0].Evidence.Text.Exact {
		t.Errorf("evidence %+v, %v", quoted, err)
	}
	var found api.SearchResult
	call("search_documents", map[string]any{"query": "crowns"}, &found)
	if len(found.Hits) != 1 {
		t.Fatalf("found %+v", found)
	}
	var read mcp.ReadResult
	call("read_document", map[string]any{"id": found.Hits[0].ID}, &read)
	if read.Text != library["rules.md"] || read.Next != 0 {
		t.Errorf("read %+v", read)
	}
	var explained api.Explanation
	r = call("explain_image", map[string]any{"image": s.id("red.png"), "texts": []string{"a dot"}}, &explained)
	if picture, ok := r.Content[0].(*sdk.ImageContent); !ok || picture.MIMEType != "image/png" || len(explained.Maps) != 1 {
		t.Errorf("explained %+v", r)
	}
	var described api.RegionResult
	r = call("describe_region", map[string]any{
		"image": s.id("red.png"), "masks": []any{map[string]any{"name": "left", "box": []int{0, 0, 11, 16}}}, "names": []string{"a wall", "a horse"}, "count": 2,
	}, &described)
	if r.IsError || len(described.Regions) != 1 || len(described.Regions[0].Captions) != 2 || len(described.Regions[0].Labels) != 2 || len(r.Content) != 5 {
		t.Fatalf("described %+v", r)
	}
	said := r.Content[1].(*sdk.TextContent).Text
	if picture, ok := r.Content[0].(*sdk.ImageContent); !ok || picture.MIMEType != "image/png" || !strings.HasPrefix(said, "left: “"+described.Regions[0].Captions[0].Text+"”, seen ") {
		t.Errorf("described %q", said)
	}
	call("describe_region", map[string]any{"image": s.id("red.png"), "names": []string{"a wall"}}, &described)
	if len(described.Regions) != 1 || described.Regions[0].Mask != "picture" || len(described.Regions[0].Labels) != 1 {
		t.Errorf("the whole picture: %+v", described)
	}
	var pictures api.ImageSearchResult
	call("search_images", map[string]any{"query": "red"}, &pictures)
	if len(pictures.Hits) != 2 {
		t.Errorf("pictures %+v", pictures)
	}
	r = call("read_document", map[string]any{"id": "0000000000000000"}, nil)
	if told := r.Content[0].(*sdk.TextContent).Text; !r.IsError || !strings.Contains(told, "no-document") || !strings.Contains(told, "List the documents") {
		t.Errorf("of a document that is not there: %q", told)
	}
	if r, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "ask_documents", Arguments: map[string]any{"qestion": "x"}}); err == nil && !r.IsError {
		t.Errorf("a wrong field was taken: %+v", r)
	}
}

// TestMCPProgress asks to be told how far a tool is.
func TestMCPProgress(t *testing.T) {
	s := withMCP(t)
	heard := make(chan float64, 4)
	session := connect(t, &sdk.StreamableClientTransport{Endpoint: s.URL + "/mcp"}, &sdk.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *sdk.ProgressNotificationClientRequest) { heard <- r.Params.Progress },
	})
	p := &sdk.CallToolParams{Name: "search_documents", Arguments: map[string]any{"query": "bridge"}}
	p.SetProgressToken("t")
	if _, err := session.CallTool(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if first := <-heard; first != 0 {
		t.Errorf("first heard %g", first)
	}
	if second := <-heard; second != 1 {
		t.Errorf("then heard %g", second)
	}
}

var _ service.Observer = (*Metrics)(nil)
