//go:build !(linux || darwin)

package document

import (
	"os"
	"path/filepath"
)

// lookAt looks at a file in a folder.
func lookAt(folder *os.File, name string) look {
	info, err := os.Stat(filepath.Join(folder.Name(), name))
	if err != nil {
		return look{err: err}
	}
	return look{mode: info.Mode(), stat: NewFileStat(info)}
}
