package pocketdock_test

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/fakeengine"
	"github.com/pocketdock/pocketdock/internal/state"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// The agent runs among hostile code, and a container's owner may replace it:
// what it says is not believed. Here it says whatever a test wants.

// hostile is a container whose agent is in the hands of the test.
type hostile struct {
	*fakeengine.Engine
	box    *pocketdock.Container
	answer atomic.Pointer[answerer]
}

// An answerer is given each connection once its request has been read, and
// closes it when it returns.
type answerer func(c *net.UnixConn)

// newHostile makes a container in the given state with a hostile agent.
func newHostile(t testing.TB, status string) *hostile {
	return newHostileIn(t, status, shortDir(t), func(path string) (net.Listener, error) { return net.Listen("unix", path) })
}

func newHostileIn(t testing.TB, status, stateDir string, listen func(path string) (net.Listener, error)) *hostile {
	t.Helper()
	dir := state.Dir(stateDir)
	box, err := dir.NewBox(state.Record{Owner: "1:2:boot:3", Name: "hostile"})
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{Engine: fakeengine.Start(t, false)}
	l, err := listen(box.Socket())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				r := wire.NewReader(c)
				if k, _, err := r.Header(); err != nil || k != wire.KindRequest {
					return
				}
				if _, err := r.Payload(); err == nil {
					(*h.answer.Load())(c.(*net.UnixConn))
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	id := h.Add(fakeengine.Container{Name: "hostile", Status: status, Labels: map[string]string{
		"pocketdock.managed": "true", "pocketdock.data-path": string(box), "pocketdock.agent": "socket"}})
	client := &pocketdock.Client{Socket: h.Socket(), StateDir: string(dir)}
	if h.box, err = client.Get(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hostile) answers(a answerer) { h.answer.Store(&a) }

// says answers with these bytes and closes the connection.
func says(text string) answerer {
	return func(c *net.UnixConn) { c.Write([]byte(text)) }
}

// saysAndHangs answers with these bytes and then nothing, until the client goes.
func saysAndHangs(text string) answerer {
	return func(c *net.UnixConn) {
		c.Write([]byte(text))
		drain(c)
	}
}

// drain reads until the client closes.
func drain(c net.Conn) {
	b := make([]byte, 4096)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

// saysForever answers with head and then repeats a text until the client goes.
func saysForever(head, text string) answerer {
	return func(c *net.UnixConn) {
		go drain(c)
		c.Write([]byte(head))
		block := []byte(text)
		for len(block) < 32<<10 {
			block = append(block, text...)
		}
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	}
}

// frameOf is one frame of the protocol with v as JSON, or as it is.
func frameOf(k wire.Kind, v any) string {
	p, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		p = string(b)
	}
	return rawFrame(k, len(p), p)
}

// rawFrame announces any length.
func rawFrame(k wire.Kind, announced int, payload string) string {
	return string([]byte{byte(k), byte(announced >> 24), byte(announced >> 16), byte(announced >> 8), byte(announced)}) + payload
}

// An operation of the library that an agent answers.
type operation struct {
	name string
	do   func(ctx context.Context, b *pocketdock.Container) error
}

func agentOp(name string) operation {
	for _, op := range agentOps {
		if op.name == name {
			return op
		}
	}
	panic("no operation " + name)
}

var agentOps = []operation{
	{"run", func(ctx context.Context, b *pocketdock.Container) error {
		_, err := b.Run(ctx, pocketdock.Argv("x"))
		return err
	}},
	{"stream", func(ctx context.Context, b *pocketdock.Container) error {
		s, err := b.Stream(ctx, pocketdock.Argv("x"))
		if err != nil {
			return err
		}
		defer s.Close()
		for range s.Chunks() {
		}
		_, err = s.Result()
		return err
	}},
	{"start", func(ctx context.Context, b *pocketdock.Container) error {
		_, err := b.Start(ctx, pocketdock.Argv("x"))
		return err
	}},
	{"output", func(ctx context.Context, b *pocketdock.Container) error {
		_, err := b.Process("p").Output(ctx, pocketdock.Offset{})
		return err
	}},
	{"wait", func(ctx context.Context, b *pocketdock.Container) error {
		_, err := b.Process("p").Wait(ctx)
		return err
	}},
	{"processes", func(ctx context.Context, b *pocketdock.Container) error {
		_, err := b.Processes(ctx)
		return err
	}},
	{"open session", func(ctx context.Context, b *pocketdock.Container) error {
		_, err := b.OpenSession(ctx, pocketdock.Command{})
		return err
	}},
	{"session", func(ctx context.Context, b *pocketdock.Container) error {
		_, err := b.Session(ctx, "p")
		return err
	}},
	{"sessions", func(ctx context.Context, b *pocketdock.Container) error {
		_, err := b.Sessions(ctx)
		return err
	}},
	{"callbacks", func(ctx context.Context, b *pocketdock.Container) error {
		stop, err := b.OnStdout(ctx, func(*pocketdock.Process, pocketdock.Chunk) {})
		if err == nil {
			stop()
		}
		return err
	}},
	{"forget", func(ctx context.Context, b *pocketdock.Container) error { return b.Process("p").Forget(ctx) }},
	{"kill", func(ctx context.Context, b *pocketdock.Container) error { return b.Process("p").Kill(ctx, 0) }},
	{"input", func(ctx context.Context, b *pocketdock.Container) error {
		return b.Process("p").Input(ctx, strings.NewReader("hello"))
	}},
	{"ports", func(ctx context.Context, b *pocketdock.Container) error {
		_, err := b.ListeningPorts(ctx)
		return err
	}},
	{"dial", func(ctx context.Context, b *pocketdock.Container) error {
		c, err := b.Dial(ctx, "tcp", "127.0.0.1:80")
		if err == nil {
			c.Close()
		}
		return err
	}},
	{"limits", func(ctx context.Context, b *pocketdock.Container) error {
		_, err := b.TimeLimits(ctx)
		return err
	}},
	{"info", func(ctx context.Context, b *pocketdock.Container) error {
		_, err := b.Info(ctx)
		return err
	}},
	{"read", func(ctx context.Context, b *pocketdock.Container) error {
		_, err := b.ReadFile(ctx, "/f")
		return err
	}},
	{"stat", func(ctx context.Context, b *pocketdock.Container) error {
		_, err := b.Stat(ctx, "/f", pocketdock.FileOptions{})
		return err
	}},
	{"list", func(ctx context.Context, b *pocketdock.Container) error {
		_, err := b.ListFiles(ctx, "/", pocketdock.FilesOptions{})
		return err
	}},
	{"write", func(ctx context.Context, b *pocketdock.Container) error {
		return b.WriteFile(ctx, "/f", []byte("hello"), pocketdock.FileOptions{})
	}},
	{"watch", func(ctx context.Context, b *pocketdock.Container) error {
		return b.Watch(ctx, "/", pocketdock.WatchOptions{}, func(pocketdock.FileEvent) error { return nil })
	}},
}
