//go:build linux && !noembedded

package sentry

import (
	"encoding/binary"
	_ "unsafe" // for go:linkname

	"gvisor.dev/gvisor/pkg/sentry/platform"
	"gvisor.dev/gvisor/pkg/sentry/platform/systrap/sysmsg"
)

// At each system call and page fault a program in the sandbox and gVisor take
// turns on two processors. Each of them watches for a moment whether its turn
// comes, and sleeps then; to be woken from that takes a virtual machine more
// than the call. gVisor's moment of 40,000 ticks of the processor's counter
// (at 2 GHz 20 µs, and it waits for two) is often too short for calls of the
// host: with these ones a short command takes a third less, and a compiler as
// well. With more, gVisor's watching costs programs that compute on all
// processors more than it saves.
const (
	dispatcherTicks = 200_000 // of gVisor for programs
	stubTicks       = 100_000 // of programs for gVisor
)

//go:linkname deepSleepTimeout gvisor.dev/gvisor/pkg/sentry/platform/systrap.deepSleepTimeout
var deepSleepTimeout uint64

// spin has gVisor watch for longer than it means to. It copies its time into
// the code that runs beside programs when the platform is made, to where that
// code has a variable, and uses its own from then on.
func spin() {
	systrap, err := platform.Lookup(platformName)
	if err != nil {
		return // gVisor says so
	}
	blob, at := patchStub(sysmsg.SighandlerBlob, sysmsg.Sighandler_blob_offset____export_deep_sleep_timeout)
	sysmsg.SighandlerBlob, sysmsg.Sighandler_blob_offset____export_deep_sleep_timeout = blob, at
	platform.Register(platformName, spinning{systrap})
}

const platformName = "systrap"

// patchStub sets the variable at an offset of the code, and gives gVisor
// another place to write its own value to.
func patchStub(code []byte, at int) ([]byte, int) {
	const word = 8
	aligned := (len(code) + word - 1) / word * word
	patched := make([]byte, aligned+word)
	copy(patched, code)
	binary.LittleEndian.PutUint64(patched[at:], stubTicks)
	return patched, aligned
}

// spinning is gVisor's platform.
type spinning struct{ platform.Constructor }

func (s spinning) New(o platform.Options) (platform.Platform, error) {
	p, err := s.Constructor.New(o)
	deepSleepTimeout = dispatcherTicks
	return p, err
}
