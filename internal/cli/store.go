package cli

import (
	"errors"
	"fmt"

	"evident"
	"evident/api"
	"evident/internal/durable"
	"evident/store/weaviate"
)

// useStore makes --store the index of the command.
func (a *app) useStore() error {
	if a.store == "" {
		return nil
	}
	if a.data != "" {
		return usageError("--store and --data exclude each other: an index is on a cluster or in a folder")
	}
	if _, err := weaviate.ParseAddress(a.store); err != nil {
		return &hintError{&wrongUsage{err.Error()}, "for example --store weaviate://node1:8080,node2:8080,node3:8080/papers"}
	}
	a.data = a.store
	return nil
}

// storeKey is the key of a cluster that asks for one.
func (a *app) storeKey() string { return a.streams.Environment("EVIDENT_STORE_KEY") }

// storeHint adds what can be done about an error of an index on a cluster.
func (a *app) storeHint(err error) error {
	address, bad := weaviate.ParseAddress(a.dataFolder())
	if bad != nil {
		return err
	}
	protocol := "http"
	if address.TLS {
		protocol = "https"
	}
	var version *durable.VersionError
	var foreign *weaviate.ForeignError
	switch {
	case errors.Is(err, evident.ErrNoPhrases):
		return &hintError{err, fmt.Sprintf("run %q first", "evident index --phrases --store "+a.dataFolder()+" PATH")}
	case errors.Is(err, evident.ErrNoIndex):
		return &hintError{err, fmt.Sprintf("run %q first", "evident index --store "+a.dataFolder()+" PATH")}
	case errors.Is(err, api.ErrKey):
		return &hintError{err, "set EVIDENT_STORE_KEY to an API key of the cluster, then run the same command again"}
	case errors.Is(err, evident.ErrDamaged):
		return &hintError{err, fmt.Sprintf("run %q to see what is damaged; a file that has changed is stored anew",
			"evident doctor --store "+a.dataFolder())}
	case errors.Is(err, evident.ErrUnavailable):
		return &hintError{err, fmt.Sprintf(`run "curl %s://%s/v1/nodes" to see which nodes are up, start the others, `+
			"then run the same command again", protocol, address.Hosts[0])}
	case errors.As(err, &version), errors.As(err, &foreign):
		other := *address
		other.Collection += "2"
		return &hintError{err, fmt.Sprintf("use the evident that made it, or index into another collection: %q",
			"evident index --store "+other.String()+" PATH")}
	}
	return err
}
