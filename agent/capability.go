//go:build linux

package agent

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// capabilityNames are in the order of their numbers, capabilities(7).
var capabilityNames = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL",
	"SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
	"NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
	"SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
	"SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL",
	"SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
	"BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

// capSet is a set of capabilities, one bit each.
type capSet uint64

func (s capSet) has(c int) bool { return s&(1<<c) != 0 }

// list is the numbers in s.
func (s capSet) list() []uintptr {
	var l []uintptr
	for c := range 64 {
		if s.has(c) {
			l = append(l, uintptr(c))
		}
	}
	return l
}

// parseCaps reads names as in container options: any case, with or without
// CAP_; "ALL" is all of have. It returns the first name it does not know or
// that have lacks.
func parseCaps(names []string, have capSet) (set capSet, bad string) {
	for _, name := range names {
		n := strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		if n == "ALL" {
			set |= have
			continue
		}
		c := slices.Index(capabilityNames, n)
		if c < 0 || !have.has(c) {
			return 0, name
		}
		set |= 1 << c
	}
	return set, ""
}

// ownCaps reads this thread's permitted set, and whether all of it is effective
// and nothing is inheritable, and so nothing ambient either.
func ownCaps() (permitted capSet, plain bool) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, false
	}
	plain = data[0].Inheritable|data[1].Inheritable == 0 && data[0].Effective == data[0].Permitted && data[1].Effective == data[1].Permitted
	return capSet(data[0].Permitted) | capSet(data[1].Permitted)<<32, plain
}

// boundingSet is this thread's; all of them, if the kernel does not say.
func boundingSet() capSet {
	var buf [8 << 10]byte
	s := seen{status: readAt(unix.AT_FDCWD, "/proc/thread-self/status", buf[:])}
	set, err := strconv.ParseUint(string(bytes.TrimSpace(s.field("CapBnd"))), 16, 64)
	if err != nil {
		return ^capSet(0)
	}
	return capSet(set)
}
