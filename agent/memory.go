//go:build linux

package agent

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// heapLimit is where Go collects by itself, fork or no fork.
	heapLimit = 64 << 20
	// garbageLimit is how much is allocated between two collections.
	garbageLimit = 2 << 20
	// restTime is how long after the last operation memory is given back.
	restTime = 500 * time.Millisecond
	// maxProcs: the agent waits more than it computes, each P has its caches,
	// and one may be waiting for a fork.
	minProcs, maxProcs = 2, 4
	// spares is how many threads are made in advance. Go ends the program if
	// it cannot make one that it needs, and a fork bomb may have taken all
	// that the sandbox may have. Each costs some 10 kB.
	spares = 32
	// fileSlots is how many operations on files, each of which may need a
	// thread of its own, go on at a time. One more waits for slotTime, and
	// goes on without then: it may be the peers of the others who wait for it.
	fileSlots = spares - 8
	slotTime  = 200 * time.Millisecond
)

func tuneMemory() {
	debug.SetGCPercent(-1) // see collector
	debug.SetMemoryLimit(heapLimit)
	runtime.GOMAXPROCS(min(max(runtime.NumCPU(), minProcs), maxProcs))
}

// A collector decides when Go collects garbage: not while a fork is under way.
// To stop the world is to wait for the forking thread, which waits for its
// child's exec, which hostile code may hold up, see [guard].
type collector struct {
	a       *agent
	kick    chan struct{}
	ops     atomic.Uint64 // that have ended
	resting atomic.Bool   // the next one is to say so
}

func startCollector(a *agent) *collector {
	c := &collector{a: a, kick: make(chan struct{}, 1)}
	go c.run()
	return c
}

// operationEnded is the occasion to look: every eighth, and the first after a
// rest. To wake the collector costs more than to count.
func (c *collector) operationEnded() {
	if c.ops.Add(1)%8 == 0 || c.resting.CompareAndSwap(true, false) {
		select {
		case c.kick <- struct{}{}:
		default:
		}
	}
}

// run collects when garbageLimit was allocated, and once when things have come
// to rest; then nothing wakes it.
func (c *collector) run() {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	allocated := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	var (
		last, freed uint64 // allocated at the last collection, and the last time at rest
		seen        uint64 // operations
	)
	timer := time.NewTimer(restTime)
	for {
		select {
		case <-c.kick:
			if allocated()-last > garbageLimit && c.collect(runtime.GC) {
				last = allocated()
			}
			timer.Reset(restTime)
		case <-timer.C:
			if ops, busy := c.ops.Load(), c.a.rest.busy(); ops != seen || busy {
				if allocated()-last > garbageLimit && c.collect(runtime.GC) {
					last = allocated()
				}
				if ops == seen {
					timer.Reset(10 * restTime) // long operations only
				} else {
					timer.Reset(restTime)
				}
				seen = ops
				continue
			}
			now := allocated()
			if now-freed > garbageLimit/8 || freed == 0 {
				if !c.collect(c.giveBack) {
					timer.Reset(restTime)
					continue
				}
				last, freed = now, now
			}
			c.resting.Store(true)
			if c.ops.Load() != seen && c.resting.CompareAndSwap(true, false) {
				timer.Reset(restTime) // one ended meanwhile and did not see it
			}
		}
	}
}

// giveBack returns to the kernel what is not in use. What lies in a sync.Pool
// is dropped by the second collection. The program's own pages, more than half
// of what is left, are mapped again from the page cache as they are needed,
// which costs the next operation some 50 µs.
func (c *collector) giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
	for _, m := range program() {
		unix.Syscall(unix.SYS_MADVISE, m[0], m[1]-m[0], unix.MADV_DONTNEED)
	}
}

// program are the read-only mappings of the agent's binary.
var program = sync.OnceValue(func() (ranges [][2]uintptr) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	b := readAt(unix.AT_FDCWD, "/proc/self/maps", make([]byte, 32<<10)) // the program is at its beginning
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 6 || f[5] != exe || f[1][1] == 'w' {
			continue
		}
		from, to, _ := strings.Cut(f[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 == nil && err2 == nil && start < end {
			ranges = append(ranges, [2]uintptr{uintptr(start), uintptr(end)})
		}
	}
	return ranges
})

// collect calls f while nothing forks; false if something does.
func (c *collector) collect(f func()) bool {
	if !c.a.forks.TryLock() {
		return false
	}
	defer c.a.forks.Unlock()
	f()
	return true
}

// slot waits for a place among the operations on files; leave gives it back.
func (a *agent) slot() (leave func()) {
	select {
	case a.slots <- struct{}{}:
		return func() { <-a.slots }
	default:
	}
	timer := time.NewTimer(slotTime)
	defer timer.Stop()
	select {
	case a.slots <- struct{}{}:
		return func() { <-a.slots }
	case <-timer.C:
		return func() {}
	}
}

// spareThreads makes Go start threads that it will find idle later.
func spareThreads() {
	var ready, all sync.WaitGroup
	release := make(chan struct{})
	for range spares {
		ready.Add(1)
		all.Add(1)
		go func() {
			runtime.LockOSThread() // so that each needs its own
			unix.Gettid()
			ready.Done()
			<-release
			runtime.UnlockOSThread()
			all.Done()
		}()
	}
	ready.Wait()
	close(release)
	all.Wait()
}

// inGVisor reports that the kernel is gVisor, which names itself in its release.
func inGVisor() bool {
	var u unix.Utsname
	return unix.Uname(&u) == nil && bytes.Contains(u.Release[:], []byte("gvisor"))
}
