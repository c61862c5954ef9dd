package evident_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floors gives every package its floor in the house. A package may import packages on lower floors
// only, so that code is read downwards: a command, the API, a method, its models and indexes, the
// layers, the kernels. A fraction is a landing between two floors. The longest matching prefix decides; a
// new folder needs a line here.
var floors = map[string]float64{
	"cmd": 9, "tools": 9, "bench": 9,
	"bench/heldout":         8, // questions the other benches choose on
	"bench/turns":           8, // what our sides of comparisons have in common
	"bench/chart":           8, // diagrams of what benches measured
	"internal/cli":          8,
	"internal/lucenecheck":  8, // tests only: compares bm25 with Lucene
	"internal/mcp":          7.5,
	"internal/server":       7.6,
	"internal/service":      7.4,
	".":                     7, // package evident
	"client":                2,
	"internal/openapi":      2,
	"internal/web":          2,
	"api":                   1,
	"mix":                   6,
	"efficientqa":           6,
	"store":                 5,
	"store/weaviate":        5.2, // the same on a cluster; the types are those of store
	"legrad":                6,
	"maskinversion":         6.5, // moves vectors by LeGrad's maps
	"model":                 5,
	"model/bert":            4,
	"model/vit":             4.2, // towers, of which the models around it are made
	"model/clip":            4.4,
	"model/siglip":          4.6,
	"model/caption":         4.4,
	"bm25":                  4,
	"vector":                4,
	"document":              4,
	"nn":                    3,
	"internal/extract":      3,
	"internal/tokenize":     3,
	"internal/weights":      3,
	"internal/readertest":   4, // tests only: a small model
	"internal/goldentest":   4, // tests only: what references computed
	"internal/visiontest":   6, // tests only: the vision-language model and its golden values
	"internal/kernel":       2,
	"internal/picture":      2,
	"internal/pack":         2,
	"internal/mapped":       1,
	"internal/parallel":     1,
	"internal/cells":        1,
	"internal/filelock":     1,
	"internal/durable":      1,
	"internal/archive":      2,
	"internal/faultdisk":    2, // tests only: a disk on which things go wrong
	"internal/unprivileged": 1, // tests only: root without its power over files
	"internal/hub":          2,
	"internal/heatmap":      4,
	"internal/hub/hubtest":  1, // tests only: a model hub
	"internal/generator":    5,
	"internal/mask":         1,
	"internal/region":       6.8, // puts methods beside MaskInversion
	"models":                1,
	"eval":                  2, // knows no model and no index: it judges through interfaces
	"eval/photos":           2,
	"eval/viewer":           7, // puts models and methods before it
}

// vagueNames say nothing about what a package answers for.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "base"}

// TestImportsPointDownwards reads the import graph of the module and fails on an upward edge.
func TestImportsPointDownwards(t *testing.T) {
	for folder, imports := range importGraph(t) {
		from, ok := floor(folder)
		if !ok {
			t.Errorf("%s has no floor: give it a line in floors", folder)
			continue
		}
		if slices.Contains(vagueNames, path.Base(folder)) {
			t.Errorf("%s: the name says nothing; name it after the question it answers", folder)
		}
		for _, imported := range imports {
			to, _ := floor(imported)
			inside := strings.HasPrefix(imported, folder+"/") || strings.HasPrefix(folder, imported+"/")
			if to >= from && !inside {
				t.Errorf("%s (floor %g) imports %s (floor %g): imports point downwards",
					folder, from, imported, to)
			}
		}
	}
}

// floor finds the floor of a folder by its longest known prefix.
func floor(folder string) (float64, bool) {
	for at := folder; ; at = path.Dir(at) {
		if f, ok := floors[at]; ok && (at != "." || folder == ".") {
			return f, true
		}
		if at == "." || at == "/" {
			return 0, false
		}
	}
}

// importGraph returns, for each folder of the module with Go code, the folders of the module that
// its non-test files import, on every platform.
func importGraph(t *testing.T) map[string][]string {
	t.Helper()
	graph := map[string][]string{}
	files := token.NewFileSet()
	walk := func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			hidden := strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
			if name != "." && (hidden || name == "testdata" || name == "runs") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(files, file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(file))
		graph[folder] = append(graph[folder], nil...)
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if imported == "evident" {
				graph[folder] = append(graph[folder], ".")
			} else if inner, ok := strings.CutPrefix(imported, "evident/"); ok {
				graph[folder] = append(graph[folder], inner)
			}
		}
		return nil
	}
	if err := filepath.WalkDir(".", walk); err != nil {
		t.Fatal(err)
	}
	if len(graph) < 4 {
		t.Fatalf("found only %d packages: the test does not see the module", len(graph))
	}
	return graph
}
