package pocketdock_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/fakeengine"
	"github.com/pocketdock/pocketdock/internal/state"
)

// machine is this one's ID, as records have it.
func machine() string {
	id, _ := os.ReadFile("/etc/machine-id")
	return strings.TrimSpace(string(id))
}

// ofTheDead is a record of a program of an earlier life of this machine.
func ofTheDead(f *faulty, name string) state.Record {
	return state.Record{Owner: "1:2:another-boot:3", Machine: machine(), Engine: f.Socket(), Name: name}
}

// made makes a directory, and with status a container of it.
func (f *faulty) made(t testing.TB, r state.Record, status string) state.Box {
	t.Helper()
	box, err := state.Dir(f.client.StateDir).NewBox(r)
	if err != nil {
		t.Fatal(err)
	}
	if status != "" {
		id := f.Add(fakeengine.Container{Name: r.Name, Status: status, Labels: map[string]string{
			"pocketdock.managed": "true", "pocketdock.data-path": string(box), "pocketdock.persist": fmt.Sprint(r.Persist)}})
		if r.ID != "" {
			r.ID = id
			if err := box.SetRecord(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	return box
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// before makes a file older than this life of the machine.
func before(t *testing.T, path string) {
	t.Helper()
	if err := os.Chtimes(path, time.Time{}, time.Unix(1000, 0)); err != nil {
		t.Fatal(err)
	}
}

// TestSweepNothing asks no engine when nothing is left.
func TestSweepNothing(t *testing.T) {
	f, _ := creating(t, false)
	asked := len(f.Requests())
	for range 2 {
		if report, err := f.client.Sweep(t.Context()); err != nil || report.Directories != 0 || f.client.SweepNeeded() {
			t.Errorf("%+v, %v", report, err)
		}
		r := ofTheDead(f, "live")
		r.Owner = "1:2::" // cannot be judged
		f.made(t, r, "running")
	}
	if more := f.Requests()[asked:]; len(more) > 0 {
		t.Errorf("asked %q", more)
	}
}

// TestSweepOfTheDead goes through what a machine that lost power may have.
func TestSweepOfTheDead(t *testing.T) {
	for _, podman := range []bool{false, true} {
		f, boxes := creating(t, podman)
		running := f.made(t, ofTheDead(f, "running"), "running")
		orphan := f.made(t, ofTheDead(f, "orphan"), "")
		halfWritten := f.made(t, ofTheDead(f, "half-written"), "exited")
		noRecord := f.made(t, ofTheDead(f, "no-record"), "")
		for _, b := range []state.Box{halfWritten, noRecord} {
			if err := os.WriteFile(string(b)+"/owner", []byte(`{"Owner":"1:`), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(string(noRecord) + "/owner"); err != nil {
			t.Fatal(err)
		}
		if f.client.Sweep(t.Context()); !exists(string(halfWritten)) || !exists(string(noRecord)) {
			t.Error("what is written in this life of the machine, and not by us, is removed")
		}
		before(t, string(halfWritten))
		before(t, string(noRecord))
		damaged := ofTheDead(f, "damaged")
		damaged.Persist, damaged.ID = true, "x"
		lasting := f.made(t, damaged, "exited")
		if err := os.WriteFile(string(lasting)+"/owner", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		before(t, string(lasting))
		if !f.client.SweepNeeded() {
			t.Error("not needed")
		}
		if _, err := f.client.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if f.Container("running") != nil || exists(string(running)) || exists(string(orphan)) {
			t.Errorf("left: %q", boxes())
		}
		// Whose a container is, of which the record is damaged, nobody knows.
		if left := boxes(); len(left) != 2 || f.Container("damaged") == nil || f.Container("half-written") == nil {
			t.Errorf("left: %q, want %s and %s", left, lasting, halfWritten)
		}
		if r, err := halfWritten.Record(); err != nil || r.Owner != state.Nobody || r.ID != f.Container("half-written").ID {
			t.Errorf("the half-written record is not mended: %+v, %v", r, err)
		}
		if r, err := lasting.Record(); err != nil || !r.Persist || r.ID != f.Container("damaged").ID {
			t.Errorf("the damaged record is not mended: %+v, %v", r, err)
		}
		if f.client.SweepNeeded() {
			t.Error("needed after it")
		}
	}
}

// TestSweepMissing: a directory that is meant to last stays for a day without
// its container, and for ever while its engine does not answer.
func TestSweepMissing(t *testing.T) {
	f, boxes := creating(t, false)
	r := ofTheDead(f, "lasting")
	r.Persist, r.ID = true, "x"
	box := f.made(t, r, "")
	away := r
	away.Engine = f.Socket() + ".away"
	unreachable := f.made(t, away, "")
	sweep := func() {
		_, err := f.client.Sweep(t.Context())
		if err == nil || !strings.Contains(err.Error(), away.Engine) {
			t.Errorf("an engine that does not answer: %v", err)
		}
	}
	sweep()
	sweep()
	if !exists(string(box)) {
		t.Fatal("it went at once")
	}
	before(t, string(box)+"/missing")
	f.made(t, r, "exited") // another one
	sweep()
	if left := boxes(); exists(string(box)) || !exists(string(unreachable)) || len(left) != 2 {
		t.Errorf("left: %q", left)
	}
	if f.client.SweepNeeded() {
		t.Error("a start of the command would ask about it")
	}
	// Once a day it does.
	before(t, f.client.StateDir+"/swept")
	if f.client.SweepNeeded() {
		t.Error("needed for containers that are new")
	}
	before(t, string(unreachable)+"/owner")
	if !f.client.SweepNeeded() {
		t.Error("nobody would ever ask about it")
	}
	sweep()
	if f.client.SweepNeeded() {
		t.Error("needed again at once")
	}
}

// TestSweepResident: the key of an agent in somebody else's container goes
// with the container.
func TestSweepResident(t *testing.T) {
	f, boxes := creating(t, false)
	id := f.Add(fakeengine.Container{Name: "foreign"})
	dir := state.Dir(f.client.StateDir)
	b, err := dir.BoxOf(id)
	if err != nil {
		t.Fatal(err)
	}
	r := ofTheDead(f, "foreign")
	r.ID, r.Persist, r.Resident = id, true, true
	for range 2 {
		if err := dir.Prepare(b, r); err != nil {
			t.Fatal(err)
		}
		if _, err := f.client.Sweep(t.Context()); err != nil || !exists(string(b)) {
			t.Fatalf("%v, left %q", err, boxes())
		}
	}
	f.Remove("foreign")
	if _, err := f.client.Sweep(t.Context()); err != nil || exists(string(b)) {
		t.Fatalf("%v, left %q", err, boxes())
	}
}

// TestSweepBuriesWhatMayComeYet: an engine that was asked for a container by a
// program that is dead may make it after the sweep that did not find it.
func TestSweepBuriesWhatMayComeYet(t *testing.T) {
	for _, podman := range []bool{false, true} {
		f, boxes := creating(t, podman)
		arrived, release, made := make(chan struct{}), make(chan struct{}), make(chan struct{})
		f.Fault("POST /containers/create", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			close(arrived)
			<-release
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(discard{http.Header{}}, r)
			close(made)
		})
		cmd := dying{Socket: f.Socket(), StateDir: f.client.StateDir, Image: "image:1", Options: pocketdock.CreateOptions{Name: "late"}}.command(t)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-arrived
		cmd.Process.Kill()
		cmd.Wait()
		if _, err := f.client.Sweep(t.Context()); err != nil || len(boxes()) > 0 {
			t.Errorf("%v, left: %q", err, boxes())
		}
		close(release)
		<-made
		if f.Container("late") == nil || !f.client.SweepNeeded() {
			t.Fatalf("made late: %+v, needed: %v", f.Container("late"), f.client.SweepNeeded())
		}
		report, err := f.client.Sweep(t.Context())
		if err != nil || len(report.Containers) != 1 || f.Container("late") != nil {
			t.Errorf("%+v, %v, %+v", report, err, f.Container("late"))
		}
		if f.client.SweepNeeded() {
			t.Error("needed after it")
		}
	}
}

// TestSweepBuriedForAWhile: then no engine makes it any more.
func TestSweepBuriedForAWhile(t *testing.T) {
	f, _ := creating(t, false)
	r := ofTheDead(f, "never")
	box := f.made(t, r, "")
	if err := box.WriteFile("create.json", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.client.Sweep(t.Context()); err != nil || !f.client.SweepNeeded() {
			t.Errorf("%v, needed: %v", err, f.client.SweepNeeded())
		}
	}
	before(t, filepath.Join(f.client.StateDir, "gone", filepath.Base(string(box))))
	if _, err := f.client.Sweep(t.Context()); err != nil || f.client.SweepNeeded() {
		t.Errorf("%v, needed: %v", err, f.client.SweepNeeded())
	}
}

// TestSweepRemovalInProgress: Docker says so while it removes a container.
func TestSweepRemovalInProgress(t *testing.T) {
	f, boxes := creating(t, false)
	f.made(t, ofTheDead(f, "going"), "exited")
	f.Fault("DELETE /containers/{id}", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		f.Status(409, "removal of container x is already in progress")(w, r, next)
		f.Remove("going")
	})
	if report, err := f.client.Sweep(t.Context()); err != nil || len(boxes()) > 0 || len(report.Containers) != 1 {
		t.Errorf("%+v, %v, left %q", report, err, boxes())
	}
}

// BenchmarkSweepNeeded: what it costs at each start of the command.
func BenchmarkSweepNeeded(b *testing.B) {
	dir := state.Dir(b.TempDir())
	r := state.Record{Owner: "1:2::", Engine: "/nonexistent", Name: "x", ID: strings.Repeat("0", 64)}
	for range 1000 {
		if _, err := dir.NewBox(r); err != nil {
			b.Fatal(err)
		}
	}
	c := &pocketdock.Client{StateDir: string(dir)}
	for b.Loop() {
		if c.SweepNeeded() {
			b.Fatal("needed")
		}
	}
}
