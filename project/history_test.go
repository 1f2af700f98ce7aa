package project

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// TestTornLines: what a crash left half is left out, and is not joined to
// what comes after it.
func TestTornLines(t *testing.T) {
	for _, torn := range []string{`{"ts":"2026-01-0`, "\x00\x00\x00\x00", "{", `{"ts":1,"type":"run"}`, strings.Repeat("x", maxEntry+10), "\n\n"} {
		i := newInstance(t)
		i.Record(KindRun, pocketdock.Shell("before"), DefaultLogging()).Finish(ok, nil)
		f, err := os.OpenFile(filepath.Join(i.Dir(), historyName), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(torn)
		f.Close()
		i.Record(KindRun, pocketdock.Shell("after"), DefaultLogging()).Finish(ok, nil)
		h, err := i.History(HistoryOptions{})
		if err != nil || len(h) != 2 || h[0].Cmd != "before" || h[1].Cmd != "after" {
			t.Errorf("%.20q: %+v, %v", torn, h, err)
		}
	}
}

func TestHistoryOptions(t *testing.T) {
	i := newInstance(t)
	for n := range 5 {
		kind := []Kind{KindRun, KindSession}[n%2]
		i.note(&Entry{Type: kind, Cmd: fmt.Sprint(n)}, 0)
	}
	i.note(&Entry{Type: KindDetach, Event: EventStart, ID: "p1", Cmd: "5"}, 0)
	i.note(&Entry{Type: KindRun, Cmd: "6"}, 0)
	code := 9
	i.note(&Entry{Type: KindDetach, ID: "p1", Cmd: "5", Exit: &code}, 0)
	for _, tt := range []struct {
		o    HistoryOptions
		want string
	}{
		{HistoryOptions{}, "0123456"},
		{HistoryOptions{Last: 3}, "456"},
		{HistoryOptions{Type: KindSession}, "13"},
		{HistoryOptions{Type: KindRun, Last: 2}, "46"},
		{HistoryOptions{Type: KindDetach}, "5"},
		{HistoryOptions{Last: 100}, "0123456"},
	} {
		h, err := i.History(tt.o)
		got := ""
		for _, e := range h {
			got += e.Cmd
			if e.Type == KindDetach && (e.Exit == nil || *e.Exit != 9) {
				t.Errorf("%+v: the end of the process is missing", tt.o)
			}
		}
		if err != nil || got != tt.want {
			t.Errorf("%+v: %s, want %s (%v)", tt.o, got, tt.want, err)
		}
	}
}

// TestHistoryIsBounded: the history goes on in a new file, and one old one is kept.
func TestHistoryIsBounded(t *testing.T) {
	i := newInstance(t)
	const most = 16 << 10
	for n := range 1000 {
		i.note(&Entry{Type: KindRun, Cmd: fmt.Sprint(n)}, most)
	}
	h, err := i.History(HistoryOptions{})
	if err != nil || len(h) < 100 || h[len(h)-1].Cmd != "999" || h[0].Cmd != fmt.Sprint(1000-len(h)) {
		t.Errorf("%d entries, %v", len(h), err)
	}
	for _, name := range []string{historyName, olderName} {
		if fi, err := os.Stat(filepath.Join(i.Dir(), name)); err != nil || fi.Size() > most {
			t.Errorf("%s: %v, %v", name, fi, err)
		}
	}
}

// TestRotation: by count and by age; a log that is being written stays.
func TestRotation(t *testing.T) {
	i := newInstance(t)
	l := Logging{AutoLog: true, MaxLogsPerInstance: 3, RetentionDays: 2}
	put := func(age time.Duration, part string) string {
		name := logFileName(KindRun, time.Now().Add(-age))
		if err := os.WriteFile(filepath.Join(i.Dir(), "logs", name+part), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	const day = 24 * time.Hour
	old := put(3*day, "")
	os.WriteFile(filepath.Join(i.Dir(), "logs", old+".2"), nil, 0o600)
	stranger := filepath.Join(i.Dir(), "logs", "notes.txt")
	os.WriteFile(stranger, nil, 0o600)
	put(time.Hour, "")
	running := i.Record(KindRun, pocketdock.Shell("long"), l)
	running.Log()
	for range 4 {
		i.Record(KindRun, pocketdock.Shell("short"), l).Finish(ok, nil)
		i.closeIdle()
	}
	i.background.Wait()
	i.rotateRest()
	list, err := i.Logs()
	if err != nil || len(list) != 4 || list[0].Name != running.Log() {
		t.Errorf("%v, %v", list, err)
	}
	if left, _ := filepath.Glob(filepath.Join(i.Dir(), "logs", old+"*")); len(left) > 0 {
		t.Errorf("left of an old log: %v", left)
	}
	if _, err := os.Stat(stranger); err != nil {
		t.Error("a file of somebody else is gone")
	}
	running.Finish(ok, nil)
	i.closeIdle()
	i.prune(l)
	if list, _ := i.Logs(); len(list) != 3 {
		t.Errorf("when it has ended: %v", list)
	}
}
