package pocketdock_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/wire"
)

var started = frameOf(wire.KindStarted, wire.Process{ID: "p"})

// TestHostileEvents: an agent that tells of processes without end does not
// make this program follow them all.
func TestHostileEvents(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("", func(t *testing.T) {
		h := newHostile(t, "running")
		var attached atomic.Int64
		hold := make(chan struct{})
		told := make(chan error, 1)
		var first sync.Once
		h.answers(func(c *net.UnixConn) {
			only := false
			first.Do(func() { only = true })
			if !only {
				attached.Add(1)
				<-hold
				return
			}
			w := wire.NewWriter(c)
			err := w.JSON(wire.KindReply, wire.Reply{})
			for i := 0; err == nil; i++ {
				err = w.JSON(wire.KindEntry, wire.Entry{Process: &wire.Process{ID: fmt.Sprintf("p%d", i), Started: 1}})
			}
			told <- err // the library has hung up
		})
		stop, err := h.box.OnStdout(t.Context(), func(*pocketdock.Process, pocketdock.Chunk) {})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-told:
		case <-time.After(time.Minute):
			t.Error("it still listens")
		}
		stop()
		close(hold)
		if n := attached.Load(); n > 5000 {
			t.Errorf("%d connections", n)
		}
	})
}

// TestHostileAnswers: whatever is asked, an answer that is none is an error,
// at once, in few and printable words.
func TestHostileAnswers(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("", func(t *testing.T) {
		h := newHostile(t, "running")
		nasty := strings.Repeat("\x1b[2J\r\nnasty\u202e", 50_000)
		for name, text := range map[string]string{
			"a kind of the client":     frameOf(wire.KindRequest, wire.Request{Op: "run"}),
			"an unknown kind":          rawFrame('?', 0, ""),
			"a challenge":              frameOf(wire.KindChallenge, strings.Repeat("x", 32)),
			"a huge frame":             rawFrame(wire.KindReply, wire.MaxFrame+1, "{"),
			"the hugest frame":         rawFrame(wire.KindStdout, math.MaxUint32, ""),
			"no JSON":                  frameOf(wire.KindReply, "\x00") + frameOf(wire.KindStarted, "\x00"),
			"a started that is none":   frameOf(wire.KindStarted, "[]"),
			"a reply that is none":     frameOf(wire.KindReply, `{"info":7,"stat":7,"limits":7,"process":7}`),
			"an entry that is none":    frameOf(wire.KindEntry, `{"process":7,"stat":7,"port":7}`),
			"a number of half a page":  frameOf(wire.KindStarted, `{"pid":`+strings.Repeat("9", 1<<19)+`}`),
			"a failure that is none":   frameOf(wire.KindFailure, `{"code":7}`),
			"a failure with no reason": frameOf(wire.KindFailure, `{}`),
			"a failure of a megabyte":  frameOf(wire.KindFailure, wire.Error{Code: nasty[:1000], Message: nasty, Path: wire.Path(nasty[:1000])}),
			"a terminal's text":        "\x1b[2J\x1b[31mHTTP/1.1 200 OK\r\n\r\n",
			"an end":                   frameOf(wire.KindEnd, ""),
			"an exit only":             frameOf(wire.KindExit, wire.Exit{}),
		} {
			h.answers(says(text))
			for _, op := range agentOps {
				name := op.name + " answered with " + name
				err := promptly(t, name, time.Second, func() error { return op.do(t.Context(), h.box) })
				if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x202e }) {
					t.Errorf("%s: %.200q goes to a terminal", name, err)
				}
				notAbout(t, name, err)
			}
		}
	})
}

// TestHostileSilence: nothing, or half of something, and then nothing: the
// context ends it.
func TestHostileSilence(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("", func(t *testing.T) {
		h := newHostile(t, "running")
		for name, a := range map[string]answerer{
			"nothing":       saysAndHangs(""),
			"half a header": saysAndHangs("F\x00"),
			"half a frame":  saysAndHangs(rawFrame(wire.KindFailure, 100, "{")),
		} {
			h.answers(a)
			for _, op := range agentOps {
				ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errEnough)
				err := promptly(t, op.name+": "+name, time.Second, func() error { return op.do(ctx, h.box) })
				if !errors.Is(err, errEnough) {
					t.Errorf("%s: %s: %v", op.name, name, err)
				}
				cancel()
			}
		}
	})
}

// TestHostileHangUp: an agent that goes away in the middle, of a container
// that runs on. The container is given a moment to end, because that is the
// usual reason; the rows wait that out together.
func TestHostileHangUp(t *testing.T) {
	var wg sync.WaitGroup
	for _, text := range []string{"", "F\x00", rawFrame(wire.KindFailure, 100, "{"), started + rawFrame(wire.KindStdout, 10, "x")} {
		h := newHostile(t, "running")
		h.answers(says(text))
		for _, op := range agentOps {
			if strings.HasPrefix(text, started) && op.name != "run" && op.name != "stream" {
				continue
			}
			wg.Go(func() {
				name := fmt.Sprintf("%s: %q", op.name, text)
				err := promptly(t, name, 6*time.Second, func() error { return op.do(t.Context(), h.box) })
				if !errors.Is(err, pocketdock.ErrOutputLost) {
					t.Errorf("%s: %v", name, err)
				}
				notAbout(t, name, err)
			})
		}
	}
	wg.Wait()
}

// TestHostileRun: how a command ended must be said, in the right order.
func TestHostileRun(t *testing.T) {
	h := newHostile(t, "running")
	exit := frameOf(wire.KindExit, wire.Exit{})
	for name, text := range map[string]string{
		"an end without a code":       started + frameOf(wire.KindExit, "{}"),
		"an end of null":              started + frameOf(wire.KindExit, "null"),
		"not known":                   started + frameOf(wire.KindExit, wire.Exit{Lost: true}),
		"started twice":               started + started + exit,
		"a reply for an end":          started + frameOf(wire.KindReply, wire.Reply{}),
		"entries for output":          started + frameOf(wire.KindEntry, wire.Entry{}) + exit,
		"a failure in the middle":     started + frameOf(wire.KindStdout, "x") + frameOf(wire.KindFailure, wire.Error{Message: strings.Repeat("\x1b[2J", 100_000)}),
		"a gap backwards":             started + frameOf(wire.KindGap, wire.Gap{From: 5, To: 3}) + exit,
		"a gap before the beginning":  started + frameOf(wire.KindGap, wire.Gap{From: math.MinInt64, To: math.MaxInt64}) + exit,
		"the same gap twice":          started + strings.Repeat(frameOf(wire.KindGap, wire.Gap{From: 0, To: math.MaxInt64}), 2) + exit,
		"a process without a name":    frameOf(wire.KindStarted, wire.Process{}) + exit,
		"a process with another name": frameOf(wire.KindStarted, wire.Process{ID: "../\x1b[2J"}) + exit,
		"a name of a megabyte":        frameOf(wire.KindStarted, wire.Process{ID: strings.Repeat("p", 1<<19)}) + exit,
	} {
		h.answers(says(text))
		err := promptly(t, name, time.Second, func() error {
			_, err := h.box.Run(t.Context(), pocketdock.Argv("x"))
			return err
		})
		if strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%s: %.200q goes to a terminal", name, err)
		}
		notAbout(t, name, err)
	}
	// What comes after the end is nobody's.
	h.answers(says(started + frameOf(wire.KindStdout, "x") + frameOf(wire.KindExit, wire.Exit{Code: 3}) + frameOf(wire.KindStdout, "y") + exit))
	res, err := h.box.Run(t.Context(), pocketdock.Argv("x"))
	if err != nil || string(res.Stdout) != "x" || res.ExitCode != 3 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestHostileWithoutEnd: what is streamed goes on in bounded memory until the
// context ends.
func TestHostileWithoutEnd(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("", func(t *testing.T) {
		h := newHostile(t, "running")
		big := strings.Repeat("x", 512<<10)
		read := frameOf(wire.KindReply, wire.Reply{Stat: &wire.Stat{}})
		event := frameOf(wire.KindEntry, wire.Entry{Event: &wire.Event{Op: "create", Path: wire.Path(big)}})
		for _, tt := range []struct {
			op   string
			says answerer
		}{
			{"run", saysForever(started, frameOf(wire.KindStdout, ""))},
			{"run", saysForever(started, frameOf(wire.KindStderr, big))},
			{"run", saysForever(started, frameOf(wire.KindGap, wire.Gap{}))},
			{"stream", saysForever(started, frameOf(wire.KindStdout, big))},
			{"wait", saysForever(started, frameOf(wire.KindStdout, big))},
			{"output", saysForever(started, frameOf(wire.KindStdout, ""))},
			{"read", saysForever(read, frameOf(wire.KindData, ""))},
			{"watch", saysForever(frameOf(wire.KindReply, wire.Reply{}), event)},
		} {
			h.answers(tt.says)
			ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errEnough)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := promptly(t, tt.op, 2*time.Second, func() error { return agentOp(tt.op).do(ctx, h.box) })
			cancel()
			runtime.ReadMemStats(&after)
			// What the system gave, not what was allocated and dropped.
			if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 200<<20 {
				t.Errorf("%s: the heap grew by %d MiB", tt.op, grown>>20)
			}
			if !errors.Is(err, errEnough) {
				t.Errorf("%s: %v", tt.op, err)
			}
		}
	})
}

// TestHostileLists: what is kept is given up once it is too much to be true,
// without the context's help.
func TestHostileLists(t *testing.T) {
	h := newHostile(t, "running")
	for op, entry := range map[string]wire.Entry{
		"processes": {Process: &wire.Process{ID: "p", Argv: []string{strings.Repeat("x", 512<<10)}}},
		"ports":     {},
	} {
		h.answers(saysForever("", frameOf(wire.KindEntry, entry)))
		err := promptly(t, op, 30*time.Second, func() error { return agentOp(op).do(t.Context(), h.box) })
		if !strings.Contains(err.Error(), "no end") {
			t.Errorf("%s: %v", op, err)
		}
	}
}

// TestHostileFile: the size that is announced is only a word.
func TestHostileFile(t *testing.T) {
	h := newHostile(t, "running")
	reply := func(size int64) string { return frameOf(wire.KindReply, wire.Reply{Stat: &wire.Stat{Size: size}}) }
	data := frameOf(wire.KindData, "content") + frameOf(wire.KindEnd, "")
	for _, size := range []int64{0, 7, 1 << 62, math.MinInt64} {
		h.answers(says(reply(size) + data))
		b, err := h.box.ReadFile(t.Context(), "/f")
		if err != nil || string(b) != "content" {
			t.Errorf("of %d bytes: %q, %v", size, b, err)
		}
	}
	// Without an end it is not whole.
	for name, text := range map[string]string{
		"a failure at the end": reply(7) + frameOf(wire.KindData, "content") + frameOf(wire.KindFailure, wire.Error{Code: "other", Message: "I/O error"}),
		"another kind":         reply(7) + frameOf(wire.KindData, "content") + frameOf(wire.KindStdout, ""),
		"no description":       frameOf(wire.KindReply, wire.Reply{}) + data,
		"data at once":         data,
	} {
		h.answers(says(text))
		err := promptly(t, name, time.Second, func() error { _, err := h.box.ReadFile(t.Context(), "/f"); return err })
		notAbout(t, name, err)
	}
	// A stream is read in the memory of its frames.
	h.answers(saysForever(reply(1), frameOf(wire.KindData, strings.Repeat("x", 1<<19))))
	_, r, err := h.box.OpenFile(t.Context(), "/f", pocketdock.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	before := allocated()
	const length = 64 << 20
	if n, err := io.CopyN(io.Discard, r, length); n != length || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if grown := allocated() - before; grown > 8<<20 {
		t.Errorf("%d bytes allocated for a stream of %d", grown, length)
	}
	r.Close()
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("a closed file is read")
	}
}

// TestHostileFailureKinds: the agent's refusals keep their kinds.
func TestHostileFailureKinds(t *testing.T) {
	h := newHostile(t, "running")
	for code, kind := range map[string]error{
		wire.CodeNotFound: pocketdock.ErrFileNotFound, wire.CodeExists: pocketdock.ErrFileExists,
		wire.CodePermission: pocketdock.ErrPermission, wire.CodeInvalid: pocketdock.ErrInvalid,
		wire.CodeUnsupported: pocketdock.ErrUnsupported, wire.CodeNoProcess: pocketdock.ErrProcessNotFound,
		wire.CodeNotCommand: pocketdock.ErrCommandNotFound, wire.CodeNotExec: pocketdock.ErrCommandNotExecutable,
	} {
		h.answers(says(frameOf(wire.KindFailure, wire.Error{Code: code, Message: "because"})))
		for _, op := range agentOps {
			if err := op.do(t.Context(), h.box); !errors.Is(err, kind) {
				t.Errorf("%s refused with %s: %v, want %v", op.name, code, err, kind)
			}
		}
	}
}
