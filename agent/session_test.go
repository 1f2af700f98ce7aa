//go:build linux

package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// session starts a shell that reads scripts, as the library does.
func (s *sandbox) session(argv ...string) *wire.Process {
	if len(argv) == 0 {
		argv = []string{"/bin/sh", "-s"}
	}
	return s.detach(wire.Start{Argv: argv, Session: "sh"})
}

// send gives a session a script, and "TOKEN CODE" after it.
func (s *sandbox) send(id, token, script string) *outcome { return s.sendFor(id, token, script, 0, 0) }

// sendFor does so with a timeout and a grace, in milliseconds.
func (s *sandbox) sendFor(id, token, script string, timeout, grace int64) *outcome {
	w := toSession(id, token, script)
	w.TimeoutMS, w.GraceMS = timeout, grace
	return s.ask(wire.Request{Op: wire.OpSend, Send: &w}).collect(nil)
}

func toSession(id, token, script string) wire.Send {
	return wire.Send{ID: id, Token: token,
		Script: []byte(script + "\necho " + token + " $? >&4\n"), Sync: []byte("echo " + token + wire.SyncMark + " 0 >&4\n")}
}

// TestSessionPackets: only what the session's first process says about the
// current command ends it.
func TestSessionPackets(t *testing.T) {
	s := newSandbox(t)
	id := s.session().ID
	for name, script := range map[string]string{
		"another process":      "sh -c 'echo token 7 >&4'; sleep 0.1",
		"a subshell":           "(echo token 7 >&4); sleep 0.1",
		"another token":        "echo tokem 7 >&4; echo 7 >&4; echo >&4",
		"no number":            "echo token x >&4; echo token >&4; echo 'token 1 2' >&4",
		"a number that is not": "echo token 256 >&4; echo token -1 >&4; echo token 99999999999999999999 >&4",
		"a long packet":        "head -c 100000 /dev/zero | tr '\\0' x >&4",
		"binary":               "printf '\\000\\377token 7' >&4",
	} {
		o := s.send(id, "token", "echo begun; "+script+"; echo still here; true")
		if o.stdout() != "begun\nstill here\n" || o.exit == nil || o.exit.Code != 0 || o.exit.Closed {
			t.Errorf("%s: %q, %+v", name, o.stdout(), o.exit)
		}
	}
	if o := s.send(id, "token", "echo begun; echo token 9 >&4; echo late"); o.exit == nil || o.exit.Code != 9 || !strings.HasPrefix(o.stdout(), "begun\n") {
		t.Errorf("its own word: %q, %+v", o.stdout(), o.exit)
	}
}

// TestSessionRefusals: what is no command for a session is refused, and the
// session goes on.
func TestSessionRefusals(t *testing.T) {
	s := newSandbox(t)
	id := s.session().ID
	plain := s.detach(wire.Start{Argv: []string{"sleep", "1000"}}).ID
	good := wire.Send{ID: id, Token: "t", Script: []byte(":\n")}
	for name, row := range map[string]struct {
		change func(*wire.Send)
		code   string
	}{
		"no process":      {func(w *wire.Send) { w.ID = "nobody" }, wire.CodeNoProcess},
		"no session":      {func(w *wire.Send) { w.ID = plain }, wire.CodeInvalid},
		"no token":        {func(w *wire.Send) { w.Token = "" }, wire.CodeInvalid},
		"token of spaces": {func(w *wire.Send) { w.Token = "a b" }, wire.CodeInvalid},
		"no script":       {func(w *wire.Send) { w.Script = nil }, wire.CodeInvalid},
	} {
		send := good
		row.change(&send)
		if o := s.try(wire.Request{Op: wire.OpSend, Send: &send}); o.failure == nil || o.failure.Code != row.code {
			t.Errorf("%s: %+v", name, o.failure)
		}
	}
	if o := s.try(wire.Request{Op: wire.OpSend}); o.failure == nil || o.failure.Code != wire.CodeInvalid {
		t.Errorf("nothing: %+v", o.failure)
	}
	for name, start := range map[string]wire.Start{
		"kind":     {Argv: []string{"sh"}, Session: "A/B", Detach: true},
		"attached": {Argv: []string{"sh"}, Session: "sh"},
		"terminal": {Argv: []string{"sh"}, Session: "sh", Detach: true, TTY: &wire.Size{}},
	} {
		if o := s.try(wire.Request{Op: wire.OpRun, Start: &start}); o.failure == nil || o.failure.Code != wire.CodeInvalid {
			t.Errorf("%s: %+v", name, o.failure)
		}
	}
	if o := s.send(id, "t", "echo on"); o.stdout() != "on\n" {
		t.Errorf("afterwards: %q", o.stdout())
	}
}

// TestSessionClientGone: the end of a client's connection interrupts its
// command; one that waits for its turn gives it up.
func TestSessionClientGone(t *testing.T) {
	s := newSandbox(t)
	id := s.session("/bin/sh", "-i", "+m", "-s").ID
	script := func(token, text string) wire.Request {
		w := toSession(id, token, text)
		return wire.Request{Op: wire.OpSend, Send: &w}
	}
	first := s.ask(script("first", "echo begun; sleep 1000"))
	begun := make(chan bool)
	go first.collect(func(k wire.Kind, o *outcome) bool {
		if k == wire.KindStdout {
			close(begun)
			return false
		}
		return true
	})
	<-begun
	waiting := s.ask(script("waiting", "echo never >/tmp/pd-never; echo never"))
	waiting.Close()
	first.Close()
	start := time.Now()
	if o := s.send(id, "t", "echo on"); o.stdout() != "on\n" {
		t.Errorf("afterwards: %q, %+v", o.stdout(), o.failure)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
}

// TestSessionExecuted: when the session's process has become another program,
// its end is the command's.
func TestSessionExecuted(t *testing.T) {
	s := newSandbox(t)
	id := s.session().ID
	o := s.send(id, "t", "exec sh -c 'echo other; exit 9'")
	if o.stdout() != "other\n" || o.exit == nil || !o.exit.Closed || o.exit.Code != 9 {
		t.Errorf("%q, %+v", o.stdout(), o.exit)
	}
	if o := s.send(id, "t", ":"); o.failure == nil || o.failure.Code != wire.CodeNoProcess {
		t.Errorf("afterwards: %+v", o)
	}
}

// TestEvents: those that are there, then those that come, each once, and none
// that is not detached.
func TestEvents(t *testing.T) {
	s := newSandbox(t)
	there := s.detach(wire.Start{Argv: []string{"sleep", "1000"}}).ID
	d := s.ask(wire.Request{Op: wire.OpEvents})
	next := func() (wire.Kind, string) {
		d.SetReadDeadline(time.Now().Add(10 * time.Second))
		k, _, err := d.r.Header()
		if err != nil {
			t.Fatal(err)
		}
		if k != wire.KindEntry {
			return k, ""
		}
		var e wire.Entry
		if err := d.r.JSON(&e); err != nil || e.Process == nil {
			t.Fatalf("%+v, %v", e, err)
		}
		return k, e.Process.ID
	}
	if k, id := next(); k != wire.KindEntry || id != there {
		t.Fatalf("first %q %q", k, id)
	}
	if k, _ := next(); k != wire.KindReply {
		t.Fatalf("then %q", k)
	}
	s.run(wire.Start{Argv: []string{"true"}})
	for range 3 {
		want := s.detach(wire.Start{Argv: []string{"true"}}).ID
		if k, id := next(); k != wire.KindEntry || id != want {
			t.Errorf("%q %q, want %q", k, id, want)
		}
	}
}

// TestSecrets: commands have them, records and the agent's own environment do
// not, and without them nothing starts where they are announced.
func TestSecrets(t *testing.T) {
	s := newSandbox(t, withConfig(func(c *wire.Config) {
		c.Secrets, c.Main = true, []string{"/bin/sh", "-c", "echo main $TOKEN"}
	}))
	if o := s.try(wire.Request{Op: wire.OpRun, Start: &wire.Start{Argv: []string{"true"}}}); o.failure == nil || !strings.Contains(o.failure.Message, "secrets") {
		t.Errorf("before: %+v", o)
	}
	if len(s.list()) != 0 {
		t.Error("the main process runs without secrets")
	}
	for _, bad := range []string{"", "=x", "no value", "A=\x00hidden"} {
		o := s.try(wire.Request{Op: wire.OpSecrets, Secrets: wire.Strings{bad}})
		if o.failure == nil || strings.Contains(o.failure.Message, "hidden") {
			t.Errorf("%q: %+v", bad, o.failure)
		}
	}
	s.do(wire.Request{Op: wire.OpSecrets, Secrets: wire.Strings{"TOKEN=s3cret"}})
	if out := s.sh("echo $TOKEN"); out != "s3cret\n" {
		t.Errorf("%q", out)
	}
	if e := s.ended("main"); e.Code != 0 {
		t.Errorf("main: %+v", e)
	}
	if o := s.attach(wire.Attach{ID: "main"}); o.stdout() != "main s3cret\n" {
		t.Errorf("main: %q", o.stdout())
	}
	if out := s.sh("TOKEN= ; echo [$TOKEN]"); out != "[]\n" {
		t.Errorf("%q", out)
	}
}

// TestSessionRounds: the session's turn passes with the answer to the last
// interrupt, and not with one to an earlier, which may be behind that.
func TestSessionRounds(t *testing.T) {
	for _, row := range []struct {
		name       string
		heard      []string
		done, sync bool
	}{
		{"nothing", nil, false, false},
		{"its own end", []string{"t 3"}, true, false},
		{"the answer to the first", []string{"t+1 0"}, true, false},
		{"twice", []string{"t+1 0", "t+1 0"}, true, false},
		{"the answer to the last", []string{"t+2 130"}, true, true},
		{"both", []string{"t+1 0", "t+2 0"}, true, true},
		{"one that was not asked", []string{"t+3 0", "t+0 0", "t+ 0", "t+-2 0"}, true, false},
		{"of another command", []string{"u+2 0", "u 0"}, false, false},
	} {
		c := &command{s: &session{p: &process{}}, send: &wire.Send{Token: "t", Sync: []byte("say t+ $? >&4\n")}, rounds: 2,
			done: make(chan struct{}), sync: make(chan struct{})}
		if got := string(c.question()); got != "say t+2 $? >&4\n" {
			t.Errorf("asked %q", got)
		}
		for _, text := range row.heard {
			c.hear([]byte(text))
		}
		if closed(c.done) != row.done || closed(c.sync) != row.sync {
			t.Errorf("%s: done %v, sync %v", row.name, closed(c.done), closed(c.sync))
		}
	}
}
