package pocketdock_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/fakeengine"
)

var errEnough = errors.New("the caller has had enough")

// cancelled performs an operation whose context ends as soon as the engine
// has the request, and checks that the operation ends then, for that reason.
func cancelled(t *testing.T, name string, within time.Duration, arrived <-chan struct{}, do func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	result := make(chan error, 1)
	go func() { result <- do(ctx) }()
	select {
	case <-arrived:
	case err := <-result:
		t.Errorf("%s: ended before it could be cancelled: %v", name, err)
		return
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: the engine was not asked", name)
	}
	err := promptly(t, name, within, func() error { cancel(errEnough); return <-result })
	if !errors.Is(err, errEnough) || errors.Is(err, pocketdock.ErrNoEngine) {
		t.Errorf("%s: %v, want the context's cause and nothing about the engine", name, err)
	}
	notAbout(t, name, err)
}

// cancelTime is how long an operation may go on after its context ended. A
// command is looked for and killed first, see startGrace and killFound.
func cancelTime(op string) time.Duration {
	if strings.HasPrefix(op, "run") {
		return 4 * time.Second
	}
	return time.Second
}

// TestCancelBeforeHeaders: the engine accepts a request and says nothing.
func TestCancelBeforeHeaders(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		for _, op := range faultOps {
			arrived := make(chan struct{}, 100)
			cancelled(t, op.name, cancelTime(op.name), arrived, func(ctx context.Context) error {
				return op.with(ctx, f, f.Hang(arrived))
			})
		}
	})
}

// TestCancelInsideAnswer: the engine begins an answer and does not end it.
func TestCancelInsideAnswer(t *testing.T) {
	f := newFaulty(t, false)
	for _, op := range faultOps {
		if op.name == "stat" || op.name == "run: start exec" || op.name == "write file" {
			continue // whose answers have no body, see TestCancelMidStream
		}
		arrived := make(chan struct{}, 100)
		cancelled(t, op.name, cancelTime(op.name), arrived, func(ctx context.Context) error {
			return op.with(ctx, f, f.HangAfter(200, "application/json", `{`, arrived))
		})
	}
}

// TestCancelMidStream cancels a command while it prints, while it waits, and
// while it is given input.
func TestCancelMidStream(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		printing := make(chan struct{}, 1)
		f.Program("yes", func(_ context.Context, p *fakeengine.Process) int {
			for {
				if _, err := io.WriteString(p.Stdout, strings.Repeat("y\n", 1000)); err != nil {
					return 1
				}
				select {
				case printing <- struct{}{}:
				default:
				}
			}
		})
		waiting := make(chan struct{}, 1)
		f.Program("wait", func(ctx context.Context, p *fakeengine.Process) int {
			io.WriteString(p.Stdout, "half a line")
			waiting <- struct{}{}
			<-ctx.Done()
			return 1
		})
		for _, tt := range []struct {
			name    string
			arrived chan struct{}
			cmd     pocketdock.Command
		}{
			{"printing", printing, pocketdock.Argv("yes")},
			{"waiting", waiting, pocketdock.Argv("wait")},
			{"in a terminal", waiting, pocketdock.Command{Args: []string{"wait"}, Terminal: &pocketdock.TerminalSize{Rows: 24, Cols: 80}}},
			{"not reading its input", waiting, pocketdock.Command{Args: []string{"wait"}, Stdin: strings.NewReader(strings.Repeat("x", 1<<20))}},
		} {
			cancelled(t, tt.name, 4*time.Second, tt.arrived, func(ctx context.Context) error {
				_, err := f.box.Run(ctx, tt.cmd)
				return err
			})
		}
	})
}

// TestCancelledBeforeIsNotAsked: a context that has ended asks nothing of the
// engine.
func TestCancelledBeforeIsNotAsked(t *testing.T) {
	f := newFaulty(t, false)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnough)
	before := len(f.Requests())
	for _, op := range faultOps {
		err := promptly(t, op.name, time.Second, func() error { return op.do(ctx, f) })
		if !errors.Is(err, errEnough) {
			t.Errorf("%s: %v", op.name, err)
		}
	}
	if asked := f.Requests()[before:]; len(asked) > 0 {
		t.Errorf("the engine was asked: %q", asked)
	}
}

// TestCancelWhileAnotherWaits: one caller waits for an engine that hangs;
// another must not have to wait for the first.
func TestCancelWhileAnotherWaits(t *testing.T) {
	for _, tt := range []struct {
		name, route string
		do          func(f *faulty) func(ctx context.Context) error
	}{
		{"finding the engine", "GET /version", func(f *faulty) func(context.Context) error {
			c := &pocketdock.Client{Socket: f.Socket()}
			return func(ctx context.Context) error { _, err := c.Engine(ctx); return err }
		}},
		{"entering a container", "POST /containers/{id}/exec", func(f *faulty) func(context.Context) error {
			box := f.get(t, f.Add(fakeengine.Container{}))
			return func(ctx context.Context) error { _, err := box.Run(ctx, pocketdock.Argv("true")); return err }
		}},
	} {
		f := newFaulty(t, false)
		do := tt.do(f)
		arrived := make(chan struct{}, 100)
		f.Fault(tt.route, f.Hang(arrived))
		first, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- do(first) }()
		<-arrived
		now := make(chan struct{}, 1)
		now <- struct{}{}
		cancelled(t, tt.name, time.Second, now, do)
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the first: %v", tt.name, err)
		}
	}
}
