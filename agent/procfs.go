//go:build linux

package agent

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A seen is one process found in /proc.
type seen struct {
	pid    int
	dir    int    // /proc/PID, open while it is visited
	status []byte // its "status" file, valid while it is visited
}

// scan calls visit for every process of the sandbox but the agent itself.
// /proc/PID is held open meanwhile, so that a signal sent with [seen.signal]
// reaches that very process, or none: the descriptor stands for the process
// and not for its number. It costs some 10 µs for each process.
func scan(visit func(*seen)) error {
	root, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	self := unix.Getpid()
	var (
		entries [8 << 10]byte
		status  [8 << 10]byte
		s       seen
	)
	for {
		n, err := unix.Getdents(root, entries[:])
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return err
		}
		for b := entries[:n]; len(b) >= 19; {
			size := int(binary.NativeEndian.Uint16(b[16:]))
			if size < 19 || size > len(b) {
				break
			}
			name := b[19:size]
			b = b[size:]
			if i := bytes.IndexByte(name, 0); i >= 0 {
				name = name[:i]
			}
			pid, ok := number(name)
			if !ok || pid == self {
				continue
			}
			dir, err := unix.Openat(root, strconv.Itoa(pid), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				continue // gone
			}
			s.pid, s.dir = pid, dir
			s.status = readAt(dir, "status", status[:])
			if len(s.status) > 0 {
				visit(&s)
			}
			unix.Close(dir)
		}
	}
}

func number(b []byte) (int, bool) {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' || n > 1<<30 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, len(b) > 0
}

// readAt reads a small file of /proc into buf; nil if it cannot.
func readAt(dir int, name string, buf []byte) []byte {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	return readFD(fd, buf)
}

// readUpTo reads a file until its end, or limit bytes of it.
func readUpTo(fd, limit int) []byte {
	buf, n := make([]byte, min(8<<10, limit)), 0
	for {
		n += len(readFD(fd, buf[n:]))
		if n < len(buf) || n == limit {
			return buf[:n]
		}
		buf = append(buf, make([]byte, min(len(buf), limit-n))...)
	}
}

// readFD reads until the end of a file or of buf.
func readFD(fd int, buf []byte) []byte {
	n := 0
	for n < len(buf) {
		m, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if m <= 0 || err != nil {
			break
		}
		n += m
	}
	return buf[:n]
}

// field is the value of a line of the status file.
func (s *seen) field(name string) []byte {
	b := s.status
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		if len(line) > len(name) && line[len(name)] == ':' && string(line[:len(name)]) == name {
			return bytes.TrimSpace(line[len(name)+1:])
		}
	}
	return nil
}

// state is the letter of proc(5).
func (s *seen) state() byte {
	if f := s.field("State"); len(f) > 0 {
		return f[0]
	}
	return '?'
}

// dead: it is a zombie, and no signal means anything to it.
func (s *seen) dead() bool { st := s.state(); return st == 'Z' || st == 'X' || st == 'x' }

// stopped: it will not run before it is continued.
func (s *seen) stopped() bool { st := s.state(); return st == 'T' || st == 't' }

func (s *seen) ppid() int { n, _ := number(s.field("PPid")); return n }

// groups calls f with each supplementary group until it returns false.
func (s *seen) groups(f func(gid uint32) bool) {
	b := s.field("Groups")
	for len(b) > 0 {
		word := b
		if i := bytes.IndexByte(b, ' '); i >= 0 {
			word, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		if n, ok := number(word); ok && !f(uint32(n)) {
			return
		}
	}
}

func (s *seen) inGroup(gid uint32) (in bool) {
	s.groups(func(g uint32) bool { in = g == gid; return !in })
	return in
}

// signal sends sig to this process and no other.
func (s *seen) signal(sig unix.Signal) error {
	_, _, errno := unix.Syscall6(unix.SYS_PIDFD_SEND_SIGNAL, uintptr(s.dir), uintptr(sig), 0, 0, 0, 0)
	switch errno {
	case 0:
		return nil
	case unix.ENOSYS, unix.EBADF:
		// Before Linux 5.1, and gVisor. Between the read of its status and
		// here are some microseconds; a number comes again after pid_max
		// others.
		return unix.Kill(s.pid, sig)
	}
	return errno
}

// stat is what a process's "stat" file says of its kin.
type stat struct {
	pid, ppid, group, session int
	start                     uint64 // in ticks since boot
}

// stat reads the stat file. The name in it may hold anything, so the fields
// are counted from the last ')'.
func (s *seen) stat() (st stat, ok bool) {
	var buf [1024]byte
	return parseStat(s.pid, readAt(s.dir, "stat", buf[:]))
}

func parseStat(pid int, b []byte) (st stat, ok bool) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return st, false
	}
	f := bytes.Fields(b[i+1:])
	if len(f) < 20 {
		return st, false
	}
	st.pid = pid
	st.ppid, _ = strconv.Atoi(string(f[1]))
	st.group, _ = strconv.Atoi(string(f[2]))
	st.session, _ = strconv.Atoi(string(f[3]))
	st.start, _ = strconv.ParseUint(string(f[19]), 10, 64)
	return st, true
}

// childOf is the process that a SIGCHLD or waitid(2) is about. Its pid is
// after the three ints and a hole, on 64-bit machines.
func childOf(info *unix.Siginfo) int {
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), 16)))
}
