package mcp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pocketdock/pocketdock"
)

// A session is one client's: its sandboxes.
type session struct {
	srv  *Server
	done chan struct{} // closed when the session is over
	gone chan struct{} // closed when its sandboxes are removed
	once sync.Once
	turn chan struct{} // who makes the default sandbox holds it

	mu     sync.Mutex
	boxes  map[string]*sandbox // by name
	making int                 // sandboxes that are being created
	def    *sandbox            // the default one; nil: not made yet
	over   bool
	work   sync.WaitGroup // creations, keeping alive, removals
}

var (
	errSessionOver = errors.New("the client's session is over")
	errTooSlow     = errors.New("it took longer than an answer may")
)

// removeWithin is for an engine that is slow to remove a container.
const removeWithin = time.Minute

// during is a context that ends with the session, too.
func (s *session) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	gone := make(chan struct{})
	go func() {
		select {
		case <-s.done:
			cancel(errSessionOver)
		case <-gone:
		}
	}()
	var once sync.Once
	return ctx, func() { once.Do(func() { close(gone); cancel(nil) }) }
}

// finish ends what the session is doing.
func (s *session) finish() { s.once.Do(func() { close(s.done) }) }

// end removes the session's sandboxes.
func (s *session) end() {
	s.finish()
	s.mu.Lock()
	s.over = true
	boxes := slices.Collect(maps.Values(s.boxes))
	clear(s.boxes)
	s.def = nil
	for _, b := range boxes {
		s.work.Go(func() { s.remove(b) })
	}
	s.mu.Unlock()
	s.work.Wait()
}

// remove destroys a sandbox that is in the session's books no more.
func (s *session) remove(b *sandbox) error {
	b.release()
	ctx, cancel := context.WithTimeout(context.Background(), removeWithin)
	defer cancel()
	err := b.box.Destroy(ctx)
	if err != nil {
		s.srv.opts.Log.Error("a sandbox was not removed; it ends by itself", "sandbox", b.id(), "error", err)
	}
	return err
}

// find returns a sandbox by ID. The default one, for an empty ID, is made if
// it is not there.
func (s *session) find(ctx context.Context, id string) (b *sandbox, made bool, err error) {
	if id != "" {
		s.mu.Lock()
		b = s.boxes[id]
		s.mu.Unlock()
		if b == nil {
			return nil, false, fmt.Errorf("no sandbox %q in this session: sandbox_list shows yours, and without sandbox_id the default one is used", id)
		}
		return b, false, nil
	}
	// One makes it, the others wait; one whose request ends passes the turn on.
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
	s.mu.Lock()
	b = s.def
	s.mu.Unlock()
	if b != nil {
		return b, false, nil
	}
	b, err = s.create(ctx, creation{standard: true})
	return b, err == nil, err
}

// lost tells whether err means that the sandbox is gone, and if so forgets it.
func (s *session) lost(b *sandbox, err error) bool {
	if b == nil || !errors.Is(err, pocketdock.ErrContainerGone) && !errors.Is(err, pocketdock.ErrContainerNotFound) && !errors.Is(err, pocketdock.ErrContainerNotRunning) {
		return false
	}
	if s.take(b) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.over {
			s.work.Go(func() { s.remove(b) }) // one that was stopped is still there
		}
	}
	return true
}

// take strikes a sandbox off the books; false if it is not in them.
func (s *session) take(b *sandbox) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.boxes[b.id()] != b {
		return false
	}
	delete(s.boxes, b.id())
	if s.def == b {
		s.def = nil
	}
	return true
}

// list is the session's sandboxes, oldest first.
func (s *session) list() []*sandbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.boxes), func(a, b *sandbox) int { return a.born.Compare(b.born) })
}

// isDefault tells whether calls without a sandbox_id use b.
func (s *session) isDefault(b *sandbox) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.def == b
}
