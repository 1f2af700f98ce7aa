//go:build linux

package agent

import (
	"os"
	"os/signal"
	"unsafe"

	"golang.org/x/sys/unix"
)

// childSignals is whether SIGCHLD comes. Go has a handler for it from the
// beginning, and so each end of a child interrupts one of its threads, for
// nothing. With the signal's default the kernel drops it.
var childSignals childSignal

type childSignal struct {
	handler [8]uint64 // Go's, a struct sigaction of the kernel
	saved   bool
}

// mute puts the default in the place of Go's handler.
func (c *childSignal) mute() {
	c.saved = sigaction(nil, &c.handler) && sigaction(new([8]uint64), nil)
}

func (c *childSignal) listen(to chan os.Signal) {
	signal.Notify(to, unix.SIGCHLD)
	if c.saved {
		sigaction(&c.handler, nil)
	}
}

func (c *childSignal) drop(to chan os.Signal) {
	signal.Stop(to)
	if c.saved {
		sigaction(new([8]uint64), nil)
	}
}

// sigaction is rt_sigaction(2) for SIGCHLD. What is all zero is the default.
func sigaction(action, old *[8]uint64) bool {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD),
		uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	return errno == 0
}
