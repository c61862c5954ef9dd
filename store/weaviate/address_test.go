package weaviate

import (
	"errors"
	"reflect"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"weaviate://a,b:81,10.0.0.3/papers": {Hosts: []string{"a:8080", "b:81", "10.0.0.3:8080"}, Collection: "Papers"},
		"weaviates://a/My_Papers2":          {Hosts: []string{"a:8080"}, Collection: "My_Papers2", TLS: true},
		"weaviate://[::1]:82,[::2]/x":       {Hosts: []string{"[::1]:82", "[::2]:8080"}, Collection: "X"},
		"weaviate://a/x?shards=6":           {Hosts: []string{"a:8080"}, Collection: "X", Shards: 6},
	} {
		got, err := ParseAddress(text)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
		if again, err := ParseAddress(want.String()); err != nil || again.String() != want.String() {
			t.Errorf("%s: written as %s, read as %v, %v", text, want.String(), again, err)
		}
	}
}

func TestParseAddressSaysWhatIsWrong(t *testing.T) {
	for _, text := range []string{
		"", "papers", "http://a/papers", "weaviate://", "weaviate://a", "weaviate://a/", "weaviate:///papers",
		"weaviate://a,,b/papers", "weaviate://a/1papers", "weaviate://a/pa-pers", "weaviate://a/b/c",
		"weaviate://a/x?shards=0", "weaviate://a/x?shards=many", "weaviate://a/x?copies=2", "weaviate://a b/x",
	} {
		got, err := ParseAddress(text)
		var bad *AddressError
		if !errors.As(err, &bad) {
			t.Errorf("%q: %+v, %v, want an AddressError", text, got, err)
		}
	}
}
