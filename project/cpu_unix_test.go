//go:build unix

package project

import (
	"syscall"
	"testing"
	"time"
)

// cpuTime is the processor time of this program so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reportCPU reports the processor time of this program for each operation,
// which other programs disturb less than the time on the clock.
func reportCPU(b *testing.B, do func()) {
	before := cpuTime()
	do()
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
}
