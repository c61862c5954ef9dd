// Package unprivileged lets tests see what permissions of files do where they are run by root, as in containers:
// root's power to ignore permissions can be laid down.
package unprivileged

import "os"

// Here takes from the calling goroutine, and from processes that it starts, the power to ignore permissions of
// files, for good: the goroutine keeps its thread, which ends with it. For any user but root there is nothing to do.
// The error says why root could not lay it down.
func Here() error {
	if os.Geteuid() != 0 {
		return nil
	}
	return layDown()
}
