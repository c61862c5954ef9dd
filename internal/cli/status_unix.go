//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// onStatusSignal calls f whenever SIGUSR1 asks a running command how far it is, until stop.
func onStatusSignal(f func()) (stop func()) {
	signals, ended := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for {
			select {
			case <-signals:
				f()
			case <-ended:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(ended)
	}
}
