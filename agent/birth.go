//go:build linux

package agent

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"
)

// A birth is a moment that tells which processes began after it.
type birth struct {
	tick uint64 // as start times in /proc/PID/stat count
	last int    // the newest process then; 0 where the kernel does not say (gVisor)
}

// ticksPerSecond is the unit of start times in /proc/PID/stat, on every
// architecture that Go knows.
const ticksPerSecond = 100

// now is a birth now.
func now() (b birth) {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) == nil {
		b.tick = uint64(t.Nano() / (int64(time.Second) / ticksPerSecond))
	}
	var buf [128]byte
	f := bytes.Fields(readAt(unix.AT_FDCWD, "/proc/loadavg", buf[:]))
	if len(f) == 5 {
		b.last, _ = number(f[4])
	}
	return b
}

// before tells whether a process began after b. In the same tick its number
// decides: they go upwards, and begin anew below it after the highest, which is
// 32768 at least.
func (b birth) before(st stat) bool {
	if st.start != b.tick {
		return st.start > b.tick
	}
	return st.pid > b.last || b.last-st.pid > 1<<14
}
