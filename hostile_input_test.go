package pocketdock_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// sendOps are the operations that read from the caller.
var sendOps = map[string]func(context.Context, *pocketdock.Container, io.Reader) error{
	"copy in": func(ctx context.Context, b *pocketdock.Container, r io.Reader) error {
		return b.CopyIn(ctx, "/f", r, pocketdock.FileOptions{})
	},
	"input": func(ctx context.Context, b *pocketdock.Container, r io.Reader) error {
		return b.Process("p").Input(ctx, r)
	},
}

// TestAgentReaderBlocks: neither the context nor the agent's refusal waits
// for a caller's reader.
func TestAgentReaderBlocks(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("", func(t *testing.T) {
		h := newHostile(t, "running")
		for name, do := range sendOps {
			r := &blockingReader{release: make(chan struct{})}
			arrived := make(chan struct{}, 1)
			h.answers(func(c *net.UnixConn) { arrived <- struct{}{}; drain(c) })
			cancelled(t, name, time.Second, arrived, func(ctx context.Context) error { return do(ctx, h.box, r) })

			h.answers(saysAndHangs(frameOf(wire.KindFailure, wire.Error{Code: wire.CodePermission, Message: "you may not"})))
			err := promptly(t, name, time.Second, func() error { return do(t.Context(), h.box, r) })
			if !errors.Is(err, pocketdock.ErrPermission) {
				t.Errorf("%s: %v, want the agent's refusal", name, err)
			}

			// An answer of success before the end is none.
			h.answers(saysAndHangs(frameOf(wire.KindReply, wire.Reply{Stat: &wire.Stat{}})))
			promptly(t, name, time.Second, func() error { return do(t.Context(), h.box, r) })
			close(r.release)
		}
	})
}

// TestAgentReaderFails: the caller's own error comes back, at once, and the
// agent sees no end that it could take for the whole.
func TestAgentReaderFails(t *testing.T) {
	h := newHostile(t, "running")
	boom := errors.New("boom")
	for name, do := range sendOps {
		got := make(chan string, 1)
		h.answers(func(c *net.UnixConn) { b, _ := io.ReadAll(c); got <- string(b) })
		err := promptly(t, name, time.Second, func() error {
			return do(t.Context(), h.box, io.MultiReader(strings.NewReader("half"), &failingReader{boom}))
		})
		if !errors.Is(err, boom) {
			t.Errorf("%s: %v", name, err)
		}
		if sent := <-got; sent != frameOf(wire.KindData, "half") {
			t.Errorf("%s: the agent was sent %q", name, sent)
		}
	}
}
