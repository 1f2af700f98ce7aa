//go:build linux

package agent

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
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

// keepInFile says that the log is to be in a file from now on.
func (l *log) keepInFile() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unbrief()
	l.closeIfOver()
}

// unbrief moves a brief log to a file. A reader that holds may be sending from
// the buffer: it is not used again.
func (l *log) unbrief() {
	l.brief = false
	if l.buffer == nil {
		return
	}
	b := l.buffer[logHeader : logHeader+min(l.total, l.limit)]
	l.buffer = nil
	l.open()
	if l.file >= 0 {
		l.backed = 0
		l.grow(l.total)
	}
	if l.file >= 0 {
		unix.Pwrite(l.file, b, logHeader)
		l.writeHeader()
	} else {
		copy(l.memory[logHeader:], b)
	}
}

// content is a copy of what a brief log has, oldest byte first. It is not ok if
// the log has become too long for that.
func (l *log) content() (b []byte, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buffer == nil {
		return nil, l.total == 0
	}
	ring := l.buffer[logHeader : logHeader+min(l.total, l.limit)]
	at := 0
	if l.total > l.limit {
		at = int(l.total % l.limit)
	}
	return slices.Concat(ring[at:], ring[:at]), true
}

// setPlace says that the journal has a brief log.
func (l *log) setPlace(p *place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.brief, l.place = false, p
	l.closeIfOver()
}

func (l *log) beginBrief(fd int) (int, error) {
	b := briefBuffers.Get().(*[briefBuffer]byte)
	room := min(briefBuffer-logHeader, l.limit)
	n, err := unix.Read(fd, b[logHeader:logHeader+room])
	if n <= 0 || err != nil {
		briefBuffers.Put(b)
		return n, err
	}
	l.buffer, l.memory, l.backed = b, b[:], room
	l.total += int64(n)
	l.tell()
	return n, nil
}
