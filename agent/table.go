//go:build linux

package agent

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// table has every process that the agent knows, and which pid is whose.
type table struct {
	store   *store
	mu      sync.Mutex
	byID    map[string]*process
	memos   map[string]*memo // ended ones that are known by their record only
	byPID   map[int]*process // first processes that were not reaped yet
	forking int              // starts under way
	// early are children that were reaped while a start was under way: one
	// may be the child whose pid the starter is about to learn. Pids go
	// round, so that none comes twice within a fork.
	early  map[int]unix.WaitStatus
	reaper chan struct{} // see callReaper
}

func newTable(st *store) *table {
	return &table{
		store:  st,
		byID:   map[string]*process{},
		memos:  map[string]*memo{},
		byPID:  map[int]*process{},
		early:  map[int]unix.WaitStatus{},
		reaper: make(chan struct{}, 1),
	}
}

// validID reports whether id may name a process, and so files.
func validID(id string) bool {
	if len(id) < 1 || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// reserve enters p under its ID, or one that it makes. It reports whether the
// ID was free.
func (t *table) reserve(p *process) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p.id == "" {
		id := strconv.FormatUint(rand.Uint64()>>14|1<<49, 36) // 10 characters
		if t.byID[id] == nil && t.memos[id] == nil {
			p.id = id
		}
	}
	if t.byID[p.id] != nil || t.memos[p.id] != nil {
		return false
	}
	t.byID[p.id] = p
	return true
}

// publish lets others find p, now that it runs.
func (t *table) publish(p *process) {
	t.mu.Lock()
	p.public = true
	t.mu.Unlock()
}

// get is the process with this ID, nil if there is none.
func (t *table) get(id string) *process {
	t.mu.Lock()
	p, m := t.byID[id], t.memos[id]
	if p != nil && !p.public {
		p = nil
	}
	t.mu.Unlock()
	if p == nil && m != nil {
		return m.process(t.store)
	}
	return p
}

// knows reports whether pid is a first process that runs.
func (t *table) knows(pid int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byPID[pid] != nil
}

// remove forgets a process, and returns it if it is more than a memo.
func (t *table) remove(id string) *process {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.byID[id]
	delete(t.byID, id)
	delete(t.memos, id)
	return p
}

// summarize leaves of p, which has ended, its memo. The objects of hundreds of
// processes would lie about in the heap and keep megabytes of it from being
// given back.
func (t *table) summarize(p *process, m *memo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[p.id] == p {
		delete(t.byID, p.id)
		t.memos[p.id] = m
	}
}

// live are the processes that have not become memos.
func (t *table) live() []*process {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*process, 0, len(t.byID))
	for _, p := range t.byID {
		if p.public {
			list = append(list, p)
		}
	}
	return list
}

// reports describes every process, oldest first.
func (t *table) reports() []*wire.Process {
	t.mu.Lock()
	memos := slices.Collect(maps.Values(t.memos))
	t.mu.Unlock()
	var list []*wire.Process
	for _, p := range t.live() {
		list = append(list, p.report())
	}
	for _, m := range memos {
		if r, ok := parseRecord(m.record); ok {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *wire.Process) int {
		return cmp.Or(cmp.Compare(a.Started, b.Started), strings.Compare(a.ID, b.ID))
	})
	return slices.CompactFunc(list, func(a, b *wire.Process) bool { return a.ID == b.ID }) // one became a memo meanwhile
}

// running is how many first processes run.
func (t *table) running() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byPID) + t.forking
}

// forkBegins and forkEnds bracket a start, so that a child that ends before
// its pid is known is not taken for a stranger.
func (t *table) forkBegins() {
	t.mu.Lock()
	t.forking++
	t.mu.Unlock()
}

// forkEnds enters p by its pid, 0 if the start failed. If it has ended already
// it returns the status.
func (t *table) forkEnds(p *process, pid int) (status unix.WaitStatus, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if pid != 0 {
		p.pid = pid
		if status, over = t.early[pid]; !over {
			t.byPID[pid] = p
		}
	}
	if t.forking--; t.forking == 0 && len(t.early) > 0 {
		clear(t.early)
	}
	if pid != 0 && p.pidfd < 0 {
		t.callReaper()
	}
	return status, over
}

// callReaper tells the reaper that there is a child whose end it has to see.
func (t *table) callReaper() {
	select {
	case t.reaper <- struct{}{}:
	default:
	}
}

// callForOld calls the reaper if a first process has run for age or longer. It
// reports whether there are younger ones.
func (t *table) callForOld(age time.Duration) (younger bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.byPID {
		if time.Since(p.started) < age {
			younger = true
		} else {
			t.callReaper()
		}
	}
	return younger
}

// signal sends sig to p's first process, or to its process group, unless it
// has been reaped: then its number may be another's.
func (t *table) signal(p *process, sig unix.Signal, group bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byPID[p.pid] != p {
		return unix.ESRCH
	}
	pid := p.pid
	if group {
		pid = -pid
	}
	return unix.Kill(pid, sig)
}
