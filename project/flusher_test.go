package project

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// TestFlusher: a command that goes on, and what it prints, come to the disk by
// themselves, and what sees to that ends when there is nothing to see to.
func TestFlusher(t *testing.T) {
	i := newInstance(t)
	l := DefaultLogging()
	i.Record(KindRun, pocketdock.Shell("first"), l).Finish(ok, nil)
	r := i.Record(KindRun, pocketdock.Shell("goes on"), l) // into the same file
	onDisk := func(text string) func() bool {
		return func() bool {
			b, err := os.ReadFile(filepath.Join(i.Dir(), logsName, r.Log()))
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(string(b), text)
		}
	}
	eventually(t, 20*time.Second, "its log says what runs", onDisk("goes on"))
	r.Output(pocketdock.Stdout, []byte("half a line"))
	eventually(t, 20*time.Second, "its log has what it printed", onDisk("half a line"))
	r.Finish(ok, nil)
	running := func() bool {
		i.flushes.mu.Lock()
		defer i.flushes.mu.Unlock()
		return i.flushes.running
	}
	eventually(t, 20*time.Second, "it ends", func() bool { return !running() })
	r = i.Record(KindRun, pocketdock.Shell("once more"), l)
	eventually(t, 20*time.Second, "it begins again", onDisk("once more"))
	r.Finish(ok, nil)
}
