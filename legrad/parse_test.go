package legrad_test

import (
	"reflect"
	"strings"
	"testing"

	"evident/legrad"
)

func TestParseMethod(t *testing.T) {
	for text, want := range map[string]legrad.MethodOptions{
		"chefer": {}, "chefer@11": {Layers: []int{11}}, "legrad@9-11": {Layers: []int{9, 10, 11}},
		"rollout/cls": {Rows: legrad.ClassRow}, "rollout@2-3/mean": {Layers: []int{2, 3}, Rows: legrad.MeanRows},
	} {
		name, opts, err := legrad.ParseMethod(text)
		if err != nil || !strings.HasPrefix(text, name) || !reflect.DeepEqual(opts, want) {
			t.Errorf("%s: %s %+v, %v; want %+v", text, name, opts, err, want)
		}
	}
	for _, text := range []string{"a@", "a@x", "a@3-2", "a@-1", "a@1-2000", "a/first", "a/", "a@1/first"} {
		if _, opts, err := legrad.ParseMethod(text); err == nil {
			t.Errorf("%s is read as %+v", text, opts)
		}
	}
}
