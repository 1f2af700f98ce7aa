//go:build linux

package agent

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// percentiles reports p50 and p99 of durations, in microseconds.
func percentiles(b *testing.B, what string, d []time.Duration) {
	slices.Sort(d)
	at := func(p float64) float64 { return float64(d[int(p*float64(len(d)-1))].Nanoseconds()) / 1e3 }
	b.ReportMetric(at(0.50), what+"-p50-µs")
	b.ReportMetric(at(0.99), what+"-p99-µs")
}

// BenchmarkTrue runs "true" through the agent, and by a bare fork, exec and
// wait of this process, in turn.
func BenchmarkTrue(b *testing.B) {
	s := newSandbox(b)
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	bare := func() {
		fd := null.Fd()
		pid, err := syscall.ForkExec("/usr/bin/true", []string{"true"}, &syscall.ProcAttr{
			Env: os.Environ(), Files: []uintptr{fd, fd, fd}, Sys: &syscall.SysProcAttr{Setsid: true}})
		if err != nil {
			b.Fatal(err)
		}
		var status syscall.WaitStatus
		syscall.Wait4(pid, &status, 0, nil)
	}
	var agent, alone []time.Duration
	s.run(wire.Start{Argv: []string{"/usr/bin/true"}})
	for b.Loop() {
		t0 := time.Now()
		s.run(wire.Start{Argv: []string{"/usr/bin/true"}})
		t1 := time.Now()
		bare()
		agent, alone = append(agent, t1.Sub(t0)), append(alone, time.Since(t1))
	}
	percentiles(b, "agent", agent)
	percentiles(b, "bare", alone)
}

// BenchmarkOutput reads what "head -c 2G /dev/zero" prints and drops it.
func BenchmarkOutput(b *testing.B) {
	const size = 2 << 30
	for _, c := range []struct {
		name  string
		start wire.Start
	}{
		{"plain", wire.Start{}},
		{"logged", wire.Start{Keep: true}},
		{"logged-16M", wire.Start{Keep: true, LogLimit: 16 << 20}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newSandbox(b)
			b.SetBytes(size)
			c.start.Argv = []string{"head", "-c", "2147483648", "/dev/zero"}
			buf := make([]byte, 1<<20)
			cpu, runs := s.cpu(), 0
			defer func() {
				b.ReportMetric(float64((s.cpu()-cpu).Milliseconds())/float64(runs*size>>30), "agent-cpu-ms/GiB")
			}()
			for b.Loop() {
				runs++
				d := s.ask(wire.Request{Op: wire.OpRun, Start: &c.start})
				var n int64
				var exit wire.Exit
				for exit.Ended == 0 {
					k, _, err := d.r.Header()
					if err != nil {
						b.Fatal(err)
					}
					switch k {
					case wire.KindStdout:
						for d.r.Left() > 0 {
							m, err := d.r.Read(buf)
							if err != nil {
								b.Fatal(err)
							}
							n += int64(m)
						}
					case wire.KindExit:
						if err := d.r.JSON(&exit); err != nil {
							b.Fatal(err)
						}
					}
				}
				d.Close()
				if n != size || exit.Stdout != size {
					b.Fatalf("%d bytes, exit %+v", n, exit)
				}
			}
		})
	}
}

// cpu is the time that the agent has used, without its children's.
func (s *sandbox) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// BenchmarkPipe is the most that a pipe and a socket could do: the command's
// output goes through this process to another, in the agent's way.
func BenchmarkPipe(b *testing.B) {
	const size = 2 << 30
	b.SetBytes(size)
	for b.Loop() {
		r, w, _ := os.Pipe()
		unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 1<<20)
		pid, err := syscall.ForkExec("/usr/bin/head", []string{"head", "-c", "2147483648", "/dev/zero"},
			&syscall.ProcAttr{Files: []uintptr{0, w.Fd(), 2}})
		if err != nil {
			b.Fatal(err)
		}
		w.Close()
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 256<<10))
		if n != size {
			b.Fatal(n)
		}
		var status syscall.WaitStatus
		syscall.Wait4(pid, &status, 0, nil)
	}
}
