//go:build unix

package project

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/enginetest"
)

// TestRootless runs the suite as the user of the rootless engine.
func TestRootless(t *testing.T) { enginetest.Rootless(t, "^TestSuite") }

// instanceOf makes the instance of a container.
func instanceOf(t testing.TB, p *Project, box *pocketdock.Container, o pocketdock.CreateOptions) *Instance {
	t.Helper()
	i, err := p.CreateInstance(NewManifest(box, busybox, "", o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

// TestSuiteRecorded runs, streams and starts commands; each is in the history
// with its end, and its log has exactly what it printed.
func TestSuiteRecorded(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		ctx := t.Context()
		box := create(t, e, pocketdock.CreateOptions{Persist: true})
		i := instanceOf(t, newProject(t, ""), box, pocketdock.CreateOptions{Persist: true})
		rec := i.Recorded(box, DefaultLogging())

		res, err := rec.Run(ctx, pocketdock.Shell("echo out; echo err >&2; exit 3"))
		if err != nil || string(res.Stdout) != "out\n" || string(res.Stderr) != "err\n" || res.ExitCode != 3 {
			t.Fatalf("%+v, %v", res, err)
		}
		var out bytes.Buffer
		cmd := pocketdock.Argv("seq", "20000")
		cmd.Stdout, cmd.Env = &out, map[string]string{"PASSWORD": "hunter2"}
		if res, err := rec.Run(ctx, cmd); err != nil || !res.OK() || len(res.Stdout) > 0 {
			t.Fatalf("%+v, %v", res, err)
		}
		cut := pocketdock.Argv("seq", "20000")
		cut.MaxOutput = 1000
		res, err = rec.Run(ctx, cut)
		if err != nil || res.StdoutDropped != int64(out.Len())-1000 {
			t.Fatalf("%+v, %v", res, err)
		}
		s, err := rec.Stream(ctx, pocketdock.Shell("echo a; sleep 0.1; echo b"))
		if err != nil {
			t.Fatal(err)
		}
		for range s.Chunks() {
			break // the rest is recorded all the same
		}
		if res, err := s.Result(); err != nil || !res.OK() {
			t.Fatalf("%+v, %v", res, err)
		}
		s, err = rec.Stream(ctx, pocketdock.Shell("echo c; sleep 100"))
		if err != nil {
			t.Fatal(err)
		}
		for range s.Chunks() {
			break
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := rec.Run(ctx, pocketdock.Argv("no-such-program")); !errors.Is(err, pocketdock.ErrCommandNotFound) {
			t.Error(err)
		}
		slow := pocketdock.Shell("echo d; sleep 100")
		slow.Timeout = 300 * time.Millisecond
		if res, err := rec.Run(ctx, slow); err != nil || !res.TimedOut {
			t.Errorf("%+v, %v", res, err)
		}

		h, err := i.History(HistoryOptions{})
		if err != nil || len(h) != 7 {
			t.Fatalf("%+v, %v", h, err)
		}
		for n, want := range []struct {
			cmd, out, err string
			exit          int // -1: not known
		}{
			{"echo out; echo err >&2; exit 3", "out\n", "err\n", 3},
			{"seq 20000", out.String(), "", 0},
			{"seq 20000", out.String(), "", 0},
			{"echo a; sleep 0.1; echo b", "a\nb\n", "", 0},
			{"echo c; sleep 100", "c\n", "", -1},
			{"no-such-program", "", "", 127},
			{"echo d; sleep 100", "d\n", "", 143},
		} {
			e := h[n]
			o, er, lost, end := readAll(t, i, e.Log, e.At)
			if e.Cmd != want.cmd || o != want.out || er != want.err || lost != 0 || end == nil || end.Exit == nil != (e.Exit == nil) {
				t.Errorf("%d: %+v\n%.80q %.80q %d lost, end %+v", n, e, o, er, lost, end)
			}
			if want.exit < 0 != (e.Exit == nil) || e.Exit != nil && *e.Exit != want.exit && want.exit != 143 {
				t.Errorf("%d: exit %v, want %d", n, e.Exit, want.exit)
			}
		}
		if !h[6].TimedOut {
			t.Errorf("%+v", h[6])
		}
		if text := tree(t, i.Dir()); strings.Contains(text, "hunter2") {
			t.Error("a value of the environment is on disk")
		}
	})
}

// TestSuiteCollect: what detached processes printed is recorded once, by
// whoever looks next, whichever program started them.
func TestSuiteCollect(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		ctx := t.Context()
		box := create(t, e, pocketdock.CreateOptions{Persist: true})
		i := instanceOf(t, newProject(t, ""), box, pocketdock.CreateOptions{Persist: true})
		l := DefaultLogging()
		ours, err := i.Recorded(box, l).Start(ctx, pocketdock.Shell("echo ours; echo oh >&2; exit 4"))
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := box.Start(ctx, pocketdock.Argv("seq", "100000")) // without a record; more than its log keeps
		if err != nil {
			t.Fatal(err)
		}
		long, err := i.Recorded(box, l).Start(ctx, pocketdock.Argv("sleep", "1000"))
		if err != nil {
			t.Fatal(err)
		}
		soft := pocketdock.Shell("echo soft; sleep 0.5; echo late")
		soft.SoftTimeout = 200 * time.Millisecond
		if res, err := i.Recorded(box, l).Run(ctx, soft); err != nil || !res.Running {
			t.Fatalf("%+v, %v", res, err)
		}
		for _, p := range []*pocketdock.Process{ours, theirs} {
			if _, err := p.Wait(ctx); err != nil {
				t.Fatal(err)
			}
		}
		// Several programs look at once.
		type result struct {
			n   int
			err error
		}
		results := make(chan result)
		for range 4 {
			go func() {
				other, err := i.project.Instance(i.Name())
				if err != nil {
					results <- result{0, err}
					return
				}
				defer other.Close()
				n, err := other.Collect(ctx, box, l)
				results <- result{n, err}
			}()
		}
		total := 0
		for range 4 {
			r := <-results
			if r.err != nil {
				t.Error(r.err)
			}
			total += r.n
		}
		if total != 2 && total != 3 { // the soft one may have ended
			t.Errorf("%d collected", total)
		}
		find := func(id string) (Entry, bool) {
			h, err := i.History(HistoryOptions{Type: KindDetach})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range h {
				if e.ID == id {
					return e, true
				}
			}
			return Entry{}, false
		}
		en, _ := find(ours.ID())
		out, errs, _, _ := readAll(t, i, en.Log, en.At)
		if en.Exit == nil || *en.Exit != 4 || out != "ours\n" || errs != "oh\n" || en.Cmd != "echo ours; echo oh >&2; exit 4" {
			t.Errorf("%+v: %q %q", en, out, errs)
		}
		en, _ = find(theirs.ID())
		out, _, lost, _ := readAll(t, i, en.Log, en.At)
		if en.Exit == nil || en.Cmd != "seq 100000" || int64(len(out))+lost != 588895 || !strings.HasSuffix(out, "99999\n100000\n") {
			t.Errorf("%+v: %d bytes, %d lost", en, len(out), lost)
		}
		if en, ok := find(long.ID()); !ok || en.Event != EventStart || en.Log != "" {
			t.Errorf("what still runs: %+v", en)
		}
		eventually(t, 10*time.Second, "the command that outlived its Run is recorded", func() bool {
			if _, err := i.Collect(ctx, box, l); err != nil {
				t.Fatal(err)
			}
			h, _ := i.History(HistoryOptions{})
			for _, e := range h {
				if e.Type == KindDetach && e.Exit != nil && strings.HasPrefix(e.Cmd, "echo soft") {
					out, _, _, _ := readAll(t, i, e.Log, e.At)
					return out == "soft\nlate\n"
				}
			}
			return false
		})
		// A process that a stop ends was ended by a signal, or is lost.
		if err := box.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if n, err := i.Collect(ctx, box, l); err != nil || n != 0 {
			t.Errorf("while it does not run: %d, %v", n, err)
		}
		if err := box.Resume(ctx); err != nil {
			t.Fatal(err)
		}
		if n, err := i.Collect(ctx, box, l); err != nil || n != 1 {
			t.Errorf("when it runs again: %d, %v", n, err)
		}
		if en, _ := find(long.ID()); en.Event == EventStart || en.Signal == 0 && (en.Event != EventLost || en.Exit != nil || en.Error == "") {
			t.Errorf("the one that the stop ended: %+v", en)
		}
		// Nor is one whose container was removed.
		p, err := i.Recorded(box, l).Start(ctx, pocketdock.Argv("sleep", "1000"))
		if err != nil {
			t.Fatal(err)
		}
		if err := box.Destroy(ctx); err != nil {
			t.Fatal(err)
		}
		if n, err := i.Collect(ctx, box, l); err != nil || n != 1 {
			t.Errorf("when it is gone: %d, %v", n, err)
		}
		if en, _ := find(p.ID()); en.Event != EventLost {
			t.Errorf("of a container that is gone: %+v", en)
		}
	})
}

// TestSuiteCollectRuns: a plain Run of another program is recorded, too, where
// the container knows its project; one that was recorded is not once more.
func TestSuiteCollectRuns(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		ctx := t.Context()
		p := newProject(t, "")
		o := pocketdock.CreateOptions{Persist: true, ProjectDir: p.Dir()}
		created := create(t, e, o)
		i := instanceOf(t, p, created, o)
		l := DefaultLogging()
		box, err := e.client.Get(ctx, created.ID()) // as another program has it
		if err != nil {
			t.Fatal(err)
		}
		if _, err := i.Recorded(box, l).Run(ctx, pocketdock.Argv("echo", "recorded")); err != nil {
			t.Fatal(err)
		}
		plain := pocketdock.Shell("echo plain; echo oh >&2; kill -TERM $$")
		res, err := box.Run(ctx, plain)
		if err != nil || res.Signal != 15 || string(res.Stdout) != "plain\n" {
			t.Fatalf("%+v, %v", res, err)
		}
		late := pocketdock.Argv("sleep", "1000")
		late.Timeout = time.Millisecond
		if res, err := box.Run(ctx, late); err != nil || !res.TimedOut {
			t.Fatalf("%+v, %v", res, err)
		}
		hidden := pocketdock.Argv("echo", "hidden")
		hidden.LogLimit = -1
		if _, err := box.Run(ctx, hidden); err != nil {
			t.Fatal(err)
		}
		off := l
		off.AutoLog = false
		if n, err := i.Collect(ctx, box, off); err != nil || n != 0 {
			t.Errorf("with auto_log off: %d, %v", n, err)
		}
		for _, want := range []int{2, 0} {
			if n, err := i.Collect(ctx, box, l); err != nil || n != want {
				t.Errorf("%d collected, %v; want %d", n, err, want)
			}
		}
		h, err := i.History(HistoryOptions{Type: KindRun})
		if err != nil || len(h) != 3 {
			t.Fatalf("%+v, %v", h, err)
		}
		out, errs, _, _ := readAll(t, i, h[1].Log, h[1].At)
		if h[1].Signal != 15 || h[1].ID != res.ID || out != "plain\n" || errs != "oh\n" || !strings.Contains(h[1].Cmd, "echo plain") {
			t.Errorf("%+v: %q %q", h[1], out, errs)
		}
		if !h[2].TimedOut || h[2].Cmd != "sleep 1000" {
			t.Errorf("%+v", h[2])
		}
	})
}

// TestSuiteNotRecorded: without AutoLog, or without an instance, nothing is
// written and everything works.
func TestSuiteNotRecorded(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := create(t, e, pocketdock.CreateOptions{})
		i := instanceOf(t, newProject(t, ""), box, pocketdock.CreateOptions{})
		off := DefaultLogging()
		off.AutoLog = false
		before := tree(t, i.Dir())
		for _, rec := range []*Recorded{i.Recorded(box, off), (*Instance)(nil).Recorded(box, DefaultLogging())} {
			if res, err := rec.Run(t.Context(), pocketdock.Shell("echo x")); err != nil || string(res.Stdout) != "x\n" {
				t.Errorf("%+v, %v", res, err)
			}
			s, err := rec.Stream(t.Context(), pocketdock.Shell("echo x"))
			if err != nil {
				t.Fatal(err)
			}
			for range s.Chunks() {
			}
			if _, err := s.Result(); err != nil {
				t.Error(err)
			}
			s.Close()
			if _, err := rec.Start(t.Context(), pocketdock.Argv("true")); err != nil {
				t.Error(err)
			}
		}
		if after := tree(t, i.Dir()); after != before {
			t.Errorf("%s\nbecame\n%s", before, after)
		}
	})
}

// TestSuiteManifest: what is written about a container is what it is.
func TestSuiteManifest(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		o := pocketdock.CreateOptions{Persist: true, IdleTimeout: time.Hour, Project: testProject, Volumes: []pocketdock.Volume{{Host: t.TempDir(), Container: "/v"}}, Env: map[string]string{"SECRET": "hunter2"}}
		box := create(t, e, o)
		o.Ports = []pocketdock.Port{{Container: 80}} // described, not published: that needs the engine's network
		i := instanceOf(t, newProject(t, ""), box, o)
		m, err := i.Manifest()
		if err != nil || m.Container.ID != box.ID() || m.Container.Name != box.Name() || m.Container.Project != testProject || !m.Container.Persist ||
			m.Resources.IdleTimeout != "1h0m0s" || len(m.Ports) != 1 || len(m.Volumes) != 1 || m.Provenance.PID != os.Getpid() {
			t.Errorf("%+v, %v", m, err)
		}
		if strings.Contains(tree(t, i.Dir()), "hunter2") {
			t.Error("a value of the environment is on disk")
		}
	})
}
