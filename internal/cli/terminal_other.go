//go:build !unix

package cli

import "os"

// isTerminal says whether a stream is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// terminalWidth returns the columns of a terminal, 0 for what is none.
func terminalWidth(stream any) int {
	if !isTerminal(stream) {
		return 0
	}
	return 80
}
