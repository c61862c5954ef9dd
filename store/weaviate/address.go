package weaviate

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// The schemes of addresses: over HTTP, and over TLS.
const (
	scheme    = "weaviate://"
	schemeTLS = "weaviates://"
)

// portDefault is the port of a host that names none.
const portDefault = "8080"

// Address says where a collection is: weaviate://HOST[:PORT],…/COLLECTION[?shards=N].
type Address struct {
	Hosts      []string // each with its port
	Collection string   // begins with a capital, as Weaviate has it
	TLS        bool
	Shards     int // of a collection that is made; 0 means a third of the nodes
}

// IsAddress says whether a text is meant as an [Address].
func IsAddress(text string) bool {
	return strings.HasPrefix(text, scheme) || strings.HasPrefix(text, schemeTLS)
}

var collectionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)

// AddressError says what is wrong with an address.
type AddressError struct{ Text, Reason string }

// Error quotes the address.
func (e *AddressError) Error() string { return fmt.Sprintf("store %q: %s", e.Text, e.Reason) }

// ParseAddress reads an address. Its error is an [*AddressError].
func ParseAddress(text string) (*Address, error) {
	fail := func(format string, args ...any) (*Address, error) {
		return nil, &AddressError{text, fmt.Sprintf(format, args...)}
	}
	a := &Address{TLS: strings.HasPrefix(text, schemeTLS)}
	rest, ok := strings.CutPrefix(text, scheme)
	if a.TLS {
		rest, ok = strings.CutPrefix(text, schemeTLS)
	}
	if !ok {
		return fail("an address begins with %s or %s", scheme, schemeTLS)
	}
	rest, options, _ := strings.Cut(rest, "?")
	hosts, collection, _ := strings.Cut(rest, "/")
	if !collectionName.MatchString(collection) {
		return fail("the collection %q: letters, digits and underscores, a letter first, at most 64", collection)
	}
	a.Collection = strings.ToUpper(collection[:1]) + collection[1:]
	for host := range strings.SplitSeq(hosts, ",") {
		if host == "" {
			return fail("a host is missing: %sHOST1,HOST2,HOST3/COLLECTION", scheme)
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), portDefault)
		}
		if _, err := url.Parse("http://" + host); err != nil {
			return fail("%q is no host", host)
		}
		a.Hosts = append(a.Hosts, host)
	}
	return a, a.readOptions(text, options)
}

func (a *Address) readOptions(text, options string) error {
	values, err := url.ParseQuery(options)
	if err != nil {
		return &AddressError{text, err.Error()}
	}
	for name := range values {
		if name != "shards" {
			return &AddressError{text, fmt.Sprintf("there is no option %q; there is shards", name)}
		}
		n, err := strconv.Atoi(values.Get(name))
		if err != nil || n < 1 {
			return &AddressError{text, "shards: a number above 0"}
		}
		a.Shards = n
	}
	return nil
}

// String returns the address as it is written, without options.
func (a *Address) String() string {
	prefix := scheme
	if a.TLS {
		prefix = schemeTLS
	}
	return prefix + strings.Join(a.Hosts, ",") + "/" + a.Collection
}

func (a *Address) protocol() string {
	if a.TLS {
		return "https"
	}
	return "http"
}
