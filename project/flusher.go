package project

import (
	"sync"
	"time"
)

// A flusher writes what recorders hold when it is due. It looks at them every
// flushTick, as long as there are some: a timer for each command would wake a
// thread for it, which took as long as all else that is done for a short one.
type flusher struct {
	mu      sync.Mutex
	waiting map[*Recorder]bool
	running bool
	stopped chan struct{} // made when it is first running; closed by stop
}

const (
	flushTick = 10 * time.Millisecond
	// flushIdle is how many times it looks in vain before it ends.
	flushIdle = 100
)

// flushIn has what is held written after a while. r.mu is held.
func (r *Recorder) flushIn(after time.Duration) {
	r.due = time.Now().Add(after)
	i := r.inst
	f := &i.flushes
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting == nil {
		f.waiting, f.stopped = map[*Recorder]bool{}, make(chan struct{})
	}
	f.waiting[r] = true
	if !f.running {
		f.running = true
		stopped := f.stopped
		i.background.Go(func() { f.run(stopped) })
	}
}

func (f *flusher) run(stopped <-chan struct{}) {
	tick := time.NewTicker(flushTick)
	defer tick.Stop()
	var list []*Recorder
	for idle := 0; ; {
		select {
		case <-stopped:
			return
		case <-tick.C:
		}
		f.mu.Lock()
		list = list[:0]
		for r := range f.waiting {
			list = append(list, r)
		}
		if idle++; len(list) > 0 {
			idle = 0
		}
		if idle >= flushIdle {
			f.running = false
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		now := time.Now()
		for _, r := range list {
			f.look(r, now)
		}
	}
}

// look flushes a recorder whose time has come. A disk that hangs holds up only
// those of this instance.
func (f *flusher) look(r *Recorder, now time.Time) {
	r.mu.Lock()
	due := r.due
	if due.IsZero() { // it was written meanwhile
		f.mu.Lock()
		delete(f.waiting, r)
		f.mu.Unlock()
	}
	r.mu.Unlock()
	if !due.IsZero() && !now.Before(due) {
		r.flush()
	}
}

// stop ends it. All recorders have finished.
func (f *flusher) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped != nil {
		close(f.stopped)
		f.stopped = nil
	}
}
