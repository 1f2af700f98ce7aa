//go:build linux

package agent

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A session is a process that takes commands: a shell, or another interpreter.
// It reads them as its script on descriptor 0 and says on descriptor 4 how each
// ended; what is to be its standard input is descriptor 3. What a command
// prints goes through none of these, so that it can neither forge an end nor
// swallow one.
//
// What comes on descriptor 4 counts only if the kernel says that the session's
// first process sent it (SCM_CREDENTIALS), and if it names the token of the
// command that is under way.
type session struct {
	a       *agent
	p       *process
	control *os.File // to descriptor 0
	status  *os.File // from descriptor 4

	// turn is held by the command that is under way. Those that wait for a
	// channel are served in order.
	turn chan struct{}

	writing sync.Mutex // held while a script is written

	mu      sync.Mutex
	current *command
}

// The descriptors of a session's process, after its script, stdout and stderr.
const (
	sessionInput  = 3
	sessionStatus = 4
)

// openSession makes p a session. The two descriptors are for the child, and to
// be closed.
func openSession(a *agent, p *process) (control, status int, err error) {
	ours := -1
	if err := pipe(&control, &ours, true); err != nil {
		return -1, -1, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		unix.Close(control)
		unix.Close(ours)
		return -1, -1, err
	}
	// Should it fail, nothing that the session says counts, which shows at once.
	unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	unix.SetNonblock(pair[0], true)
	p.session = &session{
		a: a, p: p, turn: make(chan struct{}, 1),
		control: os.NewFile(uintptr(ours), "session"), status: os.NewFile(uintptr(pair[0]), "session"),
	}
	return control, pair[1], nil
}

func (s *session) close() {
	s.control.Close()
	s.status.Close()
}

// watch looks after a session until its process has ended.
func (s *session) watch() {
	go s.listen()
	<-s.p.finished
	s.close()
	if c := s.command(); c != nil {
		c.finish(nil, 0)
	}
}

// listen reads what the session says.
func (s *session) listen() {
	raw, err := s.status.SyscallConn()
	if err != nil {
		return
	}
	text := make([]byte, 128) // an end; an answer may be larger
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for {
		from := 0
		n, err := take(raw, func(fd int) (int, error) {
			// How large is it?
			n, _, err := unix.Recvfrom(fd, text[:1], unix.MSG_PEEK|unix.MSG_TRUNC)
			if err != nil {
				return n, err
			}
			if n > len(text) && n <= maxAnswer {
				text = make([]byte, n)
			}
			n, oobn, _, _, err := unix.Recvmsg(fd, text, oob, unix.MSG_CMSG_CLOEXEC)
			from = sender(oob[:max(oobn, 0)])
			return n, err
		})
		if err != nil {
			return
		}
		if c := s.command(); c != nil && !(from == s.p.pid && c.hear(text[:n])) {
			c.answer(text[:n])
		}
		if len(text) > 4<<10 {
			text = make([]byte, 128)
		}
	}
}

// sender is the pid that the kernel gives with a message; 0 if it gives none.
func sender(oob []byte) int {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for i := range list {
		if cred, err := unix.ParseUnixCredentials(&list[i]); err == nil {
			return int(cred.Pid)
		}
	}
	return 0
}

// command is the one under way; nil if there is none.
func (s *session) command() *command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// offsets is how much the session has printed by now.
func (s *session) offsets() (at [2]int64) {
	for i, out := range s.p.out {
		if out != nil {
			at[i] = out.pending()
		}
	}
	return at
}

// begin makes a command the session's. Its turn must have come.
func (s *session) begin(send *wire.Send) *command {
	c := &command{s: s, send: send, began: now(), at: s.offsets(), done: make(chan struct{}), sync: make(chan struct{}), again: make(chan struct{}, 1)}
	s.mu.Lock()
	s.current = c
	s.mu.Unlock()
	if s.p.hasFinished() { // watch may have looked before
		c.finish(nil, 0)
	}
	if send.TimeoutMS > 0 {
		c.mu.Lock()
		c.timer = time.AfterFunc(milliseconds(send.TimeoutMS), c.expire)
		c.mu.Unlock()
	}
	go c.conclude()
	return c
}

// start has the session execute it. Who is to hold its output has attached by
// now.
func (c *command) start() {
	if len(c.send.Script) <= pipeBuffer {
		c.s.write(c.send.Script)
	} else {
		go c.s.write(c.send.Script)
	}
}

// pipeBuffer is what an empty pipe takes at once.
const pipeBuffer = 64 << 10

// write gives the session's process something to read. If it reads no more,
// its end is what ends the write.
func (s *session) write(script []byte) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.control.Write(script)
}
