package server

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

// Inherited returns the socket that systemd opened for this process, or nil where there is none
// (sd_listen_fds(3)): the process then starts with the first request, on a port that it may not open
// itself.
func Inherited() (net.Listener, error) {
	pid, err := strconv.Atoi(os.Getenv("LISTEN_PID"))
	if err != nil || pid != os.Getpid() || os.Getenv("LISTEN_FDS") != "1" {
		return nil, nil
	}
	const first = 3
	file := os.NewFile(first, "systemd socket")
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("take the socket of systemd: %w", err)
	}
	return l, nil
}

// Notify tells systemd a state, such as READY=1 (sd_notify(3)). Elsewhere it does nothing.
func Notify(state string) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd %s: %w", state, err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell systemd %s: %w", state, err)
	}
	return nil
}
