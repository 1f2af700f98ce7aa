package pocketdock_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// collector gathers what callbacks are told, by process.
type collector struct {
	mu   sync.Mutex
	out  map[string]*bytes.Buffer
	lost int64
	exit map[string]int
}

func newCollector() *collector {
	return &collector{out: map[string]*bytes.Buffer{}, exit: map[string]int{}}
}

func (c *collector) chunk(p *pocketdock.Process, ch pocketdock.Chunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out[p.ID()] == nil {
		c.out[p.ID()] = &bytes.Buffer{}
	}
	c.out[p.ID()].Write(ch.Data)
	c.lost += ch.Lost
}

func (c *collector) ended(p *pocketdock.Process, r *pocketdock.Result, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exit[p.ID()] = -1
	if err == nil {
		c.exit[p.ID()] = r.ExitCode
	}
}

func (c *collector) exits() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.exit)
}

func (c *collector) text(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.out[id]; b != nil {
		return b.String()
	}
	return ""
}

// logBuffer takes what goes to slog.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

func captureLog(t *testing.T) *logBuffer {
	l, before := &logBuffer{}, slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(l, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return l
}

// TestSuiteCallbacks: every detached process's output and end are told,
// complete and in order, beside a callback that blocks and one that panics,
// and to none that was unregistered.
func TestSuiteCallbacks(t *testing.T) {
	logged := captureLog(t)
	defer func() {
		if n := logged.count("in a callback, as the test wants"); n == 0 {
			t.Error("the panic of a callback was not logged")
		}
	}()
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		ctx := t.Context()
		stdout, stderr, exits := newCollector(), newCollector(), newCollector()
		before, err := box.Start(ctx, pocketdock.Command{Shell: "echo early; read x; echo late $x", Stdin: pocketdock.Interactive})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "the first line", func() bool {
			b, err := before.Output(ctx, pocketdock.Offset{})
			return err == nil && string(b.Stdout) == "early\n"
		})
		release := make(chan struct{})
		var blocked, panicked sync.Once
		blocks, panics := make(chan struct{}), make(chan struct{})
		var after int
		on := func(stop func(), err error) func() {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			return stop
		}
		on(box.OnStdout(ctx, func(*pocketdock.Process, pocketdock.Chunk) {
			blocked.Do(func() { close(blocks) })
			<-release
		}))
		on(box.OnStdout(ctx, func(*pocketdock.Process, pocketdock.Chunk) {
			panicked.Do(func() { close(panics) })
			panic("in a callback, as the test wants")
		}))
		on(box.OnStdout(ctx, func(*pocketdock.Process, pocketdock.Chunk) { after++ }))()
		on(box.OnStdout(ctx, stdout.chunk))
		on(box.OnStderr(ctx, stderr.chunk))
		on(box.OnExit(ctx, exits.ended))
		defer close(release)

		const n = 5
		var ps []*pocketdock.Process
		var want []string
		for i := range n {
			p, err := box.Start(ctx, pocketdock.Shell(fmt.Sprintf("for i in $(seq 500); do echo %d line $i; done; echo e%d >&2; exit %d", i, i, i)))
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for j := range 500 {
				fmt.Fprintf(&b, "%d line %d\n", i, j+1)
			}
			ps, want = append(ps, p), append(want, b.String())
		}
		if err := before.Input(ctx, strings.NewReader("x\n")); err != nil {
			t.Fatal(err)
		}
		// Plain runs are none of their business.
		mustRun(t, box, pocketdock.Shell("echo not this"))
		eventually(t, 30*time.Second, "all ends", func() bool { return exits.exits() == n+1 })
		for i, p := range ps {
			eventually(t, 10*time.Second, "all output", func() bool {
				return len(stdout.text(p.ID())) >= len(want[i]) && stderr.text(p.ID()) != ""
			})
			if got := stdout.text(p.ID()); got != want[i] {
				t.Errorf("process %d: %d bytes, want %d", i, len(got), len(want[i]))
			}
			if got := stderr.text(p.ID()); got != fmt.Sprintf("e%d\n", i) {
				t.Errorf("process %d: stderr %q", i, got)
			}
			if got := exits.exit[p.ID()]; got != i {
				t.Errorf("process %d: exit code %d", i, got)
			}
		}
		eventually(t, 10*time.Second, "what came after the registration", func() bool { return stdout.text(before.ID()) == "late x\n" })
		if stdout.lost+stderr.lost > 0 {
			t.Errorf("%d bytes lost", stdout.lost+stderr.lost)
		}
		<-blocks
		<-panics
		if after != 0 {
			t.Errorf("one that was unregistered was called %d times", after)
		}
		if len(stdout.out) != n+1 {
			t.Errorf("output of %d processes", len(stdout.out))
		}
	})
}

// TestSuiteCallbackLost: a callback that falls behind by more than the log
// keeps is told how much it missed; the process was not held up.
func TestSuiteCallbackLost(t *testing.T) {
	onEach(t, []string{socketWay}, func(t *testing.T, box *pocketdock.Container) {
		ctx := t.Context()
		const size = 8 << 20
		release := make(chan struct{})
		var got, lost int64
		var mu sync.Mutex
		var first sync.Once
		stop, err := box.OnStdout(ctx, func(_ *pocketdock.Process, c pocketdock.Chunk) {
			first.Do(func() { <-release })
			mu.Lock()
			defer mu.Unlock()
			got, lost = got+int64(len(c.Data)), lost+c.Lost
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		p, err := box.Start(ctx, pocketdock.Command{Args: []string{"dd", "if=/dev/zero", "bs=64k", fmt.Sprint("count=", size>>16)}, LogLimit: 256 << 10})
		if err != nil {
			t.Fatal(err)
		}
		if res, err := p.Wait(ctx); err != nil || !res.OK() {
			t.Fatalf("%+v, %v", res, err)
		}
		close(release)
		eventually(t, 10*time.Second, "all bytes are accounted for", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return got+lost == size
		})
		if lost == 0 {
			t.Error("nothing was lost: the test proves nothing")
		}
	})
}

// TestSuiteSessionOnOutput: a session's output as it comes.
func TestSuiteSessionOnOutput(t *testing.T) {
	onEach(t, []string{socketWay}, func(t *testing.T, box *pocketdock.Container) {
		s := openSession(t, box, pocketdock.Command{})
		var mu sync.Mutex
		var out []byte
		stop, err := s.OnOutput(t.Context(), func(c pocketdock.Chunk) {
			mu.Lock()
			defer mu.Unlock()
			out = append(out, c.Data...)
		})
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, "echo one")
		send(t, s, "echo two")
		eventually(t, 10*time.Second, "both lines", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return string(out) == "one\ntwo\n"
		})
		stop()
	})
}
