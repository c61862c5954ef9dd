// Command evident answers questions about documents with exact quotations.
package main

import (
	"os"

	"evident/internal/cli"
)

func main() {
	os.Exit(cli.Main(cli.Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environment: os.Getenv,
	}, os.Args[1:]))
}
