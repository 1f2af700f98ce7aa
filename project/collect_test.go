package project

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// TestSharedFile: commands that follow one another are in one file, each to
// be read by itself; those at the same time are not, nor is a long one joined.
func TestSharedFile(t *testing.T) {
	i := newInstance(t)
	l := DefaultLogging()
	record := func(text string) {
		r := i.Record(KindRun, pocketdock.Shell(text), l)
		r.Output(pocketdock.Stdout, []byte(text))
		r.Finish(ok, nil)
	}
	record("one")
	record("two")
	long := i.Record(KindRun, pocketdock.Shell("long"), l)
	record("meanwhile")
	long.Finish(ok, nil)
	record(strings.Repeat("x", 1<<20))
	record("after")
	h, err := i.History(HistoryOptions{})
	if err != nil || len(h) != 6 {
		t.Fatalf("%+v, %v", h, err)
	}
	files := map[string]int{}
	for _, e := range h {
		files[e.Log]++
		out, _, _, end := readAll(t, i, e.Log, e.At)
		if end == nil || end.At != e.At || e.Cmd != "long" && (!strings.HasPrefix(out, e.Cmd) || len(out) != len(e.Cmd)+e.CmdCut) {
			t.Errorf("%.20s at %d: %.20q of %d, %v", e.Cmd, e.At, out, len(out), end != nil)
		}
	}
	if h[0].Log != h[1].Log || h[2].Log == h[1].Log && h[3].Log == h[1].Log || len(files) > 3 {
		t.Errorf("files: %v", files)
	}
	for range i.ReadLog(t.Context(), h[0].Log, LogOptions{At: 7}) {
		// Some line's middle: whatever comes, it is no crash.
	}
}

// TestCollectOrphans: what programs that were killed left is ended once, and
// is in the history with the output that there was.
func TestCollectOrphans(t *testing.T) {
	i := newInstance(t)
	l := DefaultLogging()
	killed := func(kind Kind, cmd, rest string) string {
		i.closeIdle()
		r := i.Record(kind, pocketdock.Shell(cmd), l)
		r.Output(pocketdock.Stdout, []byte("output of "+cmd))
		r.flush()
		if rest != "" {
			r.log.file.WriteAt([]byte(rest), r.size)
		}
		r.log.file.Close() // as the kernel does
		return r.entry.Log
	}
	whole := i.Record(KindRun, pocketdock.Shell("whole"), l)
	whole.Finish(ok, nil)
	// In the file of one that ended, and in a torn line.
	r := i.Record(KindRun, pocketdock.Shell("second"), l)
	r.Output(pocketdock.Stdout, []byte("output of second"))
	r.flush()
	r.log.file.Close()
	killed(KindRun, "third", "")
	killed(KindSession, "fourth", `{"t":1,"out":"to`)
	killed(KindRun, "fifth", "\x00\x00\x00")
	detach := killed(KindDetach, "sixth", "")
	// Killed before its first line; one that was just made may only be about
	// to be locked.
	empty := filepath.Join(i.Dir(), "logs", logFileName(KindRun, time.Now()))
	os.WriteFile(empty, nil, 0o600)
	os.Chtimes(empty, time.Time{}, time.Now().Add(-2*newborn))
	os.WriteFile(filepath.Join(i.Dir(), "logs", logFileName(KindRun, time.Now().Add(time.Second))), nil, 0o600)
	living := i.Record(KindSession, pocketdock.Shell("living"), l)
	living.Log()
	// Killed between its log's end and its entry.
	late := i.Record(KindRun, pocketdock.Shell("late"), l)
	late.drain(func() { late.buf = appendEnd(late.buf, &late.entry) })
	late.log.file.Close()

	n, err := i.Collect(t.Context(), nil, l)
	if err != nil || n != 6 {
		t.Errorf("%d collected, %v", n, err)
	}
	if n, err := i.Collect(t.Context(), nil, l); err != nil || n != 0 {
		t.Errorf("the second time: %d collected, %v", n, err)
	}
	h, _ := i.History(HistoryOptions{})
	got := map[string]Entry{}
	for _, e := range h {
		got[e.Cmd] = e
	}
	for _, cmd := range []string{"second", "third", "fourth", "fifth", ""} {
		e, ok := got[cmd]
		if !ok || e.Event != EventLost || e.Exit != nil || e.Error == "" {
			t.Errorf("%q: %+v", cmd, e)
			continue
		}
		out, _, _, end := readAll(t, i, e.Log, e.At)
		if end == nil || end.Event != EventLost || cmd != "" && out != "output of "+cmd {
			t.Errorf("%q: %q, %+v", cmd, out, end)
		}
	}
	if e := got["whole"]; e.Exit == nil || e.At != 0 {
		t.Errorf("whole: %+v", e)
	}
	if _, ok := got["living"]; ok {
		t.Error("what is being recorded was ended")
	}
	if _, err := os.Stat(filepath.Join(i.Dir(), "logs", detach)); err == nil {
		t.Error("half of a collected log is left")
	}
	living.Finish(ok, nil)
}
