package pocketdock_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/fakeengine"
)

// exitsWith makes the engine say how every exec ended.
func exitsWith(code int) fakeengine.Fault {
	return fakeengine.JSON(map[string]any{"Running": false, "ExitCode": code, "Pid": 0})
}

// TestOutputCutAnywhere ends the stream at each byte. Between two frames that
// is an end; inside one it is an error, whatever the exit code says.
func TestOutputCutAnywhere(t *testing.T) {
	out, errs := fakeengine.Frame(1, []byte("hi")), fakeengine.Frame(2, []byte("x"))
	whole := append(append([]byte{}, out...), errs...)
	onFakes(t, func(t *testing.T, f *faulty) {
		for n := range len(whole) + 1 {
			f.Fault("POST /exec/{id}/start", fakeengine.Raw(whole[:n]))
			if n == 0 || n == len(out) || n == len(whole) {
				f.Fault("GET /exec/{id}/json", exitsWith(0))
				res, err := f.box.Run(t.Context(), pocketdock.Argv("x"))
				if err != nil || string(res.Stdout)+string(res.Stderr) != "hix"[:max(0, n/len(out)*2+n/len(whole))] {
					t.Errorf("cut at %d: %+v, %v", n, res, err)
				}
				continue
			}
			f.Fault("GET /exec/{id}/json", f.Status(500, "not asked")) // 0 could be taken for success
			err := promptly(t, fmt.Sprint("cut at ", n), time.Second, func() error {
				_, err := f.box.Run(t.Context(), pocketdock.Argv("x"))
				return err
			})
			if !errors.Is(err, pocketdock.ErrOutputLost) {
				t.Errorf("cut at %d: %v, want ErrOutputLost", n, err)
			}
		}
	})
}

// TestGarbageOutput: bytes that are no frames are not output.
func TestGarbageOutput(t *testing.T) {
	f := newFaulty(t, false)
	f.Fault("GET /exec/{id}/json", f.Status(500, "not asked"))
	for _, garbage := range []string{
		"hello, I am not framed",
		"\x03\x00\x00\x00\x00\x00\x00\x01x",
		"\x01\x00\x00\x01\x00\x00\x00\x01x",
		string(fakeengine.Frame(1, []byte("ok"))) + "HTTP/1.1 500 Internal Server Error\r\n\r\n",
		"\x01\x00\x00\x00\xff\xff\xff\xffx",
	} {
		f.Fault("POST /exec/{id}/start", fakeengine.Raw([]byte(garbage)))
		err := promptly(t, garbage, time.Second, func() error {
			_, err := f.box.Run(t.Context(), pocketdock.Argv("x"))
			return err
		})
		if !errors.Is(err, pocketdock.ErrOutputLost) {
			t.Errorf("%q: %v, want ErrOutputLost", garbage, err)
		}
	}
}

// TestNoUpgrade: an engine that answers 200 cannot be given input.
func TestNoUpgrade(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		f.Fault("POST /exec/{id}/start", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			r.Header.Del("Upgrade")
			next.ServeHTTP(w, r)
		})
		err := promptly(t, "run", time.Second, func() error { return run(t.Context(), f) })
		if !errors.Is(err, pocketdock.ErrNoEngine) || !strings.Contains(err.Error(), "200") {
			t.Errorf("%v", err)
		}
	})
}

// TestLateExitCode: an exit code that the engine knows only later is waited
// for, and is not 0 before.
func TestLateExitCode(t *testing.T) {
	for _, podman := range []bool{false, true} {
		f := newFaulty(t, podman)
		f.SetExitDelay(6)
		for _, code := range []int{0, 1, 7, 255} {
			res, err := f.box.Run(t.Context(), pocketdock.Argv("exit", fmt.Sprint(code)))
			if err != nil || res.ExitCode != code {
				t.Errorf("%d: %+v, %v", code, res, err)
			}
		}
	}
}

// TestExitCodeNeverKnown: unknown is an error, never success. The rows wait
// out the library's patience together.
func TestExitCodeNeverKnown(t *testing.T) {
	var wg sync.WaitGroup
	for name, answer := range map[string]any{
		"null":          map[string]any{"Running": false, "ExitCode": nil, "Pid": 0},
		"missing":       map[string]any{"Running": false},
		"nothing":       map[string]any{},
		"minus one":     map[string]any{"Running": false, "ExitCode": -1, "Pid": 0},
		"still running": map[string]any{"Running": true, "ExitCode": 0, "Pid": 0},
	} {
		f := newFaulty(t, false)
		f.Fault("GET /exec/{id}/json", fakeengine.JSON(answer))
		wg.Go(func() {
			err := promptly(t, name, 20*time.Second, func() error { return run(t.Context(), f) })
			if !errors.Is(err, pocketdock.ErrOutputLost) {
				t.Errorf("%s: %v, want ErrOutputLost", name, err)
			}
			notAbout(t, name, err)
		})
	}
	wg.Wait()
}

// TestExecForgotten: an engine that no longer knows the exec does not mean
// that the container is gone, only that nobody knows how the command ended.
// Podman 4.3 forgets some of fifty that run at once, with status 500.
func TestExecForgotten(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		status, text := 404, "No such exec instance: 1234"
		if f.Podman {
			status, text = 500, "retrieving exec session 1234 from container 5678: no exec session with ID 1234 found in container 5678: no such exec session"
		}
		for _, route := range []string{"GET /exec/{id}/json", "POST /exec/{id}/start"} {
			f.Fault(route, f.Status(status, text))
			err := promptly(t, route, time.Second, func() error { return run(t.Context(), f) })
			notAbout(t, route, err)
			if ee, ok := errors.AsType[*pocketdock.EngineError](err); !ok || ee.Status != status {
				t.Errorf("%s: %v, want the engine's words", route, err)
			}
			if strings.HasPrefix(route, "GET") && !errors.Is(err, pocketdock.ErrOutputLost) {
				t.Errorf("%s: %v, want ErrOutputLost", route, err)
			}
			f.Fault(route, nil)
		}
	})
}

// TestContainerEndsMidRun: what happened to the container is the error, not
// what became of the connection.
func TestContainerEndsMidRun(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		for _, tt := range []struct {
			name string
			end  func(id string)
			kind error
			says string
		}{
			{"stopped", func(id string) { f.End(id, "exited", 143, false) }, pocketdock.ErrContainerNotRunning, "143"},
			{"out of memory", func(id string) { f.End(id, "exited", 137, true) }, pocketdock.ErrContainerNotRunning, "memory"},
			{"removed", f.Remove, pocketdock.ErrContainerGone, "create another"},
		} {
			box := f.get(t, f.Add(fakeengine.Container{ReadOnly: true}))
			started := make(chan struct{}, 1)
			f.Program("work", func(ctx context.Context, p *fakeengine.Process) int {
				io.WriteString(p.Stdout, "working\n")
				started <- struct{}{}
				<-ctx.Done()
				return 137
			})
			go func() { <-started; tt.end(box.ID()) }()
			err := promptly(t, tt.name, 2*time.Second, func() error {
				_, err := box.Run(t.Context(), pocketdock.Argv("work"))
				return err
			})
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v, want %v with %q", tt.name, err, tt.kind, tt.says)
			}
			// The same is said before the next one starts.
			if _, err := box.Run(t.Context(), pocketdock.Argv("work")); !errors.Is(err, tt.kind) {
				t.Errorf("%s, then: %v, want %v", tt.name, err, tt.kind)
			}
		}
	})
}

// TestNoSuchCommand: the runtime's refusal in the output is not output.
func TestNoSuchCommand(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		for _, name := range []string{"nope", "/bin/nope"} {
			_, err := f.box.Run(t.Context(), pocketdock.Argv(name))
			ce, ok := errors.AsType[*pocketdock.CommandError](err)
			if !ok || !errors.Is(err, pocketdock.ErrCommandNotFound) || ce.Command != name || ce.ExitCode() != 127 {
				t.Errorf("%s: %v", name, err)
			}
		}
		// A command's own 127 is a result.
		if res, err := f.box.Run(t.Context(), pocketdock.Argv("exit", "127")); err != nil || res.ExitCode != 127 {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

// hostProcess is a real process of this machine, which the engine then says
// runs the command.
func hostProcess(t *testing.T, f *faulty) (killed func(within time.Duration)) {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f.SetPID(cmd.Process.Pid)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	return func(within time.Duration) {
		t.Helper()
		select {
		case <-ended:
			if s := cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGKILL {
				t.Errorf("the command's process: %v", cmd.ProcessState)
			}
		case <-time.After(within):
			t.Error("the command's process goes on")
		}
	}
}

// TestTimeoutWithoutAgent ends what can be found, and keeps the output.
func TestTimeoutWithoutAgent(t *testing.T) {
	f := newFaulty(t, false)
	killed := hostProcess(t, f)
	f.Program("work", func(ctx context.Context, p *fakeengine.Process) int {
		io.WriteString(p.Stdout, "half")
		io.WriteString(p.Stderr, "complaint")
		<-ctx.Done()
		return 1
	})
	begun := time.Now()
	res, err := f.box.Run(t.Context(), pocketdock.Command{Args: []string{"work"}, Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if !res.TimedOut || res.OK() || string(res.Stdout) != "half" || string(res.Stderr) != "complaint" {
		t.Errorf("%+v", res)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	killed(10 * time.Second)
}

// TestCancelKills: cancelling and closing kill what can be found.
func TestCancelKills(t *testing.T) {
	f := newFaulty(t, false)
	started := make(chan struct{}, 1)
	f.Program("work", func(ctx context.Context, p *fakeengine.Process) int {
		started <- struct{}{}
		<-ctx.Done()
		return 1
	})
	killed := hostProcess(t, f)
	cancelled(t, "run", 4*time.Second, started, func(ctx context.Context) error {
		_, err := f.box.Run(ctx, pocketdock.Argv("work"))
		return err
	})
	killed(10 * time.Second)

	killed = hostProcess(t, f)
	s, err := f.box.Stream(t.Context(), pocketdock.Argv("work"))
	if err != nil {
		t.Fatal(err)
	}
	<-started
	s.Close()
	killed(10 * time.Second)
	if res, err := s.Result(); err == nil {
		t.Errorf("a stream that was given up has the result %+v", res)
	}
}

// TestExactOutput: bytes, streams and input come through unchanged, in more
// than one buffer.
func TestExactOutput(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		text := strings.Repeat("0123456789abcdef\x00\xff\r\n", 100_000)
		res, err := f.box.Run(t.Context(), pocketdock.Command{Args: []string{"cat"}, Stdin: strings.NewReader(text)})
		if err != nil || string(res.Stdout) != text || len(res.Stderr) != 0 || !res.OK() {
			t.Fatalf("%v, %d bytes of %d", err, len(res.Stdout), len(text))
		}
		res, err = f.box.Run(t.Context(), pocketdock.Command{Args: []string{"cat"}, Stdin: strings.NewReader(text), MaxOutput: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if !res.Truncated() || res.StdoutDropped < int64(len(text)-1000) || len(res.Stdout) > 1100 ||
			!strings.HasPrefix(string(res.Stdout), text[:400]) || !strings.HasSuffix(string(res.Stdout), text[len(text)-400:]) {
			t.Errorf("%d bytes kept, %d dropped of %d", len(res.Stdout), res.StdoutDropped, len(text))
		}
	})
}

// TestOutputWriterFails: the caller's own writer ends the command.
func TestOutputWriterFails(t *testing.T) {
	f := newFaulty(t, false)
	f.Program("yes", func(_ context.Context, p *fakeengine.Process) int {
		for {
			if _, err := io.WriteString(p.Stdout, "y\n"); err != nil {
				return 1
			}
		}
	})
	boom := errors.New("boom")
	_, err := f.box.Run(t.Context(), pocketdock.Command{Args: []string{"yes"}, Stdout: failingWriter{boom}})
	if !errors.Is(err, boom) || errors.Is(err, pocketdock.ErrNoEngine) {
		t.Errorf("%v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// TestNeedsAnAgent: what the engine's API cannot do is refused, before
// anything is begun.
func TestNeedsAnAgent(t *testing.T) {
	f := newFaulty(t, false)
	before := len(f.Requests())
	_, err := f.box.Start(t.Context(), pocketdock.Argv("sleep"))
	errs := []error{err}
	_, err = f.box.Run(t.Context(), pocketdock.Command{Args: []string{"sleep"}, SoftTimeout: time.Second})
	errs = append(errs, err)
	_, err = f.box.Run(t.Context(), pocketdock.Command{Args: []string{"true"}, Rlimits: map[string][2]int64{"core": {0, 0}}})
	errs = append(errs, err)
	_, err = f.box.Processes(t.Context())
	errs = append(errs, err)
	_, err = f.box.Dial(t.Context(), "tcp", "127.0.0.1:80")
	errs = append(errs, err)
	_, err = f.box.ListFiles(t.Context(), "/", pocketdock.FilesOptions{})
	errs = append(errs, err)
	for i, err := range errs {
		if !errors.Is(err, pocketdock.ErrUnsupported) {
			t.Errorf("%d: %v, want ErrUnsupported", i, err)
		}
	}
	if asked := f.Requests()[before:]; len(asked) > 0 {
		t.Errorf("the engine was asked: %q", asked)
	}
}
