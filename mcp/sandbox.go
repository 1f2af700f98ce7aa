package mcp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/pocketdock/pocketdock"
)

// A sandbox is one of a session's.
type sandbox struct {
	box            *pocketdock.Container
	image, profile string // that it was made of; profile may be empty
	born           time.Time
	ttl            time.Duration // that was asked for; 0: none
	stop           chan struct{} // closed when it is not to be kept alive any more
	once           sync.Once

	mu      sync.Mutex
	started int      // processes
	kept    []string // those that ended, whose output may be wanted
}

// id is what clients call it.
func (b *sandbox) id() string { return b.box.Name() }

func (b *sandbox) release() { b.once.Do(func() { close(b.stop) }) }

// newID names a process, shortly: a model has to repeat it.
func (b *sandbox) newID() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.started++
	return "p" + strconv.Itoa(b.started)
}

// keptOutputs is how many ended processes' output a sandbox keeps: each may be
// megabytes on this host's disk.
const keptOutputs = 16

// keep notes that a process has ended and that its output may be read again. It
// returns the one that is to be forgotten instead; empty if none is.
func (b *sandbox) keep(id string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, id)
	if len(b.kept) <= keptOutputs {
		return ""
	}
	old := b.kept[0]
	b.kept = append(b.kept[:0], b.kept[1:]...)
	return old
}

// A creation says what sandbox to make.
type creation struct {
	options  pocketdock.CreateOptions
	image    string
	standard bool // it becomes the default one
}

// create makes a sandbox of the session's.
func (s *session) create(ctx context.Context, c creation) (*sandbox, error) {
	o, image, err := s.srv.origin(ctx, c)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	switch n := len(s.boxes) + s.making; {
	case s.over:
		s.mu.Unlock()
		return nil, errSessionOver
	case n >= s.srv.opts.MaxSandboxes:
		s.mu.Unlock()
		return nil, fmt.Errorf("this session has %d sandboxes, which is the limit: remove one with sandbox_stop", n)
	}
	s.making++
	s.work.Add(1)
	s.mu.Unlock()
	defer s.work.Done()

	ttl := o.TTL
	o.TTL = s.srv.leaseFor(0, ttl)
	box, err := s.srv.opts.Client.Create(ctx, image, o)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.making--
	if err != nil {
		return nil, fmt.Errorf("making a sandbox: %w", err)
	}
	b := &sandbox{box: box, image: image, profile: o.Profile, born: time.Now(), ttl: ttl, stop: make(chan struct{})}
	if image == "" {
		b.image = pocketdock.Profile{Name: o.Profile}.Image()
	}
	if s.over {
		s.work.Go(func() { s.remove(b) })
		return nil, errSessionOver
	}
	s.boxes[b.id()] = b
	if c.standard {
		s.def = b
	}
	s.work.Go(func() { s.keepAlive(b) })
	return b, nil
}

// candidates are what a sandbox is made of when nobody says, best first.
var candidates = []struct{ image, profile string }{
	{profile: "agent"}, {profile: "minimal-python"}, {image: "debian:bookworm-slim"},
}

// origin completes the options of a sandbox.
func (s *Server) origin(ctx context.Context, c creation) (o pocketdock.CreateOptions, image string, err error) {
	o, image = c.options, c.image
	o.Project = s.opts.Project
	if o.Network && !s.opts.AllowNetwork {
		return o, "", errors.New("sandboxes of this server have no network; the user can allow one by starting it with: pocketdock mcp --allow-network")
	}
	o.NoNetwork = !o.Network && (!s.opts.AllowNetwork || o.NoNetwork)
	if image != "" || o.Profile != "" {
		return o, image, nil
	}
	if s.opts.Image != "" || s.opts.Profile != "" {
		o.Profile = s.opts.Profile
		return o, s.opts.Image, nil
	}
	for _, c := range candidates {
		name := c.image
		if name == "" {
			name = pocketdock.Profile{Name: c.profile}.Image()
		}
		ok, err := s.opts.Client.ImageExists(ctx, name)
		if err != nil {
			return o, "", err
		}
		if ok {
			o.Profile = c.profile
			return o, c.image, nil
		}
	}
	return o, "", errors.New("there is no image to make a sandbox of; the user can build one with: pocketdock build agent")
}

// leaseFor is the time limit, counted from its start, of a sandbox of a certain
// age that is to be kept alive. TTL is the client's own; 0: none.
func (s *Server) leaseFor(age, ttl time.Duration) time.Duration {
	limit := age + s.lease
	if ttl > 0 {
		limit = min(limit, ttl)
	}
	return limit
}

// keepAlive prolongs a sandbox's life for as long as its session lasts. Without
// this program it ends, so that a program that was killed leaves nothing, also
// where something runs in the background.
func (s *session) keepAlive(b *sandbox) {
	tick := time.NewTicker(s.srv.lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-s.done:
			return
		case <-tick.C:
		}
		ctx, cancel := s.during(context.Background())
		ctx, cancelLate := context.WithTimeout(ctx, s.srv.lease/3)
		err := b.box.SetTimeLimits(ctx, pocketdock.TimeLimits{TTL: s.srv.leaseFor(time.Since(b.born), b.ttl)})
		cancelLate()
		cancel()
		if s.lost(b, err) {
			return
		}
		if err != nil {
			s.srv.opts.Log.Warn("a sandbox could not be kept alive", "sandbox", b.id(), "error", err)
		}
	}
}
