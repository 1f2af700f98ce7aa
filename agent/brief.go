//go:build linux

package agent

import (
	"sync"
	"time"
)

// briefTime is how long a process is taken for a short one, of which nothing
// is on disk before its end. Should the agent be killed meanwhile, it is not
// known that there was one; the client of such a process is there and learns
// that its sandbox ended.
const briefTime = 10 * time.Millisecond

// briefs are the processes that may be short ones. They are looked at every
// briefTime, as long as there are some: a timer for each would wake a thread.
type briefs struct {
	store   *store
	mu      sync.Mutex
	list    map[*process]time.Time
	running bool
}

func (b *briefs) add(p *process) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.list == nil {
		b.list = map[*process]time.Time{}
	}
	b.list[p] = time.Now()
	if !b.running {
		b.running = true
		go b.run()
	}
}

// run writes down the processes that are no short ones, until there was none
// for a second.
func (b *briefs) run() {
	tick := time.NewTicker(briefTime)
	defer tick.Stop()
	for idle := 0; ; {
		now := <-tick.C
		var late []*process
		b.mu.Lock()
		if idle++; len(b.list) > 0 {
			idle = 0
		}
		for p, since := range b.list {
			if done := p.hasFinished(); done || now.Sub(since) >= briefTime {
				delete(b.list, p)
				if !done {
					late = append(late, p)
				}
			}
		}
		if idle > int(time.Second/briefTime) {
			b.running = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		for _, p := range late {
			b.store.save(p)
		}
	}
}

// saveBrief enters a process that was short in the journal, and returns its
// memo; nil if it does not belong there.
func (st *store) saveBrief(p *process) *memo {
	p.saving.Lock()
	defer p.saving.Unlock()
	if !p.brief || p.dropped {
		return nil
	}
	var out [2][]byte
	for i, s := range p.out {
		if s == nil {
			continue
		}
		if !closed(s.eof) {
			return nil // children in the background go on writing
		}
		var ok bool
		if out[i], ok = s.log.content(); !ok {
			return nil
		}
	}
	m := p.summary()
	at, err := st.journal.add(m.record, out)
	if err != nil {
		return nil
	}
	p.brief, p.place, m.place = false, at, at
	for _, s := range p.out {
		if s != nil {
			s.log.setPlace(at)
		}
	}
	return m
}
