package service

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// names is what places of the server's disk are called to callers: an index by its name, not by its folder. Where
// anything lies is nothing to tell to whoever asks; paths of what was indexed are, they are the evidence.
type names struct {
	mu       sync.RWMutex
	pairs    [][2]string // a place as it stands in errors, and its name
	replacer *strings.Replacer
}

// newNames knows the places of a service.
func newNames(o *Options) *names {
	n := &names{replacer: strings.NewReplacer()}
	for _, x := range o.Indexes {
		n.add(x.Data(), x.Name)
	}
	n.add(o.Keep, "the server's folder")
	n.add(o.CacheDir, "the cache")
	if o.Hub != nil {
		n.add(o.Hub.Folder, "models")
	}
	for _, path := range slices.Concat(o.Used, o.Sets) {
		n.add(path, filepath.Base(path))
	}
	return n
}

// add gives a place a name: a folder or file, or the address of a cluster. Unquoted, only what cannot be a word of a
// sentence is replaced.
func (n *names) add(place, name string) {
	if place == "" || place == name {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, form := range places(place) {
		n.pairs = append(n.pairs, [2]string{strconv.Quote(form), strconv.Quote(name)})
		if filepath.IsAbs(form) || strings.Contains(form, "://") {
			n.pairs = append(n.pairs, [2]string{form, name})
		}
	}
	// What lies within another place is looked for first.
	slices.SortStableFunc(n.pairs, func(a, b [2]string) int { return cmp.Compare(len(b[0]), len(a[0])) })
	var flat []string
	for _, p := range n.pairs {
		flat = append(flat, p[0], p[1])
	}
	n.replacer = strings.NewReplacer(flat...)
}

// places are the forms in which errors may have a path: as it was given, absolute, and with links followed.
func places(path string) []string {
	forms := []string{path}
	if strings.Contains(path, "://") {
		return forms
	}
	full, err := filepath.Abs(path)
	if err == nil && full != path {
		forms = append(forms, full)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil && !slices.Contains(forms, real) {
		forms = append(forms, real)
	}
	return forms
}

// in returns a text with names instead of places.
func (n *names) in(text string) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.replacer.Replace(text)
}
