//go:build linux && !noembedded

package sentry

import (
	"runtime/debug"
	"time"
)

// What a start leaves as garbage is a few megabytes, and collecting it
// meanwhile takes a tenth of its time. So the collector starts late, unless
// there is much to do.
const (
	startTime = time.Second
	startHeap = 48 << 20 // of all the memory of the Go runtime
)

func collectLater() {
	percent := debug.SetGCPercent(-1)
	limit := debug.SetMemoryLimit(startHeap)
	time.AfterFunc(startTime, func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
		debug.FreeOSMemory()
	})
}
