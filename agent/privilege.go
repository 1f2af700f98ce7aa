//go:build linux

package agent

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// privileges says what became of [harden].
type privileges struct {
	// grantable are the capabilities that a command may be given: those of
	// the configuration that the agent has.
	grantable capSet
	// sealed: a command that runs as uid 0 gets no capability by its exec.
	sealed bool
	// noNewPrivs is set on the agent and so on all commands.
	noNewPrivs bool
}

const (
	secbitNoRoot       = 1 << 0
	secbitNoRootLocked = 1 << 1
)

// harden takes from this process what a child could inherit, and leaves it
// its own capabilities:
//
//   - no_new_privs: set-user-ID programs and file capabilities give nothing;
//   - the bounding set keeps only what commands may be given, so that not even
//     a program with file capabilities that root starts has more;
//   - nothing inheritable, nothing ambient;
//   - SECBIT_NOROOT, locked: an exec as uid 0 gives no capability;
//   - not dumpable: neither ptrace nor /proc/1/mem nor /proc/1/environ open to
//     a command with the same uid. It matters also between fork and exec, when
//     a child that is already the command's user shares the agent's memory.
//
// All threads must agree, as any of them may fork. Linked with cgo (as under
// the race detector) Go cannot reach all threads; then all stays as it is and
// sealed is false. As all threads have what the first one was started with,
// what is so already is left: to reach them all takes a millisecond under gVisor.
func harden(wanted []string) privileges {
	var p privileges
	have, plain := ownCaps()
	for _, name := range wanted {
		// A name that the container does not have is dropped here and
		// reported when a command asks for it.
		if c, bad := parseCaps([]string{name}, have); bad == "" {
			p.grantable |= c
		}
	}
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	// What the runtime left open is nothing to commands.
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)

	prctl := func(op, a, b uintptr) bool {
		_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, op, a, b, 0, 0, 0)
		return errno == 0
	}
	set, _ := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	p.noNewPrivs = set == 1 || prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0)
	if !p.noNewPrivs {
		return p
	}
	p.sealed = true
	if !plain {
		prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0)
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		data := [2]unix.CapUserData{
			{Effective: uint32(have), Permitted: uint32(have)},
			{Effective: uint32(have >> 32), Permitted: uint32(have >> 32)},
		}
		_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
			uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&data[0])), 0)
		p.sealed = errno == 0
	}
	bounding := boundingSet()
	for c := range capabilityNames {
		if bounding.has(c) && !p.grantable.has(c) {
			p.sealed = prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0) && p.sealed
		}
	}
	const bits = secbitNoRoot | secbitNoRootLocked
	p.sealed = unix.Prctl(unix.PR_SET_SECUREBITS, bits, 0, 0, 0) == nil && prctl(unix.PR_SET_SECUREBITS, bits, 0) && p.sealed
	if have == 0 {
		p.sealed = true // nothing to give away: exec cannot go beyond it with no_new_privs
	}
	return p
}
