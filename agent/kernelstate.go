//go:build linux

package agent

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernelState describes what a command can change outside of files and that
// outlives it: objects of System V IPC, the session keyring that the runtime
// made for the container, and what a command that runs as root can do to the
// agent's own process: priority, processors, limits, which children inherit.
// It is an error where such a thing cannot be seen.
func kernelState() (string, error) {
	var b strings.Builder
	var buf [8 << 10]byte
	for _, kind := range []string{"msg", "sem", "shm"} {
		lines := bytes.Count(readAt(unix.AT_FDCWD, "/proc/sysvipc/"+kind, buf[:]), []byte("\n"))
		if lines > 1 { // the first is a heading
			fmt.Fprintf(&b, "System V IPC objects: %s; ", kind)
		}
	}
	if err := queuesSeen(); err != nil {
		return "", err
	}
	keys := make([]byte, 4<<10)
	// Where the agent may not ask, no command may.
	if n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, unix.KEY_SPEC_SESSION_KEYRING, keys, 0); err == nil {
		fmt.Fprintf(&b, "session keys %x; ", keys[:min(n, len(keys))])
	}
	fmt.Fprintf(&b, "oom_score_adj %s; limits", bytes.TrimSpace(readAt(unix.AT_FDCWD, "/proc/self/oom_score_adj", buf[:])))
	for resource := range 16 {
		var r unix.Rlimit
		if err := unix.Prlimit(0, resource, nil, &r); err != nil {
			return "", fmt.Errorf("read resource limit %d: %w", resource, err)
		}
		fmt.Fprintf(&b, " %d:%d", r.Cur, r.Max)
	}
	threads, err := threadStates()
	fmt.Fprintf(&b, "; threads %s", threads)
	return b.String(), err
}

// queuesSeen: POSIX message queues are files of a mounted file system, which
// is reset as others are, or cannot be made at all.
func queuesSeen() error {
	if st := new(unix.Statfs_t); unix.Statfs("/dev/mqueue", st) == nil && st.Type == mqueueMagic {
		return nil
	}
	name, err := unix.BytePtrFromString("pocketdock-no-such-queue")
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(name)), 0, 0); errno == unix.ENOENT {
		return fmt.Errorf("message queues can be made and cannot be seen: /dev/mqueue is not mounted")
	}
	return nil
}

const mqueueMagic = 0x19800202

// threadStates are the different states that the agent's threads have: one,
// unless somebody has been at them.
func threadStates() (string, error) {
	dir, err := os.Open("/proc/self/task")
	if err != nil {
		return "", err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return "", err
	}
	var states []string
	known := map[string]bool{}
	for _, name := range names {
		tid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		nice, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
		if err == unix.ESRCH {
			continue // a thread that has ended
		}
		var cpus unix.CPUSet
		unix.SchedGetaffinity(tid, &cpus)
		policy, _, _ := unix.Syscall(unix.SYS_SCHED_GETSCHEDULER, uintptr(tid), 0, 0)
		const ioprioWhoProcess = 1
		io, _, _ := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioWhoProcess, uintptr(tid), 0)
		s := fmt.Sprintf("nice %d cpus %x policy %d io %d", nice, cpus, policy, io)
		if !known[s] {
			known[s] = true
			states = append(states, s)
		}
	}
	slices.Sort(states)
	return strings.Join(states, " and "), nil
}
