package pocketdock_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/fakeengine"
	"github.com/pocketdock/pocketdock/internal/state"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// bridged is a container whose agent is reached through an exec, in the hands
// of the test.
func bridged(t *testing.T, bridge fakeengine.Program) (f *faulty, box *pocketdock.Container, pub ed25519.PublicKey) {
	f = newFaulty(t, false)
	dir := state.Dir(f.client.StateDir)
	b, err := dir.NewBox(state.Record{Owner: "1:2:boot:3", Name: "bridged"})
	if err != nil {
		t.Fatal(err)
	}
	if pub, err = b.NewKey(); err != nil {
		t.Fatal(err)
	}
	f.Program("/.pocketdock/agent", bridge)
	return f, f.get(t, f.Add(fakeengine.Container{Name: "bridged", Labels: map[string]string{
		"pocketdock.managed": "true", "pocketdock.data-path": string(b), "pocketdock.agent": "bridge"}})), pub
}

// TestBridgeProof: the request comes with the proof of who asks, over frames
// of any size.
func TestBridgeProof(t *testing.T) {
	nonce := strings.Repeat("n", wire.NonceSize)
	var key ed25519.PublicKey
	_, box, key := bridged(t, func(_ context.Context, p *fakeengine.Process) int {
		io.WriteString(p.Stdout, frameOf(wire.KindChallenge, nonce))
		r := wire.NewReader(p.Stdin)
		r.Header()
		proof, _ := r.Payload()
		proof = append([]byte(nil), proof...)
		r.Header()
		request, err := r.Payload()
		if err != nil || !wire.Proven(key, []byte(nonce), request, proof) {
			io.WriteString(p.Stdout, frameOf(wire.KindFailure, wire.Error{Code: wire.CodeDenied, Message: "not proven"}))
			return 1
		}
		for _, b := range []byte(started + frameOf(wire.KindStdout, "out") + frameOf(wire.KindExit, wire.Exit{Code: 3})) {
			p.Stdout.Write([]byte{b})
		}
		return 0
	})
	res, err := box.Run(t.Context(), pocketdock.Argv("x"))
	if err != nil || string(res.Stdout) != "out" || res.ExitCode != 3 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestHostileBridge: whatever comes through a bridge instead of an agent.
func TestHostileBridge(t *testing.T) {
	var out, errs string
	f, box, _ := bridged(t, func(_ context.Context, p *fakeengine.Process) int {
		io.WriteString(p.Stderr, errs)
		io.WriteString(p.Stdout, out)
		return 1
	})
	challenge := frameOf(wire.KindChallenge, strings.Repeat("n", wire.NonceSize))
	for _, tt := range []struct{ name, out, errs, says string }{
		{"a short challenge", frameOf(wire.KindChallenge, "n"), "", "agent protocol"},
		{"no challenge", frameOf(wire.KindReply, wire.Reply{}), "", "agent protocol"},
		{"a challenge of 4 GiB", rawFrame(wire.KindChallenge, 1<<32-1, ""), "", "agent protocol"},
		{"refused", frameOf(wire.KindFailure, wire.Error{Code: wire.CodeDenied, Message: "not\x1byou"}), "", "not you"},
		{"a challenge, then nonsense", challenge + "\xff\xff\xff\xff\xff", "", "agent protocol"},
		{"a complaint", "", "dial \x1b[2J/io/s: no such file\n", "no such file"},
		{"a complaint of a megabyte", "", strings.Repeat("\x1b[2J", 1<<18), ""},
		{"nothing", "", "", ""},
	} {
		out, errs = tt.out, tt.errs
		for _, op := range agentOps {
			if tt.says != "agent protocol" && op.name != "run" {
				continue // some wait for the container to end
			}
			name := op.name + ": " + tt.name
			err := promptly(t, name, 5*time.Second, func() error { return op.do(t.Context(), box) })
			if !strings.Contains(err.Error(), tt.says) || strings.ContainsRune(err.Error(), 0x1b) {
				t.Errorf("%s: %.300q, want %q", name, err, tt.says)
			}
			notAbout(t, name, err)
		}
	}
	// A container that has ended says so, on this way too.
	f.End(box.ID(), "exited", 3, false)
	if _, err := box.Run(t.Context(), pocketdock.Argv("x")); !errors.Is(err, pocketdock.ErrContainerNotRunning) {
		t.Errorf("after its end: %v", err)
	}
}
