//go:build linux

package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// kept runs a command that is kept, with a client that waits for it.
func (s *sandbox) kept(id, script string, limit int64) *outcome {
	s.t.Helper()
	return s.run(wire.Start{ID: id, Argv: []string{"sh", "-c", script}, Keep: true, LogLimit: limit})
}

func (s *sandbox) journals() []string {
	names, _ := filepath.Glob(filepath.Join(s.dir, "runs-*.log"))
	return names
}

// What a short run leaves is read back as that of any other, also in the next
// life; it has no files of its own.
func TestJournal(t *testing.T) {
	s := newSandbox(t)
	type want struct {
		stdout, stderr string
		code           int
		gap            int64 // so much of stdout's beginning is gone
		inFiles        bool
	}
	rows := map[string]struct {
		script string
		limit  int64
		want
	}{
		"both":    {"echo out; echo err >&2; exit 3", 0, want{"out\n", "err\n", 3, 0, false}},
		"silent":  {":", 0, want{"", "", 0, 0, false}},
		"limited": {"printf 0123456789; printf abcdefghij; printf 12345", 10, want{"fghij12345", "", 0, 15, false}},
		"one":     {"echo x; echo y", 1, want{"\n", "", 0, 3, false}},
		"fits":    {"head -c 16320 /dev/zero", 0, want{strings.Repeat("\x00", 16320), "", 0, 0, false}},
		"large":   {"seq 9000", 0, want{numbers(9000), "", 0, 0, true}},
		"wrapped": {"seq 9000", 20_000, want{numbers(9000)[len(numbers(9000))-20_000:], "", 0, int64(len(numbers(9000)) - 20_000), true}},
		"behind":  {"(sleep .3; echo late) & echo now", 0, want{"now\nlate\n", "", 0, 0, true}},
		"signal":  {"echo x; kill -9 $$", 0, want{"x\n", "", 137, 0, false}},
	}
	for id, r := range rows {
		if o := s.kept(id, r.script, r.limit); o.exit == nil || o.exit.Code != r.code || len(o.gaps) > 0 || o.exit.Stdout != int64(o.out[stdout].Len()) {
			t.Fatalf("%s: %+v %+v, gaps %v", id, o.exit, o.failure, o.gaps)
		}
	}
	s.await("what is printed behind it", func() bool { return s.list()["behind"].Stdout == 9 })
	for life := range 3 {
		for id, r := range rows {
			o := s.attach(wire.Attach{ID: id, Follow: true})
			var gap int64
			for _, g := range o.gaps {
				gap += g.To - g.From
			}
			if o.exit == nil || o.exit.Code != r.code || o.stdout() != r.stdout || o.out[stderr].String() != r.stderr || gap != r.gap {
				t.Errorf("life %d, %s: %+v, %q %q, gaps %v", life, id, o.exit, o.stdout(), o.out[stderr].String(), o.gaps)
			}
			_, err := os.Stat(filepath.Join(s.dir, id+recordSuffix))
			// On a slow machine a short run may not be one.
			if r.inFiles && err != nil {
				t.Errorf("life %d, %s: %v", life, id, err)
			}
		}
		switch life {
		case 0:
			s.kill()
			s = newSandbox(t, inDir(s.dir))
		case 1:
			if len(s.journals()) == 0 {
				t.Error("no run was short")
			}
			s.do(wire.Request{Op: wire.OpForget, Signal: &wire.Signal{ID: "both"}})
			delete(rows, "both")
			s.kept("new", "echo new", 0)
			rows["new"] = rows["silent"]
			r := rows["new"]
			r.stdout = "new\n"
			rows["new"] = r
			s.stop()
			s = newSandbox(t, inDir(s.dir))
			if l := s.list(); l["both"] != nil || len(l) != len(rows) {
				t.Errorf("after the second stop: %d processes of %d", len(l), len(rows))
			}
		}
	}
	for _, name := range s.journals() {
		if fi, err := os.Stat(name); err != nil || fi.Mode() != 0o600 {
			t.Errorf("%v %v", fi, err)
		}
	}
	if o := s.run(wire.Start{ID: "one", Argv: []string{"true"}}); o.failure == nil {
		t.Error("an ID of the last life was given again")
	}
}

// A run that takes its time is on disk while it runs, so that it is lost, and
// not unknown, when the sandbox is killed.
func TestJournalIsForShortRuns(t *testing.T) {
	s := newSandbox(t)
	d := s.ask(wire.Request{Op: wire.OpRun, Start: &wire.Start{ID: "slow", Argv: []string{"sh", "-c", "echo begun; exec sleep 1000"}, Keep: true}})
	go d.collect(nil)
	s.await("record and log", func() bool {
		b, err := os.ReadFile(filepath.Join(s.dir, "slow.out"))
		_, bad := os.Stat(filepath.Join(s.dir, "slow.json"))
		return err == nil && bad == nil && bytes.HasSuffix(b[:min(len(b), logHeader+6)], []byte("begun\n"))
	})
	s.kill()
	s = newSandbox(t, inDir(s.dir))
	o := s.attach(wire.Attach{ID: "slow"})
	if o.exit == nil || !o.exit.Lost || o.stdout() != "begun\n" {
		t.Errorf("%+v %q", o.exit, o.stdout())
	}
}

// However many runs there are, what is on disk of them is bounded; what is
// forgotten goes.
func TestJournalIsBounded(t *testing.T) {
	s := newSandbox(t)
	n := maxRecords + 200
	for i := range n {
		s.kept(fmt.Sprintf("p-%d", i), "printf %8000d "+fmt.Sprint(i), 0)
	}
	s.kept("p-0", "printf %8000d 0", 0) // its ID is free
	s.do(wire.Request{Op: wire.OpForget, Signal: &wire.Signal{ID: "p-0"}})
	s.kept("p-1", "printf %8000d 1", 0)
	s.kill()
	s = newSandbox(t, inDir(s.dir))
	l := s.list()
	if len(l) != maxRecords || l[fmt.Sprintf("p-%d", n-maxRecords+2)] == nil || l["p-0"] != nil || l["p-1"] == nil {
		t.Errorf("%d are kept", len(l))
	}
	var size int64
	for _, name := range s.journals() {
		fi, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		size += fi.Size()
	}
	if most := int64(maxRecords*9000 + 2*journalSize); size > most {
		t.Errorf("%d files of %d bytes", len(s.journals()), size)
	}
	for id := range l {
		if o := s.attach(wire.Attach{ID: id}); o.out[stdout].Len() != 8000 || !strings.HasSuffix(o.stdout(), " "+id[2:]) {
			t.Fatalf("%s: %d bytes, %+v", id, o.out[stdout].Len(), o.failure)
		}
		s.do(wire.Request{Op: wire.OpForget, Signal: &wire.Signal{ID: id}})
	}
	if names := s.journals(); len(names) > 1 {
		t.Errorf("left %q", names)
	}
	s.kill()
	s = newSandbox(t, inDir(s.dir))
	if l := s.list(); len(l) > 0 || len(s.journals()) > 0 {
		t.Errorf("%d processes, %q", len(l), s.journals())
	}
}

// A root command takes the journal away, or writes to it.
func TestJournalTouched(t *testing.T) {
	s := newSandbox(t)
	var last string
	for i, how := range []string{": > $f", "rm $f", "rm $f; mkdir $f", "rm $f; ln -s /etc/passwd $f", "echo more >> $f", "head -c 4000 /dev/urandom > $f"} {
		id := fmt.Sprintf("victim-%d", i)
		s.kept(id, "echo victim", 0)
		s.await("one run is short, on a slow machine, too", func() bool {
			s.run(wire.Start{Argv: []string{"true"}, Keep: true})
			return len(s.journals()) > 0
		})
		names := s.journals()
		last = names[len(names)-1]
		s.sh("f=" + last + "; " + how)
		s.kept(id+"-next", "echo next", 0)
		o := s.attach(wire.Attach{ID: id})
		var gaps int64
		for _, g := range o.gaps {
			gaps += g.To - g.From
		}
		if o.exit == nil || gaps+int64(o.out[stdout].Len()) != 7 {
			t.Errorf("%s: %+v %+v, %q, gaps %v", how, o.exit, o.failure, o.stdout(), o.gaps)
		}
		if o := s.attach(wire.Attach{ID: id + "-next"}); o.stdout() != "next\n" {
			t.Errorf("after %s: %q, gaps %v, %+v", how, o.stdout(), o.gaps, o.failure)
		}
	}
	if b, err := os.ReadFile("/etc/passwd"); err != nil || !bytes.Contains(b, []byte("root:")) {
		t.Fatal("a link was followed")
	}
	s.kill()
	s = newSandbox(t, inDir(s.dir))
	for id := range s.list() {
		if o := s.attach(wire.Attach{ID: id}); o.exit == nil {
			t.Errorf("%s: %+v %v", id, o.failure, o.err)
		}
	}
}

// With a full disk a short run goes on as any other; what is not there of it
// is told.
func TestJournalDiskFull(t *testing.T) {
	s := newSandbox(t, withTmpfs("100k"))
	s.sh("head -c 1000000 /dev/zero > " + s.dir + "/fill 2>/dev/null; true")
	for i := range 20 {
		id := fmt.Sprintf("p-%d", i)
		o := s.kept(id, "head -c 9000 /dev/zero; echo err >&2", 0)
		o.mustExit(t, 0)
		if o.out[stdout].Len() != 9000 || o.out[stderr].String() != "err\n" {
			t.Errorf("%d bytes, %q", o.out[stdout].Len(), o.out[stderr].String())
		}
		s.await("it is gone", func() bool {
			o := s.attach(wire.Attach{ID: id})
			var gaps int64
			for _, g := range o.gaps {
				gaps += g.To - g.From
			}
			if o.exit == nil || o.exit.Running || gaps+int64(o.out[stdout].Len()+o.out[stderr].Len()) != 9004 {
				t.Errorf("%+v, %d and %d bytes, gaps %v", o.exit, o.out[stdout].Len(), o.out[stderr].Len(), o.gaps)
			}
			return gaps > 0
		})
	}
}

// A run that its client's soft limit ends is read on at the byte where it was,
// whenever that is.
func TestSoftLimitAnywhere(t *testing.T) {
	s := newSandbox(t)
	want := numbers(3000)
	soft := 0
	for ms := int64(1); ms <= 30; ms++ {
		o := s.run(wire.Start{Argv: []string{"sh", "-c", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; done"}, SoftMS: ms})
		if o.exit == nil || o.exit.Stdout != int64(o.out[stdout].Len()) {
			t.Fatalf("%+v %+v, %d bytes", o.exit, o.failure, o.out[stdout].Len())
		}
		all := o.stdout()
		if o.exit.Running {
			soft++
			all += s.attach(wire.Attach{ID: o.started.ID, Stdout: o.exit.Stdout, Follow: true}).stdout()
		}
		if all != want {
			t.Errorf("after %d ms at %d: %d bytes of %d", ms, o.exit.Stdout, len(all), len(want))
		}
	}
	if soft == 0 {
		t.Error("none was ended by the limit")
	}
}

func journalOf(entries ...string) []byte {
	var b []byte
	for _, e := range entries {
		r, _ := json.Marshal(record{recordVersion, wire.Process{ID: e, Stdout: 3, Stderr: 2}})
		b = append(b, entryKept...)
		b = append(b, byte(len(r)), 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0)
		b = append(append(b, r...), "outer"...)
	}
	return b
}

func FuzzJournal(f *testing.F) {
	f.Add(journalOf("a"))
	f.Add(journalOf("a", "b")[:150])
	f.Add(append([]byte("gone"), journalOf("a", "UPPER", "c")[4:]...))
	f.Add([]byte("run\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add(bytes.Repeat([]byte("gone\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))
		list := readJournal(r, 5)
		if len(list) > 5 {
			t.Fatal(len(list))
		}
		for _, e := range list {
			end := e.at + entryHeader + e.place.record + e.out[0] + e.out[1]
			if e.at < 0 || end > int64(len(b)) || !validID(e.ID) {
				t.Errorf("%+v", e)
			}
		}
	})
}

func TestJournalNames(t *testing.T) {
	for name, want := range map[string]int{"runs-0.log": 0, "runs-17.log": 17, "runs-01.log": -1, "runs--1.log": -1, "runs-+1.log": -1,
		"runs-.log": -1, "runs-1.out": -1, "runs-99999999999.log": -1, "x": -1, "": -1} {
		if got := journalNumber(name); got != want {
			t.Errorf("%s: %d", name, got)
		}
	}
	if got := readJournal(io.NewSectionReader(bytes.NewReader(journalOf("a", "b")), 0, 1000), 9); len(got) != 0 && len(got) != 2 {
		t.Errorf("%d entries", len(got))
	}
	b := journalOf("a", "b", "c")
	if got := readJournal(io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))), 9); len(got) != 3 || got[2].ID != "c" || got[2].Stdout != 3 {
		t.Errorf("%+v", got)
	}
}
