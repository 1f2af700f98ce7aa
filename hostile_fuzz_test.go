package pocketdock_test

import (
	"context"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// conversations are what an honest agent says.
var conversations = []string{
	frameOf(wire.KindStarted, wire.Process{ID: "p", Argv: []string{"x"}}) + frameOf(wire.KindStdout, "out") + frameOf(wire.KindStderr, "err") +
		frameOf(wire.KindGap, wire.Gap{From: 3, To: 5}) + frameOf(wire.KindExit, wire.Exit{Code: 3}),
	frameOf(wire.KindStarted, wire.Process{ID: "p"}) + frameOf(wire.KindReply, wire.Reply{}),
	frameOf(wire.KindStarted, wire.Process{ID: "p"}) + frameOf(wire.KindExit, wire.Exit{Running: true}),
	frameOf(wire.KindEntry, wire.Entry{Process: &wire.Process{ID: "p", Exit: &wire.Exit{}}}) + frameOf(wire.KindReply, wire.Reply{}),
	frameOf(wire.KindEntry, wire.Entry{Stat: &wire.Stat{Path: "f", Mode: 0o100644}}) + frameOf(wire.KindReply, wire.Reply{}),
	frameOf(wire.KindEntry, wire.Entry{Port: &wire.Port{Port: 80}}) + frameOf(wire.KindReply, wire.Reply{}),
	frameOf(wire.KindReply, wire.Reply{}) + frameOf(wire.KindEntry, wire.Entry{Event: &wire.Event{Op: "create", Path: "f"}}),
	frameOf(wire.KindReply, wire.Reply{Info: &wire.Info{Version: 1}, Stat: &wire.Stat{Size: 4}, Limits: &wire.Limits{}, Process: &wire.Process{}}) +
		frameOf(wire.KindData, "data") + frameOf(wire.KindEnd, ""),
	frameOf(wire.KindFailure, wire.Error{Code: wire.CodeNotFound, Message: "no"}),
}

// FuzzHostileAgent answers any operation with any bytes, and then closes the
// connection or says nothing more: no panic, no memory out of proportion, no
// waiting beyond the context. Fuzz it with -fuzzminimizetime=1x: what it
// covers differs from run to run, and shrinking would take all the time.
func FuzzHostileAgent(f *testing.F) {
	for i, text := range conversations {
		for op := range agentOps {
			f.Add(uint8(op), i%4 == 0, []byte(text))
		}
	}
	f.Add(uint8(0), true, []byte(rawFrame(wire.KindStdout, 1<<32-1, "x")))
	f.Add(uint8(12), false, []byte(frameOf(wire.KindReply, wire.Reply{Stat: &wire.Stat{Size: 1 << 62}})))
	// Of a container that has ended, the reason for a broken connection is
	// known at once; only Info needs one that runs.
	ended, running := newHostile(f, "exited"), newHostile(f, "running")
	f.Fuzz(func(t *testing.T, which uint8, hang bool, text []byte) {
		op := agentOps[int(which)%len(agentOps)]
		h, limit := ended, 2*time.Second
		if op.name == "info" {
			h = running
		}
		if hang || op.name == "info" {
			limit = 20 * time.Millisecond
		}
		if hang {
			h.answers(saysAndHangs(string(text)))
		} else {
			h.answers(says(string(text)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		before, begun := allocated(), time.Now()
		err := op.do(ctx, h.box)
		took, grown := time.Since(begun), allocated()-before
		if took > limit+3*time.Second {
			t.Fatalf("%s took %v, its context %v", op.name, took, limit)
		}
		// JSON's smallest values take 2 bytes and become 16 (an empty string of
		// a list), and a growing list is copied a few times.
		if bound := uint64(64*len(text) + 8<<20); grown > bound {
			t.Fatalf("%s allocated %d bytes for an answer of %d", op.name, grown, len(text))
		}
		if err != nil && (len(err.Error()) > maxErrorText || strings.ContainsAny(err.Error(), "\x1b\x00\r")) {
			t.Fatalf("%s: an error of %d bytes: %.300q", op.name, len(err.Error()), err)
		}
	})
}

// allocated is how many bytes this process has allocated so far.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
