//go:build !linux

package kernel

import "errors"

// requestTiles refuses: how other systems lend tiles is not known here.
func requestTiles() error { return errors.ErrUnsupported }
