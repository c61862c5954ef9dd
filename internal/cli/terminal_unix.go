//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal says whether a stream is a terminal.
func isTerminal(stream any) bool { return terminalWidth(stream) > 0 }

// terminalWidth returns the columns of a terminal, 0 for what is none.
func terminalWidth(stream any) int {
	file, ok := stream.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	if size.Col == 0 {
		return 80
	}
	return int(size.Col)
}
