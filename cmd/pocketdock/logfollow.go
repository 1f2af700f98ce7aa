package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/project"
)

const (
	// newCommands is how often the records are asked for new commands, by two
	// stats of files, and boxPoll how often the engine whether the sandboxes
	// still run.
	newCommands = 100 * time.Millisecond
	boxPoll     = time.Second
	// headless is how long a log may have no first line.
	headless = time.Second
)

// A logFollower shows commands as they run: those that do now and those that
// begin later, until the sandboxes have stopped.
type logFollower struct {
	a *app
	w *workplace
	o *logFlags

	sources []*logSource
	seen    map[string]bool // commands, by process and by place in a log
	running sync.WaitGroup
	failed  chan error

	mu   sync.Mutex  // of the output
	last *logPrinter // whose heading is the latest
}

// followLogs shows the last commands, and then all that run while the sandboxes do:
// the one that is named, or those of the project.
func (a *app) followLogs(ctx context.Context, w *workplace, args []string, o *logFlags) error {
	f := &logFollower{a: a, w: w, o: o, seen: map[string]bool{}, failed: make(chan error, 1)}
	ctx, cancel := context.WithCancel(ctx)
	defer f.running.Wait()
	defer cancel()
	var items []logItem
	find := func() error {
		if err := f.find(ctx, args); err != nil {
			return err
		}
		var err error
		items, err = f.fresh(ctx)
		return err
	}
	if err := find(); err != nil {
		return err
	}
	if n := len(items); o.last > 0 && n > o.last {
		items = items[n-o.last:]
	}
	var asked time.Time
	for end := false; ; {
		for i := range items {
			if err := f.show(ctx, &items[i], len(args) == 0); err != nil {
				return err
			}
		}
		if end {
			f.running.Wait()
			break
		}
		if time.Since(asked) > boxPoll {
			if on, err := f.anyRuns(ctx); err != nil {
				return err
			} else if end = !on; end {
				f.running.Wait()
				for _, s := range f.sources {
					s.state = "" // a last look
				}
			}
			asked = time.Now()
		}
		if !end {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case err := <-f.failed:
				return err
			case <-time.After(newCommands):
			}
		}
		if err := find(); err != nil {
			return err
		}
	}
	select {
	case err := <-f.failed:
		return err
	default:
	}
	if len(f.seen) == 0 && !a.json {
		a.notef("Nothing is recorded.")
	}
	return nil
}

// find adds the sandboxes that are not known yet.
func (f *logFollower) find(ctx context.Context, args []string) error {
	if len(args) > 0 {
		if len(f.sources) > 0 {
			return nil
		}
		s, err := f.a.logSource(ctx, f.w, args[0])
		if err == nil {
			f.sources = append(f.sources, s)
		}
		return err
	}
	if f.w.project == nil {
		return noProjectLogs()
	}
	names, err := f.w.project.Instances()
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.ContainsFunc(f.sources, func(s *logSource) bool { return s.name == name }) {
			continue
		}
		inst, err := f.w.project.Instance(name)
		if err != nil {
			continue // it is being made, or removed
		}
		f.a.atEnd(func() { inst.Close() })
		f.sources = append(f.sources, &logSource{name: name, inst: inst, box: f.a.boxOf(ctx, inst)})
	}
	return nil
}

// fresh are the commands that were not seen before.
func (f *logFollower) fresh(ctx context.Context) ([]logItem, error) {
	var list []logItem
	for _, s := range f.sources {
		if !s.changed() {
			continue
		}
		items, err := f.a.itemsOf(ctx, f.w, s, f.o)
		if err != nil {
			if s.inst == nil && gone(err) {
				continue
			}
			return nil, err
		}
		for _, it := range items {
			if it.running && it.entry.Cmd == "" && time.Since(it.entry.Time) < headless {
				s.state = "" // its first line comes at once
				continue
			}
			known := false
			for _, k := range it.keys() {
				known = known || f.seen[k]
				f.seen[k] = true
			}
			if !known {
				list = append(list, it)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b logItem) int { return a.entry.Time.Compare(b.entry.Time) })
	return list, nil
}

// gone reports that there is no running container to ask any more.
func gone(err error) bool {
	return errors.Is(err, pocketdock.ErrContainerNotRunning) || errors.Is(err, pocketdock.ErrContainerGone) ||
		errors.Is(err, pocketdock.ErrContainerNotFound)
}

// keys are what a command is known by, while it runs and afterwards.
func (it *logItem) keys() []string {
	var keys []string
	if it.entry.ID != "" {
		keys = append(keys, it.container+" "+it.entry.ID)
	}
	if it.entry.Log != "" {
		keys = append(keys, it.container+" "+it.entry.Log+" "+strconv.FormatInt(it.entry.At, 10))
	}
	return keys
}

func (f *logFollower) anyRuns(ctx context.Context) (bool, error) {
	for _, s := range f.sources {
		if s.box == nil {
			continue
		}
		on, err := s.box.Running(ctx)
		if err != nil && !gone(err) {
			return false, err
		}
		if on {
			return true, nil
		}
	}
	return false, nil
}

// show prints a command that has ended, or goes on with one that runs.
func (f *logFollower) show(ctx context.Context, it *logItem, many bool) error {
	p := newLogPrinter(f.a, it)
	p.turn = func() func() {
		f.mu.Lock()
		if f.last != p {
			if f.last != nil {
				f.last.end()
			}
			f.last = p
			f.a.printHeading(it, many)
		}
		return f.mu.Unlock
	}
	p.turn()()
	print := func() error {
		err := f.a.printItem(ctx, p, f.o)
		if gone(err) || errors.Is(err, pocketdock.ErrOutputLost) {
			err = nil // its sandbox was stopped; how it ended is asked for at the end
		}
		return err
	}
	if !it.running {
		return print()
	}
	f.running.Go(func() {
		if err := print(); err != nil {
			select {
			case f.failed <- err:
			default:
			}
		}
	})
	return nil
}

// A logSource is a sandbox whose commands are shown.
type logSource struct {
	name  string
	inst  *project.Instance     // nil: nothing is recorded
	box   *pocketdock.Container // nil: it is gone
	state string                // when the commands were asked for
	asked time.Time
}

// changed reports whether there may be new commands.
func (s *logSource) changed() bool {
	state := "kept"
	if s.inst != nil {
		state = "recorded"
		for _, file := range []string{"history.jsonl", "logs"} {
			if fi, err := os.Stat(filepath.Join(s.inst.Dir(), file)); err == nil {
				state += fmt.Sprint(" ", fi.Size(), fi.ModTime().UnixNano())
			}
		}
	}
	// What was started without a record is only known to the sandbox.
	if state == s.state && time.Since(s.asked) < boxPoll {
		return false
	}
	s.state, s.asked = state, time.Now()
	return true
}
