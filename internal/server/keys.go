package server

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Keys are the keys that a server knows: a file with one line a key,
//
//	admin sha256:HEX NAME
//	read  sha256:HEX NAME
//
// A key is 256 random bits, so that a plain hash of it tells nobody what it is.
type Keys struct{ keys []Key }

// Key is a key without its secret.
type Key struct {
	Name  string
	Admin bool
	Hash  [sha256.Size]byte
}

// tokenPrefix makes a key recognisable to people, and to programs that look for secrets.
const tokenPrefix = "evident_"

var keyName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// ReadKeys reads a file of keys. A file without any is an error: nobody could get in.
func ReadKeys(path string) (*Keys, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	k, err := parseKeys(content)
	if err != nil {
		return nil, fmt.Errorf("read keys from %s: %w", path, err)
	}
	if len(k.keys) == 0 {
		return nil, fmt.Errorf("read keys from %s: there are none in it", path)
	}
	return k, nil
}

func parseKeys(content []byte) (*Keys, error) {
	k := &Keys{}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		bad := fmt.Errorf("line %d is not \"admin|read sha256:HEX NAME\"", n)
		if len(fields) != 3 || fields[0] != "admin" && fields[0] != "read" || !keyName.MatchString(fields[2]) {
			return nil, bad
		}
		digest, ok := strings.CutPrefix(fields[1], "sha256:")
		sum, err := hex.DecodeString(digest)
		if !ok || err != nil || len(sum) != sha256.Size {
			return nil, bad
		}
		k.keys = append(k.keys, Key{fields[2], fields[0] == "admin", [sha256.Size]byte(sum)})
	}
	return k, lines.Err()
}

// All lists the keys.
func (k *Keys) All() []Key { return slices.Clone(k.keys) }

// Find returns the key of a token. It takes as long for a token that is nearly right as for any other.
func (k *Keys) Find(token string) (Key, bool) {
	sum := sha256.Sum256([]byte(token))
	var found Key
	ok := false
	for _, key := range k.keys {
		if subtle.ConstantTimeCompare(sum[:], key.Hash[:]) == 1 {
			found, ok = key, true
		}
	}
	return found, ok
}

// NewKey makes a key, adds it to the file, which is made if need be, and returns the token. It is not
// kept anywhere.
func NewKey(path, name string, admin bool) (token string, err error) {
	if !keyName.MatchString(name) {
		return "", fmt.Errorf("make key: %q is no name: letters, digits, dots and dashes", name)
	}
	known, err := knownKeys(path)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(known.keys, func(k Key) bool { return k.Name == name }) {
		return "", fmt.Errorf("make key: there is one called %q in %s", name, path)
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // it cannot fail
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
	known.keys = append(known.keys, Key{name, admin, sha256.Sum256([]byte(token))})
	return token, known.write(path)
}

// RemoveKey removes the key of a name from the file.
func RemoveKey(path, name string) error {
	known, err := knownKeys(path)
	if err != nil {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(known.keys), func(k Key) bool { return k.Name == name })
	if len(rest) == len(known.keys) {
		return fmt.Errorf("remove key: there is none called %q in %s", name, path)
	}
	known.keys = rest
	return known.write(path)
}

// knownKeys reads a file that may not be there yet.
func knownKeys(path string) (*Keys, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Keys{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	k, err := parseKeys(content)
	if err != nil {
		return nil, fmt.Errorf("read keys from %s: %w", path, err)
	}
	return k, nil
}

// write replaces the file in one step; only its owner may read it.
func (k *Keys) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	var b strings.Builder
	for _, key := range k.keys {
		role := "read "
		if key.Admin {
			role = "admin"
		}
		fmt.Fprintf(&b, "%s sha256:%x %s\n", role, key.Hash, key.Name)
	}
	if err := os.WriteFile(path+".new", []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	return nil
}
