//go:build linux

package agent

import (
	"io"
	"sync"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// news wakes those who want to know of new processes. They look at the table
// themselves, so that one who is slow misses nothing and holds nobody up.
type news struct {
	mu    sync.Mutex
	wakes map[chan struct{}]bool
}

func (n *news) subscribe() chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wakes == nil {
		n.wakes = map[chan struct{}]bool{}
	}
	wake := make(chan struct{}, 1)
	n.wakes[wake] = true
	return wake
}

func (n *news) unsubscribe(wake chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.wakes, wake)
}

func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for wake := range n.wakes {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// events does OpEvents.
func (a *agent) events(c *client) {
	wake := a.news.subscribe()
	defer a.news.unsubscribe(wake)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		io.Copy(io.Discard, c.in)
	}()
	told := map[string]int64{} // ID to start, as IDs are used again
	for first := true; ; first = false {
		current := map[string]int64{}
		for _, p := range a.procs.reports() {
			if !p.Detached {
				continue
			}
			current[p.ID] = p.Started
			if told[p.ID] != p.Started && c.w.JSON(wire.KindEntry, wire.Entry{Process: p}) != nil {
				return
			}
		}
		told = current
		if first && c.w.JSON(wire.KindReply, wire.Reply{}) != nil {
			return
		}
		select {
		case <-wake:
		case <-gone:
			return
		}
	}
}
