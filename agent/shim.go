//go:build linux

package agent

import (
	"encoding/json"
	"io"
	"os"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A shim is the agent's own binary between fork and exec, as the command's
// user, for what Go cannot do to a child there: resource limits, and giving up
// capabilities where SECBIT_NOROOT could not be set. It costs a millisecond,
// so only commands that need it go through it.
type shim struct {
	spec shimSpec
	file string
	argv []string
	r, w int // the shim says on it why it failed, and closes it by its exec
}

// shimSpec is the shim's first argument, as JSON.
type shimSpec struct {
	Rlimits  []rlimit `json:"rlimits"`
	DropCaps bool     `json:"drop_caps"`
	Report   int      `json:"report"` // descriptor
}

type rlimit struct {
	Name     string `json:"name"`
	Resource int    `json:"resource"`
	Soft     uint64 `json:"soft"`
	Hard     uint64 `json:"hard"`
}

// rlimits are in the order in which they are set: those that hurt the shim
// itself come last.
var rlimits = []struct {
	name     string
	resource int
}{
	{"core", unix.RLIMIT_CORE}, {"nice", unix.RLIMIT_NICE}, {"rtprio", unix.RLIMIT_RTPRIO},
	{"locks", unix.RLIMIT_LOCKS}, {"msgqueue", unix.RLIMIT_MSGQUEUE}, {"sigpending", unix.RLIMIT_SIGPENDING},
	{"memlock", unix.RLIMIT_MEMLOCK}, {"rss", unix.RLIMIT_RSS}, {"stack", unix.RLIMIT_STACK},
	{"nofile", unix.RLIMIT_NOFILE}, {"fsize", unix.RLIMIT_FSIZE}, {"cpu", unix.RLIMIT_CPU},
	{"nproc", unix.RLIMIT_NPROC}, {"data", unix.RLIMIT_DATA}, {"as", unix.RLIMIT_AS},
}

// newShim prepares to execute file.
func newShim(file string, s *wire.Start, dropCaps bool) (*shim, *wire.Error) {
	h := &shim{file: file, argv: s.Argv, spec: shimSpec{DropCaps: dropCaps && len(s.Caps) == 0}}
	for _, known := range rlimits {
		for _, r := range s.Rlimits {
			if r.Name != known.name {
				continue
			}
			if r.Soft < -1 || r.Hard < -1 || uint64(r.Soft) > uint64(r.Hard) {
				return nil, fail(wire.CodeInvalid, "rlimit %s: soft limit %d above hard limit %d", r.Name, r.Soft, r.Hard)
			}
			h.spec.Rlimits = append(h.spec.Rlimits, rlimit{r.Name, known.resource, uint64(r.Soft), uint64(r.Hard)})
		}
	}
	for _, r := range s.Rlimits {
		if !slices.ContainsFunc(h.spec.Rlimits, func(k rlimit) bool { return k.Name == r.Name }) {
			return nil, fail(wire.CodeInvalid, "there is no rlimit %q", r.Name)
		}
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, failErrno("", "cannot make a pipe", err)
	}
	h.r, h.w = fds[0], fds[1]
	return h, nil
}

// wrap changes what is to be executed.
func (h *shim) wrap(attr *syscall.ProcAttr) (file string, argv []string, wrapped *syscall.ProcAttr) {
	a := *attr
	h.spec.Report = len(attr.Files)
	a.Files = append(slices.Clip(attr.Files), uintptr(h.w))
	spec, _ := json.Marshal(h.spec) // cannot fail
	return "/proc/self/exe", append([]string{"pocketdock-agent", "exec", string(spec), h.file}, h.argv...), &a
}

// result waits until the shim has executed the command, or says why not.
func (h *shim) result(forked bool) error {
	unix.Close(h.w)
	defer unix.Close(h.r)
	if !forked {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(fdReader(h.r), 4096))
	if err != nil || len(b) == 0 {
		return err
	}
	var f wire.Error
	if json.Unmarshal(b, &f) != nil {
		return fail(wire.CodeOther, "the command could not be started")
	}
	if f.Code == "" {
		return syscall.Errno(f.Errno)
	}
	return &f
}

type fdReader int

func (fd fdReader) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(fd), b)
		switch {
		case err == unix.EINTR:
		case n == 0 && err == nil:
			return 0, io.EOF
		default:
			return max(n, 0), err
		}
	}
}

// Shim is "pocketdock-agent exec SPEC FILE ARGV…". It returns only if it
// cannot execute the command, with an exit code.
func Shim(args []string) int {
	var spec shimSpec
	if len(args) < 3 || json.Unmarshal([]byte(args[0]), &spec) != nil {
		os.Stderr.WriteString("pocketdock-agent exec: internal to the agent\n")
		return 126
	}
	tell := func(e *wire.Error) int {
		b, _ := json.Marshal(e)
		unix.Write(spec.Report, b)
		return 126
	}
	unix.CloseOnExec(spec.Report)
	if spec.DropCaps {
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
			uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&none[0])), 0); errno != 0 && errno != syscall.ENOTSUP {
			return tell(failErrno("", "cannot drop capabilities", errno))
		}
	}
	for _, r := range spec.Rlimits {
		// syscall's, so that Go does not restore the limit of descriptors
		// that it found at its start.
		err := syscall.Setrlimit(r.Resource, &syscall.Rlimit{Cur: r.Soft, Max: r.Hard})
		if err != nil {
			e := failErrno("", "cannot set rlimit "+r.Name+" to "+limitText(r.Soft)+", hard "+limitText(r.Hard), err)
			if e.Code == wire.CodeOther {
				e.Code = wire.CodeInvalid
			}
			return tell(e)
		}
	}
	err := syscall.Exec(args[1], args[2:], os.Environ())
	errno, _ := err.(syscall.Errno)
	return tell(&wire.Error{Errno: int(errno)})
}

func limitText(n uint64) string {
	if int64(n) < 0 {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}
