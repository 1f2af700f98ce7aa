package fakeengine

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// An execution is one exec of a container.
type execution struct {
	id        string
	container *Container
	config    struct {
		AttachStdin, Tty bool
		Cmd, Env         []string
		User, WorkingDir string
	}
	// Guarded by Engine.mu.
	running  bool
	exitCode *int
	delay    int // inspections that do not tell the code yet
}

func (e *Engine) execCreate(w http.ResponseWriter, r *http.Request, args []string) {
	x := &execution{}
	if err := json.NewDecoder(r.Body).Decode(&x.config); err != nil || len(x.config.Cmd) == 0 {
		e.fail(w, http.StatusBadRequest, "No exec command specified")
		return
	}
	e.with(w, args[0], func(c *Container) {
		if !e.checkRunning(w, c) {
			return
		}
		e.serial++
		x.id, x.container, x.delay = fmt.Sprintf("%064x", e.serial), c, e.exitDelay
		e.execs[x.id] = x
		answer(w, http.StatusCreated, map[string]any{"Id": x.id})
	})
}

func (e *Engine) checkRunning(w http.ResponseWriter, c *Container) bool {
	switch {
	case c.Status == "running":
		return true
	case e.Podman:
		e.fail(w, http.StatusInternalServerError, "can only create exec sessions on running containers: container state improper")
	case c.Status == "paused":
		e.fail(w, http.StatusConflict, "Container "+c.ID+" is paused, unpause the container before exec")
	default:
		e.fail(w, http.StatusConflict, "Container "+c.ID+" is not running")
	}
	return false
}

// exec finds an execution, or answers that there is none.
func (e *Engine) exec(w http.ResponseWriter, id string) *execution {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.execs[id]
	if x == nil || e.containers[x.container.ID] == nil {
		e.fail(w, http.StatusNotFound, "No such exec instance: "+id)
		return nil
	}
	return x
}

func (e *Engine) execInspect(w http.ResponseWriter, _ *http.Request, args []string) {
	x := e.exec(w, args[0])
	if x == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	body := map[string]any{"ID": x.id, "Running": x.running, "ExitCode": x.exitCode, "Pid": 0}
	if x.running {
		body["Pid"] = e.pid
	} else if x.exitCode != nil && x.delay != 0 {
		x.delay--
		body["ExitCode"] = nil
	}
	answer(w, http.StatusOK, body)
}

func (e *Engine) execResize(w http.ResponseWriter, _ *http.Request, args []string) {
	if e.exec(w, args[0]) != nil {
		w.WriteHeader(http.StatusCreated)
	}
}

func (e *Engine) execStart(w http.ResponseWriter, r *http.Request, args []string) {
	x := e.exec(w, args[0])
	if x == nil {
		return
	}
	io.Copy(io.Discard, r.Body)
	e.mu.Lock()
	ok := e.checkRunning(w, x.container)
	gone := x.container.gone
	x.running = ok
	e.mu.Unlock()
	if !ok {
		return
	}
	conn, rw := Upgrade(w, r)
	defer conn.Close()
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context())) // which ends with the client
	defer cancel()
	stop := make(chan struct{})
	e.wg.Go(func() {
		select {
		case <-gone:
		case <-e.closed:
		case <-stop:
		}
		cancel()
	})
	defer close(stop)
	var mu sync.Mutex
	p := &Process{Args: x.config.Cmd, Env: x.config.Env, User: x.config.User, Dir: x.config.WorkingDir, TTY: x.config.Tty,
		Stdout: conn, Stderr: conn}
	if !x.config.Tty {
		p.Stdout, p.Stderr = &framer{1, conn, &mu}, &framer{2, conn, &mu}
	}
	in, inW := io.Pipe()
	p.Stdin = in
	e.wg.Go(func() {
		_, err := io.Copy(inW, rw)
		inW.CloseWithError(err)
		io.Copy(io.Discard, rw) // what the program did not want
		if p.TTY {
			conn.Close() // no byte can be sent that is not output
		}
	})
	if !p.TTY {
		e.wg.Go(func() { watch(ctx, conn, p.Stdout) })
	}
	code := e.run(ctx, p)
	in.Close()
	e.mu.Lock()
	x.running, x.exitCode = false, &code
	e.mu.Unlock()
}

// run runs the program, or says as a runtime would that there is none.
func (e *Engine) run(ctx context.Context, p *Process) int {
	e.mu.Lock()
	program := e.programs[p.Args[0]]
	e.mu.Unlock()
	if program != nil {
		return program(ctx, p)
	}
	text := fmt.Sprintf("OCI runtime exec failed: exec failed: unable to start container process: exec: %q: executable file not found in $PATH: unknown", p.Args[0])
	if strings.HasPrefix(p.Args[0], "/") {
		text = fmt.Sprintf("OCI runtime exec failed: exec failed: unable to start container process: exec: %q: stat %s: no such file or directory: unknown", p.Args[0], p.Args[0])
	}
	io.WriteString(p.Stdout, text+"\r\n")
	return 127
}

// watch notices a client that has closed its connection. Only a failing write
// tells that from a client that has ended its input and goes on reading; an
// empty frame is one. The program goes on, as it does on real engines.
func watch(ctx context.Context, conn net.Conn, out io.Writer) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := out.Write(nil); err != nil {
				conn.Close()
				return
			}
		}
	}
}

// framer writes output in the engine's frames.
type framer struct {
	stream byte
	w      io.Writer
	mu     *sync.Mutex
}

func (f *framer) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.w.Write(Frame(f.stream, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Frame is one frame of an attached exec's output.
func Frame(stream byte, p []byte) []byte {
	b := []byte{stream, 0, 0, 0}
	return append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
}

// Upgrade takes a connection over as engines do for an exec: with 101 if both
// headers ask for it, and otherwise with 200.
func Upgrade(w http.ResponseWriter, r *http.Request) (net.Conn, *bufio.Reader) {
	status := "200 OK"
	if r.Header.Get("Upgrade") == "tcp" && strings.EqualFold(r.Header.Get("Connection"), "Upgrade") {
		status = "101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp"
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // a fault that does not let it through
	}
	fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n", status)
	return conn, rw.Reader
}
