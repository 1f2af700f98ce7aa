package lategc

import (
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

// TestStart: the collector is off but for a bound of all memory, and then on
// again as it was.
func TestStart(t *testing.T) {
	const percent = 77
	defer debug.SetGCPercent(debug.SetGCPercent(percent))
	limit := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(limit)
	synctest.Test(t, func(t *testing.T) {
		Start()
		if got := debug.SetMemoryLimit(-1); got != startHeap {
			t.Errorf("limit %d", got)
		}
		if got := debug.SetGCPercent(-1); got != -1 {
			t.Errorf("%d percent", got)
		}
		time.Sleep(startTime) // of the bubble's clock
		synctest.Wait()
		if got := debug.SetMemoryLimit(-1); got != limit {
			t.Errorf("then a limit of %d", got)
		}
		if got := debug.SetGCPercent(percent); got != percent {
			t.Errorf("then %d percent", got)
		}
	})
}
