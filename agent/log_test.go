//go:build linux

package agent

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// numbers is what "seq" prints.
func numbers(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

// A client is killed in the middle; another reads on from where it was, and
// together they have every byte.
func TestReattach(t *testing.T) {
	s := newSandbox(t)
	want := numbers(200_000)
	d := s.ask(wire.Request{Op: wire.OpRun, Start: &wire.Start{Argv: []string{"seq", "200000"}, Keep: true, LogLimit: 4 << 20}})
	first := d.collect(func(k wire.Kind, o *outcome) bool { return o.out[stdout].Len() < 100_000 })
	d.Close()
	rest := s.attach(wire.Attach{ID: first.started.ID, Stdout: int64(first.out[stdout].Len()), Follow: true})
	rest.mustExit(t, 0)
	if len(rest.gaps) > 0 || first.stdout()+rest.stdout() != want || rest.exit.Stdout != int64(len(want)) {
		t.Errorf("gaps %v, %d+%d bytes of %d", rest.gaps, first.out[stdout].Len(), rest.out[stdout].Len(), len(want))
	}
	// And again, from any offset of what has ended.
	for _, from := range []int{0, 1, 77_777, len(want) - 1, len(want), len(want) + 10} {
		o := s.attach(wire.Attach{ID: first.started.ID, Stdout: int64(from), Follow: from%2 == 0})
		o.mustExit(t, 0)
		if o.stdout() != want[min(from, len(want)):] || len(o.gaps) > 0 {
			t.Errorf("from %d: %d bytes, gaps %v", from, o.out[stdout].Len(), o.gaps)
		}
	}
}

// What the log has dropped is told to the byte.
func TestGaps(t *testing.T) {
	s := newSandbox(t)
	want := numbers(100_000)
	for _, limit := range []int64{1, 1000, 4096, 65_472, 100_001} {
		p := s.detach(wire.Start{Argv: []string{"seq", "100000"}, LogLimit: limit})
		if e := s.ended(p.ID); e.Code != 0 || e.Stdout != int64(len(want)) {
			t.Fatalf("limit %d: %+v", limit, e)
		}
		o := s.attach(wire.Attach{ID: p.ID})
		o.mustExit(t, 0)
		lost := int64(len(want)) - limit
		if len(o.gaps) != 1 || o.gaps[0] != (wire.Gap{From: 0, To: lost}) || o.stdout() != want[lost:] {
			t.Errorf("limit %d: gaps %v, %d bytes", limit, o.gaps, o.out[stdout].Len())
		}
		if l := s.list()[p.ID]; l.Stdout != int64(len(want)) || l.StdoutDropped != lost {
			t.Errorf("limit %d: %+v", limit, l)
		}
		if st, err := os.Stat(filepath.Join(s.dir, p.ID+".out")); err != nil || st.Size() > limit+4096 {
			t.Errorf("limit %d: file %+v %v", limit, st, err)
		}
	}
}

// Followers while it is written see each byte once, in order, or are told of
// a gap, at any speed.
func TestFollowersAreExact(t *testing.T) {
	s := newSandbox(t)
	const n = 400_000
	want := numbers(n)
	p := s.detach(wire.Start{Argv: []string{"sh", "-c", fmt.Sprintf("read x; seq %d", n)}, Stdin: true, LogLimit: 50_000})
	results := make(chan string, 8)
	for i := range 8 {
		hold := i == 0
		d := s.ask(wire.Request{Op: wire.OpAttach, Attach: &wire.Attach{ID: p.ID, Follow: true, Hold: hold}})
		if k, _, err := d.r.Header(); err != nil || k != wire.KindStarted { // it follows now
			t.Fatal(k, err)
		}
		go func() {
			var all bytes.Buffer
			gaps := 0
			d.r.Payload()
			o := d.collect(func(k wire.Kind, o *outcome) bool {
				if k == wire.KindStdout {
					at := all.Len()
					b := o.out[stdout].Bytes()
					if !strings.HasPrefix(want[min(at, len(want)):], string(b)) {
						results <- fmt.Sprintf("follower %d: wrong bytes at %d", i, at)
						return false
					}
					all.Write(b)
					o.out[stdout].Reset()
				}
				if k == wire.KindGap {
					g := o.gaps[gaps]
					gaps++
					if g.From != int64(all.Len()) || g.To <= g.From {
						results <- fmt.Sprintf("follower %d at %d: gap %v", i, all.Len(), g)
						return false
					}
					all.WriteString(want[g.From:g.To])
				}
				if i > 4 {
					time.Sleep(time.Duration(i) * 100 * time.Microsecond) // slow readers
				}
				return true
			})
			switch {
			case o.exit == nil:
				results <- fmt.Sprintf("follower %d: %v %+v", i, o.err, o.failure)
			case all.String() != want:
				results <- fmt.Sprintf("follower %d: %d bytes", i, all.Len())
			case hold && gaps > 0:
				results <- fmt.Sprintf("the one that holds has %d gaps", gaps)
			default:
				results <- ""
			}
		}()
	}
	s.await("all are attached", func() bool { return true })
	d := s.ask(wire.Request{Op: wire.OpInput, Attach: &wire.Attach{ID: p.ID}})
	d.w.Frame(wire.KindData, []byte("go\n"))
	d.w.Frame(wire.KindEnd, nil)
	d.collect(nil)
	for range 8 {
		if r := <-results; r != "" {
			t.Error(r)
		}
	}
}

// A reader that holds and does not read stops the process, and lets it go on
// when it leaves.
func TestHold(t *testing.T) {
	s := newSandbox(t)
	p := s.detach(wire.Start{Argv: []string{"sh", "-c", "read x; seq 1000000"}, Stdin: true, LogLimit: 100_000})
	d := s.ask(wire.Request{Op: wire.OpAttach, Attach: &wire.Attach{ID: p.ID, Follow: true, Hold: true, Stdin: true}})
	d.collect(func(k wire.Kind, o *outcome) bool { return k != wire.KindStarted })
	d.w.Frame(wire.KindData, []byte("go\n"))
	last := int64(-1)
	s.await("it comes to a stop", func() bool {
		time.Sleep(50 * time.Millisecond)
		now := s.list()[p.ID].Stdout
		stopped := now == last && now > 0
		last = now
		return stopped
	})
	if l := s.list()[p.ID]; l.Exit != nil || l.Stdout == 6888896 {
		t.Fatalf("it was not held: %+v", l)
	}
	d.Close()
	if e := s.ended(p.ID); e.Stdout != 6888896 {
		t.Errorf("%+v", e)
	}
}

func TestAttachFromNow(t *testing.T) {
	s := newSandbox(t)
	p := s.detach(wire.Start{Argv: []string{"sh", "-c", "echo old; read x; echo new"}, Stdin: true})
	s.await("the old line", func() bool { return s.list()[p.ID].Stdout == 4 })
	d := s.ask(wire.Request{Op: wire.OpAttach, Attach: &wire.Attach{ID: p.ID, Stdout: -1, Stderr: -1, Follow: true, Stdin: true}})
	o := d.collect(func(k wire.Kind, o *outcome) bool {
		if k == wire.KindStarted {
			d.w.Frame(wire.KindData, []byte("\n"))
		}
		return true
	})
	o.mustExit(t, 0)
	if o.stdout() != "new\n" || o.exit.Stdout != 8 {
		t.Errorf("%q %+v", o.stdout(), o.exit)
	}
}

// An attach to a run whose output goes to its own connection tells that it has
// none of it.
func TestAttachWithoutLog(t *testing.T) {
	s := newSandbox(t)
	d := s.ask(wire.Request{Op: wire.OpRun, Start: &wire.Start{ID: "plain", Argv: []string{"sh", "-c", "echo x; read y; exit 3"}, Stdin: true}})
	d.collect(func(k wire.Kind, o *outcome) bool { return k != wire.KindStdout })
	at := s.ask(wire.Request{Op: wire.OpAttach, Attach: &wire.Attach{ID: "plain", Follow: true}})
	at.collect(func(k wire.Kind, o *outcome) bool { return k != wire.KindStarted })
	d.w.Frame(wire.KindData, []byte("\n"))
	d.collect(nil).mustExit(t, 3)
	o := at.collect(nil)
	o.mustExit(t, 3)
	if len(o.gaps) != 1 || o.gaps[0].To != 2 {
		t.Errorf("gaps %v", o.gaps)
	}
}

// A stop and a start of the container: what had ended is there as it was, what
// ran is lost, and says so.
func TestRestart(t *testing.T) {
	s := newSandbox(t)
	text := make([]byte, 30_000)
	rand.Read(text)
	os.WriteFile(filepath.Join(s.dir, "text"), text, 0o644)
	cat := "cat " + filepath.Join(s.dir, "text")
	s.detach(wire.Start{ID: "ended", Argv: []string{"sh", "-c", cat + "; echo err >&2; exit 4"}})
	s.ended("ended")
	s.detach(wire.Start{ID: "wrapped", Argv: []string{"sh", "-c", cat}, LogLimit: 10_000})
	s.ended("wrapped")
	s.detach(wire.Start{ID: "ran", Argv: []string{"sh", "-c", cat + "; exec sleep 1000"}})
	s.detach(wire.Start{ID: "obeyed", Argv: []string{"sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done"}})
	s.await("output", func() bool {
		l := s.list()
		return l["ran"].Stdout == 30_000 && l["obeyed"].Stdout == 3
	})
	for i, end := range []func(){func() { s.kill() }, func() { s.stop() }} {
		if i == 1 {
			s.detach(wire.Start{ID: "again", Argv: []string{"sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done"}})
			s.await("output", func() bool { return s.list()["again"].Stdout == 3 })
		}
		end()
		s = newSandbox(t, inDir(s.dir))
		l := s.list()
		if e := l["ended"].Exit; e == nil || e.Code != 4 || e.Lost || l["ended"].Stderr != 4 {
			t.Errorf("%+v", l["ended"])
		}
		for _, id := range []string{"ran", "obeyed"} {
			if e := l[id].Exit; e == nil || !e.Lost {
				t.Errorf("%s: %+v", id, l[id])
			}
		}
		for id, from := range map[string]int{"ended": 0, "ran": 0, "wrapped": 20_000} {
			o := s.attach(wire.Attach{ID: id})
			if o.exit == nil || o.exit.Running || !bytes.Equal(o.out[stdout].Bytes(), text[from:]) || o.exit.Stdout != 30_000 {
				t.Errorf("%s: %d bytes, gaps %v, exit %+v, %+v", id, o.out[stdout].Len(), o.gaps, o.exit, o.failure)
			}
		}
		if i == 1 {
			if e := l["again"].Exit; e == nil || e.Lost || e.Code != 9 {
				t.Errorf("one that obeyed SIGTERM at the stop: %+v", e)
			}
		}
		if o := s.run(wire.Start{ID: "ran", Argv: []string{"true"}}); o.failure == nil {
			t.Error("an ID of the last life was given again")
		}
	}
}

// A full disk breaks no process and no follower; what could not be kept is
// told.
func TestDiskFull(t *testing.T) {
	s := newSandbox(t, withTmpfs("300k"))
	want := numbers(150_000) // 939 KB
	o := s.run(wire.Start{ID: "attached", Argv: []string{"seq", "150000"}, Keep: true})
	o.mustExit(t, 0)
	if o.stdout() != want || len(o.gaps) > 0 {
		t.Errorf("attached: %d bytes, gaps %v", o.out[stdout].Len(), o.gaps)
	}
	s.sh("head -c 1000000 /dev/zero > " + s.dir + "/fill 2>/dev/null; true")
	d := s.detach(wire.Start{ID: "detached", Argv: []string{"sh", "-c", "seq 150000; read x"}, Stdin: true})
	_ = d
	s.await("it has written all", func() bool { return s.list()["detached"].Stdout == int64(len(want)) })
	o = s.attach(wire.Attach{ID: "detached"})
	if !strings.HasSuffix(want, o.stdout()) || len(o.stdout()) == 0 {
		t.Errorf("while it runs: %d bytes, gaps %v", o.out[stdout].Len(), o.gaps)
	}
	in := s.ask(wire.Request{Op: wire.OpInput, Attach: &wire.Attach{ID: "detached", Close: true}})
	in.w.Frame(wire.KindEnd, nil)
	in.collect(nil)
	if e := s.ended("detached"); e.Stdout != int64(len(want)) {
		t.Errorf("%+v", e)
	}
	for _, id := range []string{"attached", "detached"} {
		o := s.attach(wire.Attach{ID: id})
		var gaps int64
		for _, g := range o.gaps {
			gaps += g.To - g.From
		}
		if gaps+int64(o.out[stdout].Len()) != int64(len(want)) || gaps == 0 {
			t.Errorf("%s, ended: %d bytes, gaps %v", id, o.out[stdout].Len(), o.gaps)
		}
	}
	s.run(wire.Start{Argv: []string{"true"}}).mustExit(t, 0)
	o = s.try(wire.Request{Op: wire.OpLimits, Limits: &wire.Limits{TTLMS: new(int64)}})
	if o.failure == nil && o.reply == nil {
		t.Errorf("%v", o.err)
	}
}

// A root command takes the log's file away under the agent.
func TestLogTruncated(t *testing.T) {
	s := newSandbox(t)
	for _, how := range []string{": > $f", "rm $f; mkdir $f", "rm $f; ln -s /etc/passwd $f"} {
		p := s.detach(wire.Start{Argv: []string{"sh", "-c", fmt.Sprintf("f=%s/$0.out; seq 40000; %s; seq 40000; read x", s.dir, how), "victim"}, ID: "victim", Stdin: true})
		s.await("it goes on writing", func() bool { return s.list()[p.ID].Stdout == 2*228_894 })
		for _, hold := range []bool{false, true} {
			d := s.ask(wire.Request{Op: wire.OpAttach, Attach: &wire.Attach{ID: p.ID, Follow: true, Hold: hold}})
			d.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			go d.collect(nil)
		}
		s.attach(wire.Attach{ID: p.ID})
		s.do(wire.Request{Op: wire.OpSignal, Signal: &wire.Signal{ID: p.ID, Signal: 9}})
		s.attach(wire.Attach{ID: p.ID})
		s.do(wire.Request{Op: wire.OpForget, Signal: &wire.Signal{ID: p.ID}})
		os.RemoveAll(filepath.Join(s.dir, p.ID+".out"))
	}
	if b, err := os.ReadFile("/etc/passwd"); err != nil || len(b) == 0 {
		t.Fatal("a link was followed")
	}
}

// Nothing that lies in the directory keeps the agent from starting, nor is
// anything followed out of it.
func TestHostileRecords(t *testing.T) {
	dir := tempDir(t)
	write := func(name string, b []byte) { os.WriteFile(filepath.Join(dir, name), b, 0o600) }
	good, _ := json.Marshal(record{recordVersion, wire.Process{ID: "good", Argv: []string{"x"}, PID: 5, Exit: &wire.Exit{Code: 3, Ended: 1}}})
	write("good.json", good)
	write("other.json", good) // an ID that is not its name
	write("empty.json", nil)
	write("garbage.json", []byte("{{{"))
	write("huge.json", bytes.Repeat([]byte(" "), 1<<20))
	write("deep.json", []byte(strings.Repeat("[", 60_000)))
	write("null.json", []byte("null"))
	write("minus.json", []byte(`{"v":1,"process":{"id":"minus","out":-5,"start":-1}}`))
	write("nocode.json", []byte(`{"v":1,"process":{"id":"nocode","exit":{}}}`))
	write("UPPER.json", good)
	write("..json", good)
	os.Mkdir(filepath.Join(dir, "dir.json"), 0o700)
	unix.Mkfifo(filepath.Join(dir, "fifo.json"), 0o600)
	os.Symlink("/etc/passwd", filepath.Join(dir, "link.json"))
	os.Link(filepath.Join(dir, "good.json"), filepath.Join(dir, "hard.json"))
	write("limits.state", []byte("99999999999999999999 x"))
	os.Remove(filepath.Join(dir, "hard.json"))
	mine := func(id string, total, limit, lost uint64, size int) {
		b, _ := json.Marshal(record{recordVersion, wire.Process{ID: id, Argv: []string{"x"}, PID: 5}})
		write(id+".json", b)
		h := make([]byte, 64+size)
		copy(h, logMagic)
		for i, v := range []uint64{limit, total, lost} {
			for j := range 8 {
				h[8+8*i+j] = byte(v >> (8 * j))
			}
		}
		write(id+".out", h)
	}
	mine("log1", 1<<63, 10, 0, 10)
	mine("log2", 1<<40, 1<<29, 1<<39, 10)
	mine("log3", 100, 0, 0, 100)
	mine("log4", 100, 1000, 200, 100)
	mine("log5", 100, 1000, 0, 50)
	mine("log6", 100, 1000, 0, 100)
	for i := range 400 {
		b, _ := json.Marshal(record{recordVersion, wire.Process{ID: fmt.Sprintf("many-%d", i), Exit: &wire.Exit{Ended: int64(i)}}})
		write(fmt.Sprintf("many-%d.json", i), b)
	}
	os.Mkdir(filepath.Join(dir, "agent.sock"), 0o700)
	os.Remove(filepath.Join(dir, "agent.sock"))
	os.Symlink("/etc/passwd", filepath.Join(dir, "agent.sock"))
	s := newSandbox(t, inDir(dir))
	l := s.list()
	if len(l) == 0 || len(l) > maxRecords {
		t.Errorf("%d records", len(l))
	}
	for id := range l {
		o := s.attach(wire.Attach{ID: id, Follow: true})
		if o.exit == nil || o.out[stdout].Len() > 200 {
			t.Errorf("%s: %+v %v, %d bytes", id, o.failure, o.err, o.out[stdout].Len())
		}
	}
	for _, id := range []string{"other", "empty", "garbage", "huge", "deep", "null", "minus", "dir", "fifo", "link"} {
		if l[id] != nil {
			t.Errorf("%s was taken for a record", id)
		}
	}
	if ttl := s.info().Limits.TTLMS; *ttl != 0 {
		t.Errorf("ttl %d", *ttl)
	}
}

// The oldest ended processes are forgotten, with their files; the newest is
// not.
func TestRetention(t *testing.T) {
	s := newSandbox(t)
	n := maxRecords + 20
	for i := range n {
		s.detach(wire.Start{ID: fmt.Sprintf("p-%d", i), Argv: []string{"echo", "x"}})
		s.ended(fmt.Sprintf("p-%d", i))
	}
	s.await("the rest is forgotten", func() bool { return len(s.list()) == maxRecords })
	l := s.list()
	if l["p-19"] != nil || l["p-20"] == nil || l[fmt.Sprintf("p-%d", n-1)] == nil {
		t.Error("not the oldest were forgotten")
	}
	names, _ := filepath.Glob(s.dir + "/p-*")
	if len(names) != 2*maxRecords { // a record and a log of stdout each
		t.Errorf("%d files", len(names))
	}
}

func TestRetentionRule(t *testing.T) {
	var r retained
	for range 3 {
		if f := r.add(&memo{logs: 100 << 20}); len(r.list) > 2 && len(f) == 0 {
			t.Fatal("300 MiB are kept")
		}
	}
	r.add(&memo{id: "big", logs: 1 << 30})
	if len(r.list) != 1 || r.list[0].id != "big" {
		t.Errorf("%d kept: the newest stays, whatever its size", len(r.list))
	}
	if r.remove("big") == nil || r.remove("big") != nil {
		t.Error("remove")
	}
}

// Files that the agent makes are not open to the sandbox's users.
func TestFilesArePrivate(t *testing.T) {
	s := newSandbox(t)
	s.detach(wire.Start{ID: "secret", Argv: []string{"echo", "secret"}})
	s.ended("secret")
	for _, name := range []string{"secret.out", "secret.json"} {
		var st syscall.Stat_t
		if err := syscall.Stat(filepath.Join(s.dir, name), &st); err != nil || st.Mode&0o777 != 0o600 {
			t.Errorf("%s: %o %v", name, st.Mode, err)
		}
	}
	o := s.run(wire.Start{Argv: []string{"cat", filepath.Join(s.dir, "secret.out")}, User: "nobody"})
	if o.exit == nil || o.exit.Code == 0 {
		t.Errorf("%+v", o.exit)
	}
}

func FuzzRecord(f *testing.F) {
	good, _ := json.Marshal(record{recordVersion, wire.Process{ID: "x", Argv: []string{"a", "b"}, Exit: &wire.Exit{Code: 1}}})
	f.Add(good)
	f.Add([]byte(`{"v":1,"process":{"id":"x","argv":["` + strings.Repeat("é", 9000) + `"]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parseRecord(b)
		if !ok {
			return
		}
		size := 0
		for _, a := range p.Argv {
			size += len(a)
		}
		if !validID(p.ID) || p.Stdout < 0 || p.Stderr < 0 || size > maxReportedArgv+8 {
			t.Errorf("%+v", p)
		}
	})
}
