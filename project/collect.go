package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/pocketdock/pocketdock"
)

// collectName is the file whose lock orders those who collect: it is held
// while the container is asked, which the instance's own lock must not be.
const collectName = ".collect"

// collectPause is how often that lock is asked for.
const collectPause = 20 * time.Millisecond

// newborn is how long a log without a first line is nobody's: the file is made
// before it can be locked.
const newborn = 10 * time.Second

// Collect records what ended unrecorded, by whichever program it was started:
// detached processes, commands in a container that knows its project
// ([pocketdock.CreateOptions.ProjectDir]), and those whose program was killed. It
// returns how many entries the history got. Whoever is about to read the
// history or the logs calls it before. Without a container (nil), or where
// that does not run, only what is on disk is looked after.
func (i *Instance) Collect(ctx context.Context, box *pocketdock.Container, l Logging) (int, error) {
	f, err := openRegular(i.root, collectName, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return 0, fmt.Errorf("instance %s: %w", i.name, err)
	}
	defer f.Close()
	for !tryLockFile(f) {
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("instance %s: another program collects: %w", i.name, context.Cause(ctx))
		case <-time.After(collectPause):
		}
	}
	c := &collection{inst: i, box: box, logging: l, logs: map[place]bool{}, started: map[string]Entry{}, ended: map[string]bool{}}
	if err := i.eachEntry(c.known); err != nil {
		return 0, err
	}
	err = errors.Join(c.orphans(ctx), c.processes(ctx))
	i.rotateRest()
	return c.added, err
}

// A collection is one Collect.
type collection struct {
	inst    *Instance
	box     *pocketdock.Container
	logging Logging
	logs    map[place]bool   // in the history
	started map[string]Entry // processes whose start is in the history
	ended   map[string]bool  // and those whose end is
	added   int
}

// A place is where a command's output is.
type place struct {
	log string
	at  int64
}

func (c *collection) known(e Entry) {
	if e.Log != "" {
		c.logs[place{e.Log, e.At}] = true
	}
	switch {
	case e.ID == "":
	case e.Event == EventStart:
		c.started[e.ID] = e
	default:
		c.ended[e.ID] = true
	}
}

func (c *collection) note(e *Entry) {
	c.inst.note(e, c.logging.MaxLogSize)
	c.added++
}

// orphans ends the logs whose writer was killed, and adds to the history what
// a program that was killed at its end did not.
func (c *collection) orphans(ctx context.Context) error {
	list, err := c.inst.Logs()
	if err != nil {
		return err
	}
	var errs []error
	for n := range list {
		errs = append(errs, c.orphan(ctx, &list[n]))
	}
	return errors.Join(errs...)
}

func (c *collection) orphan(ctx context.Context, l *LogInfo) error {
	f, err := openRegular(c.inst.logs, l.Name, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("instance %s: log %s: %w", c.inst.name, l.Name, err)
	}
	defer f.Close()
	if !tryLockFile(f) {
		return nil // it is being written
	}
	if fi, err := f.Stat(); err == nil && fi.Size() == 0 && time.Since(fi.ModTime()) < newborn {
		return nil // whoever has just made it is about to lock it
	}
	// The commands of a file end in order, and each is in the history before
	// the next one begins: only the last one can be missing.
	last := f
	if n := len(l.parts); n > 0 {
		if last, err = openRegular(c.inst.logs, partName(l.Name, l.parts[n-1]), os.O_RDWR); err != nil {
			return fmt.Errorf("instance %s: log %s: %w", c.inst.name, l.Name, err)
		}
		defer last.Close()
	}
	at, ended, err := lastEnd(last)
	if err == nil && !ended {
		at, err = lastStart(f)
	}
	if err != nil {
		return fmt.Errorf("instance %s: log %s: %w", c.inst.name, l.Name, err)
	}
	if c.logs[place{l.Name, at}] {
		return nil
	}
	if !ended && l.Type == KindDetach {
		// Half of a collection: the process is asked again.
		return c.inst.removeLocked(l)
	}
	r := &logReader{inst: c.inst, name: l.Name, from: at}
	defer r.close()
	var end *Entry
	err = r.read(ctx, false, func(rec LogRecord) bool {
		end = rec.End
		return true
	})
	if err != nil {
		return fmt.Errorf("instance %s: log %s: %w", c.inst.name, l.Name, err)
	}
	if end == nil { // we have the lock, which for the reader is a writer's
		e := r.lost().End
		end = e
	}
	if end.Type == "" { // not even its first line
		end.Time, end.Type, end.Log, end.At = l.Start, l.Type, l.Name, at
	}
	if !ended {
		if err := endLog(last, end); err != nil {
			return fmt.Errorf("instance %s: log %s: %w", c.inst.name, l.Name, err)
		}
	}
	c.note(end)
	return nil
}

// lastEnd looks whether the last line of a log is a command's end, and where
// in the log's first file that command begins.
func lastEnd(f *os.File) (at int64, ok bool, err error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	from := max(0, fi.Size()-maxEntry)
	b := make([]byte, fi.Size()-from)
	if _, err := io.ReadFull(io.NewSectionReader(f, from, int64(len(b))), b); err != nil {
		return 0, false, err
	}
	b, whole := bytes.CutSuffix(b, []byte("\n"))
	if !whole {
		return 0, false, nil
	}
	l, ok := parseLine(b[bytes.LastIndexByte(b, '\n')+1:])
	if !ok || !l.End || l.At < 0 {
		return 0, false, nil
	}
	return l.At, true, nil
}

// lastStart is where the last command of a log begins.
func lastStart(f *os.File) (int64, error) {
	r := newLineReader(io.NewSectionReader(f, 0, 1<<62), maxLine)
	var last int64
	for {
		b, err := r.next()
		if err == io.EOF {
			return last, nil
		}
		if err != nil {
			return 0, err
		}
		if bytes.HasPrefix(b, []byte(`{"pocketdock_log":`)) {
			last = r.at
		}
	}
}

// endLog appends a last line, on a line of its own, or nothing.
func endLog(f *os.File, e *Entry) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	b, size := []byte{'\n'}, fi.Size()
	if size > 0 {
		if _, err := f.ReadAt(b, size-1); err != nil {
			return err
		}
	}
	if b[0] == '\n' {
		b = nil
	} else {
		b = []byte{'\n'} // behind a torn line
	}
	if _, err := f.WriteAt(appendEnd(b, e), size); err != nil {
		return errors.Join(err, f.Truncate(size))
	}
	return nil
}

// processes records the processes that have ended and that the container kept.
func (c *collection) processes(ctx context.Context) error {
	if c.box == nil {
		return nil
	}
	list, err := c.box.Processes(ctx)
	switch {
	case errors.Is(err, pocketdock.ErrContainerGone) || errors.Is(err, pocketdock.ErrContainerNotFound):
		c.lost(nil, "the container was removed")
		return nil
	case errors.Is(err, pocketdock.ErrContainerNotRunning) || errors.Is(err, pocketdock.ErrUnsupported):
		return nil // its agent tells when it runs again
	case err != nil:
		return err
	}
	seen := map[string]bool{}
	for _, p := range list {
		seen[p.ID] = true
		_, ours := c.started[p.ID]
		kept := c.logging.AutoLog && c.box.ProjectDir() != ""
		if p.Running || c.ended[p.ID] || !p.Detached && !ours && !kept {
			continue
		}
		if err := c.process(ctx, &p); err != nil {
			return err
		}
	}
	c.lost(seen, "the container has no record of it any more")
	return nil
}

// lost ends the processes that nobody knows about any more.
func (c *collection) lost(seen map[string]bool, why string) {
	for id, e := range c.started {
		if seen[id] || c.ended[id] {
			continue
		}
		e.Type, e.Event, e.Error, e.Log = KindDetach, EventLost, why, ""
		c.note(&e)
	}
}

// process records one process with what its log in the container still has.
func (c *collection) process(ctx context.Context, p *pocketdock.ProcessInfo) error {
	e := Entry{Time: p.Started, Type: KindDetach, ID: p.ID}
	if _, ours := c.started[p.ID]; !ours && !p.Detached {
		e.Type = KindRun
	}
	if s, ok := c.started[p.ID]; ok {
		e.Cmd, e.CmdCut = s.Cmd, s.CmdCut
	} else {
		e.Cmd, e.CmdCut = cutText(commandText(pocketdock.Argv(p.Args...)), maxCmd)
	}
	s, err := c.box.Process(p.ID).Follow(ctx, pocketdock.Offset{})
	if errors.Is(err, pocketdock.ErrProcessNotFound) {
		return nil // it is lost the next time
	}
	if err != nil {
		return err
	}
	defer s.Close()
	r := c.inst.recordAt(e, c.logging)
	copyChunks(r, s)
	res, err := s.Result()
	if err != nil && !errors.Is(err, pocketdock.ErrOutputLost) {
		r.abandon() // the next one asks again
		return err
	}
	r.Finish(res, err)
	c.added++
	return nil
}

// copyChunks records what a stream still has.
func copyChunks(r *Recorder, s *pocketdock.Stream) {
	for chunk := range s.Chunks() {
		r.Lost(chunk.Stream, chunk.Lost)
		r.Output(chunk.Stream, chunk.Data)
	}
}
