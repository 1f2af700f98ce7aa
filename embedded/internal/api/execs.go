//go:build linux

package api

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/embedded/internal/container"
	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

var errNoExec = errors.New("no such exec instance")

// An exec is a process that was, or is to be, started in a container. It is
// known to this process only.
type exec struct {
	id   string
	box  *container.Container
	conf execConfig

	mu       sync.Mutex
	started  bool
	running  bool
	pid      int32
	code     *int
	terminal *os.File
}

type execConfig struct {
	Cmd, Env                               []string
	User, WorkingDir                       string
	Tty, AttachStdin                       bool //nolint:revive
	AttachStdout, AttachStderr, Privileged bool
}

func (s *Server) createExec(w http.ResponseWriter, r *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	if !c.Running {
		return fmt.Errorf("container %s %w", c.ID, container.ErrNotRunning)
	}
	if c.Paused {
		return fmt.Errorf("container %s is paused, unpause the container before exec: %w", c.ID, container.ErrConflict)
	}
	e := &exec{box: c}
	if err := body(r, &e.conf); err != nil {
		return err
	}
	if len(e.conf.Cmd) == 0 {
		return fmt.Errorf("no exec command specified: %w", container.ErrInvalid)
	}
	var id [32]byte
	rand.Read(id[:])
	e.id = hex.EncodeToString(id[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.execs == nil {
		s.execs = map[string]*exec{}
	}
	const most = 1000
	if len(s.execs) >= most {
		for id, old := range s.execs {
			if old.ended() {
				delete(s.execs, id)
			}
		}
	}
	s.execs[e.id] = e
	return answer(w, http.StatusCreated, map[string]string{"Id": e.id})
}

func (e *exec) ended() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.code != nil
}

func (s *Server) exec(id string) (*exec, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.execs[id]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("%w: %s", errNoExec, id)
}

func (s *Server) inspectExec(w http.ResponseWriter, _ *http.Request, id string) error {
	e, err := s.exec(id)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	// Pid would be a process of this host, and there is none: who wants to kill
	// it must not meet somebody else's.
	return answer(w, http.StatusOK, map[string]any{"Pid": 0, "ID": e.id, "Running": e.running, "ExitCode": e.code, "ContainerID": e.box.ID,
		"OpenStdin": e.conf.AttachStdin, "OpenStdout": true, "OpenStderr": true, "CanRemove": false, "DetachKeys": "",
		"ProcessConfig": map[string]any{"entrypoint": e.conf.Cmd[0], "arguments": e.conf.Cmd[1:], "tty": e.conf.Tty, "user": e.conf.User, "privileged": false}})
}

func (s *Server) resizeExec(w http.ResponseWriter, r *http.Request, id string) error {
	e, err := s.exec(id)
	if err != nil {
		return err
	}
	rows, cols, err := size(r)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.terminal != nil {
		monitor.Resize(e.terminal, rows, cols)
		e.box.Ask(&monitor.Request{Op: "signal", Signal: int(unix.SIGWINCH), PID: e.pid, Group: true})
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// killExec kills the process and its descendants or, with a signal, sends it to
// the process. Docker has no such request: its clients that may, signal a
// process of the host.
func (s *Server) killExec(w http.ResponseWriter, r *http.Request, id string) error {
	e, err := s.exec(id)
	if err != nil {
		return err
	}
	req := &monitor.Request{Op: "killtree"}
	if name := r.URL.Query().Get("signal"); name != "" {
		sig, err := parseSignal(name)
		if err != nil {
			return err
		}
		req.Op, req.Signal = "signal", int(sig)
	}
	e.mu.Lock()
	running := e.running
	req.PID = e.pid
	e.mu.Unlock()
	if running {
		if _, err := e.box.Ask(req); err != nil {
			return err
		}
	}
	return done(w)
}

// size is that of a terminal, in characters.
func size(r *http.Request) (rows, cols uint16, err error) {
	h, err1 := strconv.ParseUint(r.URL.Query().Get("h"), 10, 16)
	w, err2 := strconv.ParseUint(r.URL.Query().Get("w"), 10, 16)
	if err := errors.Join(err1, err2); err != nil {
		return 0, 0, fmt.Errorf("%w: %w", err, container.ErrInvalid)
	}
	return uint16(h), uint16(w), nil
}

// startExec starts the process, with its streams on the connection or, if it
// is detached, without any.
func (s *Server) startExec(w http.ResponseWriter, r *http.Request, id string) error {
	e, err := s.exec(id)
	if err != nil {
		return err
	}
	var b struct{ Detach, Tty bool }
	if err := body(r, &b); err != nil {
		return err
	}
	e.mu.Lock()
	if e.started {
		e.mu.Unlock()
		return fmt.Errorf("exec %s has been started already: %w", id, container.ErrConflict)
	}
	e.started = true
	e.mu.Unlock()
	p, err := e.streams(b.Detach)
	if err != nil {
		return err
	}
	m, err := e.start(s, r, p)
	if err != nil {
		p.close()
		if b.Detach || errors.Is(err, container.ErrNotRunning) {
			return err
		}
		return e.refuse(w, r, err)
	}
	if b.Detach {
		go func() { e.wait(m, p); p.close() }()
		w.WriteHeader(http.StatusOK)
		return nil
	}
	conn, in, err := hijack(w, r, e.conf.Tty)
	if err != nil {
		p.close()
		return err
	}
	defer conn.Close()
	defer p.close()
	if p.stdin != nil {
		go func() {
			if e.conf.Tty {
				monitor.Type(p.stdin, in, func(sig unix.Signal) {
					e.box.Ask(&monitor.Request{Op: "signal", Signal: int(sig), PID: e.pid, Group: true})
				})
				return
			}
			io.Copy(p.stdin, in)
			p.stdin.Close()
		}()
	}
	var pumps sync.WaitGroup
	var one sync.Mutex
	for i, out := range p.output {
		pumps.Go(func() {
			buf := make([]byte, 32<<10)
			for {
				n, err := out.Read(buf)
				if n > 0 {
					one.Lock()
					var e2 error
					if e.conf.Tty {
						_, e2 = conn.Write(buf[:n])
					} else {
						e2 = frame(conn, byte(i+1), buf[:n])
					}
					one.Unlock()
					if e2 != nil {
						return
					}
				}
				if err != nil {
					return
				}
			}
		})
	}
	e.wait(m, p)
	if e.conf.Tty {
		p.inner[0].Close()
	}
	pumps.Wait()
	return errSent
}

// refuse says on the connection why the process could not be started, as
// Docker does; the exit code follows.
func (e *exec) refuse(w http.ResponseWriter, r *http.Request, why error) error {
	conn, _, err := hijack(w, r, e.conf.Tty)
	if err != nil {
		return err
	}
	defer conn.Close()
	text := []byte("OCI runtime exec failed: exec failed: " + why.Error() + "\r\n")
	if e.conf.Tty {
		conn.Write(text)
	} else {
		frame(conn, 1, text)
	}
	return errSent
}

// pipes are a process's streams.
type pipes struct {
	inner  [3]*os.File // its ends
	stdin  *os.File    // ours
	output []*os.File
}

func (p *pipes) close() {
	for _, f := range append(append(p.inner[:], p.stdin), p.output...) {
		if f != nil {
			f.Close()
		}
	}
}

func (e *exec) streams(detach bool) (*pipes, error) {
	p := &pipes{}
	null := func() (*os.File, error) { return os.OpenFile(os.DevNull, os.O_RDWR, 0) }
	if e.conf.Tty && !detach {
		master, slave, err := monitor.OpenTerminal()
		if err != nil {
			return nil, err
		}
		p.inner = [3]*os.File{slave, slave, slave}
		p.stdin, p.output = master, []*os.File{master}
		e.mu.Lock()
		e.terminal = master
		e.mu.Unlock()
		return p, nil
	}
	var err error
	if e.conf.AttachStdin && !detach {
		p.inner[0], p.stdin, err = os.Pipe()
	} else {
		p.inner[0], err = null()
	}
	for i := 1; i <= 2 && err == nil; i++ {
		if detach {
			p.inner[i], err = null()
			continue
		}
		var r *os.File
		r, p.inner[i], err = os.Pipe()
		p.output = append(p.output, r)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// start asks the monitor to start the process.
func (e *exec) start(s *Server, r *http.Request, p *pipes) (*net.UnixConn, error) {
	img, err := s.Store.Images.Get(r.Context(), e.box.ImageID)
	if err != nil {
		return nil, err
	}
	m, err := monitor.Dial(e.box.Dir)
	if err != nil {
		return nil, fmt.Errorf("container %s %w", e.box.ID, container.ErrNotRunning)
	}
	err = monitor.Write(m, &monitor.Request{Op: "exec", Exec: e.box.Exec(img, e.conf.Cmd, e.conf.Env, e.conf.WorkingDir, e.conf.User, e.conf.Tty)}, p.inner[:]...)
	var reply monitor.Reply
	if err == nil {
		_, err = monitor.Read(m, &reply)
	}
	if err == nil && reply.Error != "" {
		err = errors.New(reply.Error)
	}
	if err != nil {
		m.Close()
		code := 126
		if text := err.Error(); strings.Contains(text, "no such file") || strings.Contains(text, "not found") {
			code, err = 127, fmt.Errorf("exec: %q: executable file not found in $PATH", e.conf.Cmd[0])
		}
		e.mu.Lock()
		e.code = &code
		e.mu.Unlock()
		return nil, err
	}
	if !e.conf.Tty {
		for i, f := range p.inner {
			f.Close()
			p.inner[i] = nil
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pid, e.running = reply.PID, true
	return m, nil
}

// wait waits for the process's end.
func (e *exec) wait(m *net.UnixConn, _ *pipes) {
	defer m.Close()
	var reply monitor.Reply
	code := 137 // the container has ended
	if _, err := monitor.Read(m, &reply); err == nil && reply.Error == "" {
		code = reply.ExitCode
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running, e.code = false, &code
}
