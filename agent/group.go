//go:build linux

package agent

import (
	"bytes"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A process that double-forks becomes a child of PID 1 and nothing in /proc
// says where it came from. A supplementary group does: every run gets one of
// its own, all its descendants inherit it, and without CAP_SETGID (and with
// no_new_privs) none can drop it. Batch systems do the same (Grid Engine:
// gid_range, HTCondor: USE_GID_PROCESS_TRACKING).
//
// The range is one that images and login.defs leave alone (users' groups end
// at 60000, most systems start at 1000; rootless containers map up to 65536).
// Where a user namespace has fewer, its last ones serve.
const (
	firstTreeGroup = 50000
	lastTreeGroup  = 59999
	// fewTreeGroups is how many are taken then, and a quarter of the least
	// that there must be.
	fewTreeGroups = 1000
)

// groupPool hands out the groups that mark trees.
type groupPool struct {
	first, last uint32 // the range; 0: none

	mu    sync.Mutex
	next  uint32
	owner map[uint32]*mark
	given map[uint32]bool // ever, by this agent
	// busy are groups that a process had when the current lap through the
	// range began. No group is given twice in a lap, so that a scan per lap,
	// not per run, is enough: a process that outlived its run is in it.
	busy map[uint32]bool
}

// A mark is the group of a run's tree; 0: it has none, or has it no more.
type mark struct {
	gid   atomic.Uint32
	ended atomic.Bool // the first process has ended
}

// find picks the range, and reports whether there is one: the agent needs
// CAP_SETGID, a user namespace that maps the groups, and a /proc that lists
// them.
func (g *groupPool) find() bool {
	var buf [4 << 10]byte
	ranges := [][2]uint32{{firstTreeGroup, lastTreeGroup}}
	if last := lastMapped(readAt(unix.AT_FDCWD, "/proc/self/gid_map", buf[:])); last >= 4*fewTreeGroups {
		ranges = append(ranges, [2]uint32{last - fewTreeGroups + 1, last})
	}
	for _, r := range ranges {
		if canMark(r[0]) && canMark(r[1]) {
			g.first, g.last = r[0], r[1]
			return true
		}
	}
	return false
}

// share takes a part of the range, for an agent that may not be the only one
// in its container: a name in the abstract namespace of Unix sockets, which
// goes with the agent, says whose it is.
func (g *groupPool) share() {
	const parts = 20
	for i := range uint32(parts) {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return
		}
		if unix.Bind(fd, &unix.SockaddrUnix{Name: "@pocketdock-groups-" + strconv.Itoa(int(i))}) != nil {
			unix.Close(fd)
			continue
		}
		n := (g.last - g.first + 1) / parts
		g.first += i * n
		g.last = g.first + n - 1
		return
	}
}

// gave reports whether gid marks a tree of this agent.
func (g *groupPool) gave(gid uint32) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.given[gid]
}

// marks reports whether gid may mark a tree.
func (g *groupPool) marks(gid uint32) bool { return gid != 0 && gid >= g.first && gid <= g.last }

// lastMapped is the last ID of the longest line of a gid_map.
func lastMapped(file []byte) (last uint32) {
	var longest int
	for line := range bytes.SplitSeq(file, []byte("\n")) {
		f := bytes.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, ok1 := number(f[0])
		n, ok2 := number(f[2])
		if ok1 && ok2 && n > longest && first+n < 1<<31 {
			longest, last = n, uint32(first+n-1)
		}
	}
	return last
}

// canMark tries a group on this thread.
func canMark(gid uint32) bool {
	runtime.LockOSThread() // credentials are per thread in the kernel
	own, err := unix.Getgroups()
	if err != nil {
		runtime.UnlockOSThread()
		return false
	}
	restore := make([]uint32, len(own))
	for i, g := range own {
		restore[i] = uint32(g)
	}
	if !setThreadGroups([]uint32{gid}) {
		runtime.UnlockOSThread()
		return false
	}
	var buf [8 << 10]byte
	s := seen{status: readAt(unix.AT_FDCWD, "/proc/thread-self/status", buf[:])}
	ok := s.inGroup(gid)
	if setThreadGroups(restore) {
		runtime.UnlockOSThread()
	} // else the thread ends with the goroutine rather than serve others
	return ok
}

func setThreadGroups(gids []uint32) bool {
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(gids)), uintptr(unsafe.Pointer(unsafe.SliceData(gids))), 0)
	return errno == 0
}

// take gives m a group that no other process has and that is not in avoid. It
// returns 0 if there is none.
func (g *groupPool) take(m *mark, avoid []uint32) uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	for range 2 * (g.last - g.first + 1) {
		if !g.marks(g.next) {
			g.lap()
		}
		gid := g.next
		g.next++
		if g.busy[gid] || slices.Contains(avoid, gid) || g.owner[gid] != nil {
			continue
		}
		g.owner[gid], g.given[gid] = m, true
		m.gid.Store(gid)
		return gid
	}
	return 0
}

// lap starts over.
func (g *groupPool) lap() {
	g.next = g.first
	if g.owner == nil {
		g.owner, g.given = map[uint32]*mark{}, map[uint32]bool{}
	}
	g.busy = map[uint32]bool{}
	scan(func(s *seen) {
		s.groups(func(gid uint32) bool {
			if g.marks(gid) {
				g.busy[gid] = true
			}
			return true
		})
	})
	// An ended run that nothing is left of gives its group back.
	for gid, m := range g.owner {
		if m.ended.Load() && !g.busy[gid] {
			m.gid.Store(0)
			delete(g.owner, gid)
		}
	}
}

// release is for a run that never started or is forgotten. What is left of
// its tree keeps the group from being used again, see lap.
func (g *groupPool) release(m *mark) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if gid := m.gid.Load(); g.owner[gid] == m {
		delete(g.owner, gid)
	}
}
