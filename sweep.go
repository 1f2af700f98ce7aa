package pocketdock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/pocketdock/pocketdock/internal/state"
)

// A SweepReport says what [Client.Sweep] removed.
type SweepReport struct {
	// Containers, by name.
	Containers []string
	// Images that were left of unfinished snapshots, by name or ID.
	Images []string
	// Directories of the state directory, each that of a container or of a
	// snapshot.
	Directories int
}

const (
	// buried is for how long an engine may still make a container that a dead
	// program asked for. Creating took at most seconds where it was measured.
	buried = 10 * time.Minute
	// missed is for how long the directory of a container that is meant to
	// last is kept when its engine does not have it: the engine's storage may
	// not be mounted yet.
	missed = 24 * time.Hour
)

// SweepNeeded reports whether programs that have ended may have left anything
// for Sweep. It reads the state directory only: 20 ms with a thousand
// containers.
func (c *Client) SweepNeeded() bool {
	s, err := c.newSweep()
	return err == nil && s.needed()
}

// Sweep removes what programs left that ended without cleaning up: their
// containers, the directories of these, and what an unfinished
// [Container.Snapshot] left. Each engine that one of them was on is asked, not
// only the client's; what is on an engine that does not answer stays, and is
// part of the error. If nothing is left, no engine is asked.
//
// What stays: containers of programs that live, or of which that cannot be
// known (in another PID namespace, or on another machine that shares the home
// directory); those that are meant to last ([CreateOptions.Persist]), once
// Create has returned; and whatever the state directory has no record of, such
// as containers of other users and tools, whatever their labels say. Any
// number of programs may sweep at once.
func (c *Client) Sweep(ctx context.Context) (SweepReport, error) {
	s, err := c.newSweep()
	if err != nil {
		return SweepReport{}, err
	}
	s.local()
	for path, sh := range s.shares() {
		s.engine(ctx, path, sh)
	}
	s.fail(s.dir.SetSwept())
	slices.Sort(s.report.Containers)
	return s.report, errors.Join(s.errs...)
}

// A sweep is one under way.
type sweep struct {
	client *Client
	dir    state.Dir
	found  *state.Contents
	dead   coroner

	mu     sync.Mutex // of what follows
	report SweepReport
	errs   []error
}

func (c *Client) newSweep() (*sweep, error) {
	dir, err := c.stateDir()
	if err != nil {
		return nil, err
	}
	found, err := dir.Contents()
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	return &sweep{client: c, dir: dir, found: found, dead: coroner{}}, nil
}

// needed reports that there is something to do. Containers that are meant to
// last may be gone, too; whether they are is asked once a day.
func (s *sweep) needed() bool {
	if len(s.found.Waste)+len(s.found.Gone) > 0 {
		return true
	}
	for _, h := range slices.Concat(s.found.Half, s.found.Work) {
		if s.dead.dead(owner(h.Owner), h.Machine) {
			return true
		}
	}
	swept := s.dir.Swept()
	for _, b := range s.found.Boxes {
		switch s.judge(b).kind {
		case lost, replaced:
			return true
		case lasting:
			if time.Since(swept) > missed && time.Since(b.Recorded()) > missed {
				return true
			}
		}
	}
	return false
}

// A verdict is what a directory's record says about it.
type verdict struct {
	kind   verdictKind
	box    state.Box
	record *state.Record // nil: it cannot be read
}

type verdictKind int

const (
	inUse    verdictKind = iota // its owner lives
	lasting                     // it lasts as long as its container, whoever lives
	lost                        // container and directory are to go
	replaced                    // RebootFresh did not end, see unfinishedReboot
)

func (s *sweep) judge(b state.Box) verdict {
	r, err := b.Record()
	if err != nil {
		// The record is written before the directory has its name. So the
		// machine lost power then; in this life of it, it is nothing of ours.
		fi, e := os.Stat(string(b))
		if e == nil && fi.ModTime().Before(bootTime()) && !errors.Is(err, fs.ErrPermission) {
			return verdict{lost, b, nil}
		}
		return verdict{kind: inUse}
	}
	lives := owner(r.Owner) != nobody && !s.dead.dead(owner(r.Owner), r.Machine)
	lasts := (r.Persist || owner(r.Owner) == nobody) && r.ID != ""
	switch {
	case !lives && !lasts:
		return verdict{lost, b, r}
	case r.Aside != nil && s.dead.dead(owner(r.Aside.Owner), r.Machine):
		return verdict{replaced, b, r}
	case lives:
		return verdict{inUse, b, r}
	}
	return verdict{lasting, b, r}
}

// local removes what no engine needs to be asked about.
func (s *sweep) local() {
	remove := func(path string) {
		if ownFile(path) {
			s.removed(state.RemoveAll(path))
		}
	}
	for _, path := range s.found.Waste {
		remove(path)
	}
	for _, h := range s.found.Half {
		if s.dead.dead(owner(h.Owner), h.Machine) {
			remove(h.Path)
		}
	}
}

// A share is what is to be asked of one engine.
type share struct {
	boxes []verdict
	gone  []state.Gone
	work  []string
}

// shares sorts what is left by engine, that is by the path of its socket; ""
// is the client's own.
func (s *sweep) shares() map[string]*share {
	shares := map[string]*share{}
	of := func(engine string) *share {
		if shares[engine] == nil {
			shares[engine] = &share{}
		}
		return shares[engine]
	}
	for _, b := range s.found.Boxes {
		v := s.judge(b)
		if v.kind == inUse || !ownFile(string(b)) {
			continue
		}
		path := ""
		if v.record != nil {
			path = v.record.Engine
		}
		sh := of(path)
		sh.boxes = append(sh.boxes, v)
	}
	for _, g := range s.found.Gone {
		r, since, err := g.Record()
		if err != nil || time.Since(since) > buried {
			s.file(os.Remove(g.Path))
			continue
		}
		sh := of(r.Engine)
		sh.gone = append(sh.gone, g)
	}
	for _, h := range s.found.Work {
		if s.dead.dead(owner(h.Owner), h.Machine) && ownFile(h.Path) {
			sh := of(workEngine(h.Path))
			sh.work = append(sh.work, h.Path)
		}
	}
	return shares
}

// fail notes an error.
func (s *sweep) fail(err error) {
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.errs = append(s.errs, err)
	}
}

// file notes an error about the state directory; that something is gone is
// none, others may sweep, too.
func (s *sweep) file(err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		s.fail(err)
	}
}

// removed counts a directory, if it was removed.
func (s *sweep) removed(err error) {
	s.file(err)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.report.Directories++
	}
}
