//go:build linux && !noembedded

package sentry

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// expectSignals has the Go runtime take the signals that gVisor asks for in
// the middle of a start, when everything waits: for each of them two threads
// have to take turns. Until then they are lost; nobody sends us any.
func expectSignals() {
	lost := make(chan os.Signal, 1)
	for sig := unix.Signal(1); sig <= 33; sig++ {
		switch sig {
		case unix.SIGURG, unix.SIGPIPE, unix.SIGCHLD: // nor does gVisor
		default:
			signal.Notify(lost, sig)
		}
	}
}
