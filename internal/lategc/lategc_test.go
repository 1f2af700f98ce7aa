package lategc

import (
	"runtime/debug"
	"testing"
	"time"
)

// TestStart: the collector is off but for a bound of all memory, and then on
// again as it was.
func TestStart(t *testing.T) {
	const percent = 77
	defer debug.SetGCPercent(debug.SetGCPercent(percent))
	limit := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(limit)
	Start()
	if got := debug.SetMemoryLimit(-1); got != startHeap {
		t.Errorf("limit %d", got)
	}
	if got := debug.SetGCPercent(-1); got != -1 {
		t.Errorf("%d percent", got)
	}
	for end := time.Now().Add(20 * time.Second); debug.SetMemoryLimit(-1) != limit; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the limit stays")
		}
	}
	// The percentage comes after the limit.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got := debug.SetGCPercent(-1)
		debug.SetGCPercent(got)
		if got == percent {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d percent", got)
		}
	}
}
