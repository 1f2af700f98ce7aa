package project

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// FuzzFiles: a sandbox that has the project mounted can write anything into
// the history, a log and the description of an instance. They are read to
// their end, nothing that is shown has control characters, and a command that
// is recorded afterwards is found.
func FuzzFiles(f *testing.F) {
	f.Add([]byte(`{"ts":"2026-01-02T03:04:05Z","type":"run","cmd":"x","exit":0,"ms":1,"log":"run-20260102T030405.000000Z.log"}`),
		[]byte(`{"pocketdock_log":1,"type":"run","cmd":"x"}`+"\n"+`{"t":1,"out":"x"}`+"\n"+`{"t":2,"end":true,"at":0,"exit":0}`), []byte("[container]\nid = \"x\"\n"))
	f.Add([]byte("{}\n\x00"), []byte(`{"pocketdock_log":1,"part":3,"out_at":9223372036854775807}`+"\n"+`{"out_cut":9223372036854775807}`+"\n"+`{"end":true,"at":-5}`+"\n"), []byte("a=["))
	f.Fuzz(func(t *testing.T, history, log, manifest []byte) {
		i := newInstance(t)
		name := logFileName(KindRun, time.Unix(1e9, 0))
		for path, b := range map[string][]byte{historyName: history, "logs/" + name: log, "logs/" + name + ".1": log, manifestName: manifest} {
			if err := os.WriteFile(filepath.Join(i.Dir(), path), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		i.Manifest()
		for range i.ReadLog(t.Context(), name, LogOptions{}) {
		}
		if _, err := i.Collect(t.Context(), nil, DefaultLogging()); err != nil {
			t.Fatal(err)
		}
		i.Record(KindRun, pocketdock.Shell("after"), DefaultLogging()).Finish(ok, nil)
		h, err := i.History(HistoryOptions{})
		if err != nil || len(h) == 0 || h[len(h)-1].Cmd != "after" {
			t.Fatalf("%+v, %v", h, err)
		}
		for _, e := range h {
			if s := string(e.Type) + e.ID + e.Event + e.Log; printable(s) != s {
				t.Fatalf("%+v", e)
			}
		}
	})
}
