package monitor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEvents: every event is read once, in order, across the change of files,
// and a line that was cut is left out.
func TestEvents(t *testing.T) {
	file := filepath.Join(t.TempDir(), "events")
	live, err := OpenEvents(file, false)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if e, err := live.Next(); e != nil || err != nil {
		t.Fatal(e, err)
	}
	e := &Event{ID: "id", Attributes: map[string]string{"name": strings.Repeat("x", 1000)}}
	const n = maxEvents/1000 + 100 // more than one file
	for i := range n {
		e.Tell(file, fmt.Sprint(i), map[string]string{"n": fmt.Sprint(i)})
		got, err := live.Next()
		if err != nil || got == nil || got.Action != fmt.Sprint(i) || got.Attributes["n"] != got.Action || got.Time == 0 {
			t.Fatalf("%d: %+v, %v", i, got, err)
		}
		if got, err := live.Next(); got != nil || err != nil {
			t.Fatalf("%d: one more: %+v, %v", i, got, err)
		}
	}
	if len(e.Attributes) != 1 {
		t.Error("the event itself was changed")
	}
	if _, err := os.Stat(file + oldSuffix); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("{\"cut\n")
	f.Close()
	e.Tell(file, "last", nil)
	past, err := OpenEvents(file, true)
	if err != nil {
		t.Fatal(err)
	}
	defer past.Close()
	for i := 0; ; i++ {
		got, err := past.Next()
		if err != nil || got == nil {
			t.Fatalf("%d: %v, %v", i, got, err)
		}
		if got.Action == "last" {
			if i != n {
				t.Errorf("%d events, want %d", i, n)
			}
			break
		}
		if got.Action != fmt.Sprint(i) {
			t.Fatalf("%d: %+v", i, got)
		}
	}
}
