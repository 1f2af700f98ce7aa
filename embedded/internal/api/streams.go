//go:build linux

package api

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/embedded/internal/container"
	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

// hijack takes the connection over, as docker and the library expect it.
func hijack(w http.ResponseWriter, r *http.Request, tty bool) (net.Conn, io.Reader, error) {
	c, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	c.SetDeadline(time.Time{})
	kind := "application/vnd.docker.multiplexed-stream"
	if tty {
		kind = "application/vnd.docker.raw-stream"
	}
	if r.Header.Get("Upgrade") != "" {
		fmt.Fprintf(c, "HTTP/1.1 101 UPGRADED\r\nContent-Type: %s\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nApi-Version: %s\r\n\r\n", kind, Version)
	} else {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n", kind)
	}
	return c, buf.Reader, nil
}

// attach joins a client to a container's streams; one that does not run yet is
// waited for.
func (s *Server) attach(w http.ResponseWriter, r *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	fresh := !c.Running
	conn, in, err := hijack(w, r, c.Config.Tty)
	if err != nil {
		return err
	}
	defer conn.Close()
	// What it prints is in its log, too, if it ends before we are there.
	log, err := os.OpenFile(filepath.Join(c.Dir, monitor.LogFile), os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return errSent
	}
	defer log.Close()
	if fresh {
		if _, err := log.Seek(0, io.SeekEnd); err != nil || !s.awaitStart(r.Context(), c) {
			return errSent
		}
	}
	output := is(r, "stdout") || is(r, "stderr")
	m, err := join(c, &monitor.Request{Op: "attach", Replay: is(r, "logs"), Fresh: fresh, Output: output, Stdin: is(r, "stdin")})
	if err != nil {
		if output && (fresh || is(r, "logs")) {
			replay(conn, log, c.Config.Tty)
		}
		return errSent
	}
	defer m.Close()
	go func() {
		io.Copy(m, in)
		m.CloseWrite()
	}()
	io.Copy(conn, m)
	return errSent
}

// awaitStart waits until somebody has started a container that does not run,
// and reports that it was, even if it has ended and was removed since.
func (s *Server) awaitStart(ctx context.Context, c *container.Container) bool {
	for before := c.State; ; {
		if c.Running || c.State.Started != "" && c.State.Started != before.Started {
			return true
		}
		if c.State.Failed != "" && c.State.Failed != before.Failed {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(5 * time.Millisecond):
		}
		if c.Refresh() != nil {
			return false
		}
		if _, err := os.Stat(c.Dir); err != nil {
			return c.Refresh() == nil && c.State.Started != "" && c.State.Started != before.Started
		}
	}
}

// join asks the monitor to attach a connection to the container's streams.
func join(c *container.Container, r *monitor.Request) (*net.UnixConn, error) {
	m, err := monitor.Dial(c.Dir)
	if err != nil {
		return nil, err
	}
	if err = monitor.Write(m, r); err == nil {
		_, err = monitor.Read(m, new(monitor.Reply))
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// replay sends what a container has printed.
func replay(to io.Writer, log io.Reader, tty bool) {
	monitor.ReadLog(log, func(stream byte, _ time.Time, p []byte) bool {
		if tty {
			_, err := to.Write(p)
			return err == nil
		}
		return frame(to, stream, p) == nil
	})
}

// frame writes a piece of output as the API's stream has it.
func frame(w io.Writer, stream byte, p []byte) error {
	b := binary.BigEndian.AppendUint32([]byte{stream, 0, 0, 0}, uint32(len(p)))
	_, err := w.Write(append(b, p...))
	return err
}

func (s *Server) logs(w http.ResponseWriter, r *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	since, err := instant(q.Get("since"))
	if err != nil {
		return err
	}
	until, err := instant(q.Get("until"))
	if err != nil {
		return err
	}
	if !is(r, "stdout") && !is(r, "stderr") {
		return fmt.Errorf("bad parameters: you must choose at least one stream: %w", container.ErrInvalid)
	}
	f, err := os.Open(filepath.Join(c.Dir, monitor.LogFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	w.Header().Set("Content-Type", "application/vnd.docker.multiplexed-stream")
	w.WriteHeader(http.StatusOK)
	http.NewResponseController(w).Flush()
	if f == nil {
		return nil
	}
	defer f.Close()
	tail := -1
	if n, err := strconv.Atoi(r.URL.Query().Get("tail")); err == nil {
		tail = n
	}
	var out [][]byte
	emit := func(stream byte, at time.Time, p []byte) bool {
		if stream == 1 && !is(r, "stdout") || stream == 2 && !is(r, "stderr") {
			return true
		}
		if at.Before(since) || !until.IsZero() && at.After(until) {
			return true
		}
		for line := range bytes.Lines(p) {
			var b bytes.Buffer
			if is(r, "timestamps") {
				line = append([]byte(at.UTC().Format(time.RFC3339Nano)+" "), line...)
			}
			if c.Config.Tty {
				b.Write(line)
			} else {
				frame(&b, stream, line)
			}
			if out = append(out, b.Bytes()); tail >= 0 && len(out) > tail {
				out = out[1:]
			}
		}
		return true
	}
	for {
		running := c.Running
		monitor.ReadLog(f, emit)
		for _, p := range out {
			if _, err := w.Write(p); err != nil {
				return errSent
			}
		}
		out, tail = nil, -1
		http.NewResponseController(w).Flush()
		if !is(r, "follow") || !running {
			return nil
		}
		select {
		case <-r.Context().Done():
			return errSent
		case <-time.After(20 * time.Millisecond):
		}
		if c.Refresh() != nil {
			return errSent
		}
	}
}

// instant reads Unix seconds with a fraction, as "1700000000.5"; empty and "0"
// are none.
func instant(text string) (time.Time, error) {
	if text == "" || text == "0" {
		return time.Time{}, nil
	}
	sec, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("time %q: must be seconds since 1970: %w", text, container.ErrInvalid)
	}
	return time.UnixMicro(int64(sec * 1e6)), nil
}

func (s *Server) top(w http.ResponseWriter, _ *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	reply, err := c.Ask(&monitor.Request{Op: "ps"})
	if err != nil {
		return err
	}
	rows := [][]string{}
	for _, p := range reply.PS {
		rows = append(rows, []string{fmt.Sprint(p.UID), fmt.Sprint(p.PID), fmt.Sprint(p.PPID), p.Start, p.CPU, p.Command})
	}
	return answer(w, http.StatusOK, map[string]any{"Titles": []string{"UID", "PID", "PPID", "STIME", "TIME", "CMD"}, "Processes": rows})
}

// memoryLimit is the container's or the machine's.
func memoryLimit(c *container.Container) int64 {
	if n := c.Host.Memory; n > 0 {
		return n
	}
	var m unix.Sysinfo_t
	unix.Sysinfo(&m)
	return int64(m.Totalram) * int64(m.Unit)
}

// stats answers once or every second.
func (s *Server) stats(w http.ResponseWriter, r *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	once := r.URL.Query().Has("stream") && !is(r, "stream")
	var before map[string]any
	for {
		u := &monitor.Reply{}
		if c.Running {
			if u, err = c.Ask(&monitor.Request{Op: "usage"}); err != nil && !errors.Is(err, container.ErrNotRunning) {
				return err
			}
			if u == nil {
				u = &monitor.Reply{}
			}
		}
		cpu := map[string]any{"cpu_usage": map[string]any{"total_usage": u.CPU}, "system_cpu_usage": time.Now().UnixNano(), "online_cpus": 1}
		if before == nil && once && !is(r, "one-shot") {
			// One answer is to say how much of the processor is in use now.
			before = cpu
			select {
			case <-r.Context().Done():
				return errSent
			case <-time.After(time.Second):
			}
			continue
		}
		if before == nil {
			before = map[string]any{"cpu_usage": map[string]any{"total_usage": 0}, "system_cpu_usage": 0}
		}
		err := json.NewEncoder(w).Encode(map[string]any{"id": c.ID, "name": "/" + c.Name, "read": time.Now().Format(time.RFC3339Nano),
			"cpu_stats": cpu, "precpu_stats": before, "memory_stats": map[string]any{"usage": u.Memory, "limit": memoryLimit(c), "stats": map[string]any{}},
			"pids_stats": map[string]any{"current": u.Count}, "blkio_stats": map[string]any{}, "networks": map[string]any{}})
		before = cpu
		http.NewResponseController(w).Flush()
		if err != nil || once {
			return nil
		}
		select {
		case <-r.Context().Done():
			return errSent
		case <-time.After(time.Second):
		}
		if c.Refresh() != nil {
			return errSent
		}
	}
}

func (s *Server) resize(w http.ResponseWriter, r *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	rows, cols, err := size(r)
	if err != nil {
		return err
	}
	if _, err := c.Ask(&monitor.Request{Op: "resize", Rows: rows, Cols: cols}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
