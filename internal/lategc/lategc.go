// Package lategc spares a program that mostly ends soon the collection of
// garbage, which is up to a tenth of its time while it starts.
package lategc

import (
	"runtime/debug"
	"time"
)

const (
	startTime = time.Second
	startHeap = 48 << 20 // of all the memory of the Go runtime
)

// Start has the collector start late, unless there is much to do.
func Start() {
	percent := debug.SetGCPercent(-1)
	limit := debug.SetMemoryLimit(startHeap)
	time.AfterFunc(startTime, func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
		debug.FreeOSMemory()
	})
}
