package project

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/headtail"
)

// Recorded is a container whose commands are recorded. Everything else is the
// container's.
type Recorded struct {
	*pocketdock.Container
	inst    *Instance
	logging Logging
}

// Recorded wraps a container so that its commands are recorded in this
// instance. With a nil instance, or where l.AutoLog is false, nothing is.
func (i *Instance) Recorded(box *pocketdock.Container, l Logging) *Recorded {
	if !l.AutoLog {
		i = nil
	}
	return &Recorded{box, i, l}
}

// defaultMaxOutput is what a Run keeps of each stream, in bytes, as
// [pocketdock.Command] has it.
const defaultMaxOutput = 10 << 20

// Run is [pocketdock.Container.Run], recorded. The record is on its way to
// the disk when it returns.
func (c *Recorded) Run(ctx context.Context, cmd pocketdock.Command) (*pocketdock.Result, error) {
	cmd = notKept(cmd)
	if c.inst == nil {
		return c.Container.Run(ctx, cmd)
	}
	rec := c.inst.Record(KindRun, cmd, c.logging)
	out, errs := newTee(rec, pocketdock.Stdout, cmd.Stdout, cmd.MaxOutput), newTee(rec, pocketdock.Stderr, cmd.Stderr, cmd.MaxOutput)
	cmd.Stdout, cmd.Stderr = out, errs
	res, err := c.Container.Run(ctx, cmd)
	if res != nil {
		rec.Lost(pocketdock.Stdout, res.StdoutDropped)
		rec.Lost(pocketdock.Stderr, res.StderrDropped)
		var n int64
		res.Stdout, n = out.kept()
		res.StdoutDropped += n
		res.Stderr, n = errs.kept()
		res.StderrDropped += n
	}
	rec.Finish(res, err)
	return res, err
}

// notKept has the container keep nothing of a command, unless it is to: it is
// recorded here, or not at all.
func notKept(cmd pocketdock.Command) pocketdock.Command {
	cmd.LogLimit = cmp.Or(cmd.LogLimit, -1)
	return cmd
}

// A tee records output and passes it on, to the caller's writer or to what
// the result keeps.
type tee struct {
	rec    *Recorder
	stream pocketdock.OutputStream
	to     io.Writer
	some   *headtail.Buffer
	all    *bytes.Buffer
}

func newTee(rec *Recorder, stream pocketdock.OutputStream, to io.Writer, keep int64) *tee {
	t := &tee{rec: rec, stream: stream, to: to}
	switch {
	case to != nil:
	case keep < 0:
		t.all = &bytes.Buffer{}
		t.to = t.all
	case keep == 0:
		t.some = headtail.New(defaultMaxOutput)
		t.to = t.some
	default:
		t.some = headtail.New(keep)
		t.to = t.some
	}
	return t
}

func (t *tee) Write(p []byte) (int, error) {
	t.rec.Output(t.stream, p)
	return t.to.Write(p)
}

func (t *tee) kept() ([]byte, int64) {
	switch {
	case t.some != nil:
		return t.some.Bytes(), t.some.Dropped()
	case t.all != nil:
		return t.all.Bytes(), 0
	}
	return nil, 0
}

// Stream is [pocketdock.Container.Stream], recorded. The record is complete
// when Result or Close has returned.
func (c *Recorded) Stream(ctx context.Context, cmd pocketdock.Command) (*RecordedStream, error) {
	var rec *Recorder
	if c.inst != nil {
		rec = c.inst.Record(KindRun, cmd, c.logging)
	}
	s, err := c.Container.Stream(ctx, notKept(cmd))
	if err != nil {
		if rec != nil {
			rec.Finish(nil, err)
		}
		return nil, err
	}
	return &RecordedStream{Stream: s, rec: rec}, nil
}

// A RecordedStream is a [pocketdock.Stream] whose output is recorded as it is
// read.
type RecordedStream struct {
	*pocketdock.Stream
	rec  *Recorder // nil: not recorded
	once sync.Once
}

// Chunks is [pocketdock.Stream.Chunks].
func (s *RecordedStream) Chunks() iter.Seq[pocketdock.Chunk] {
	if s.rec == nil {
		return s.Stream.Chunks()
	}
	return func(yield func(pocketdock.Chunk) bool) {
		for chunk := range s.Stream.Chunks() {
			s.rec.Lost(chunk.Stream, chunk.Lost)
			s.rec.Output(chunk.Stream, chunk.Data)
			if !yield(chunk) {
				return
			}
		}
	}
}

// Result is [pocketdock.Stream.Result]. Output that was not read is recorded.
func (s *RecordedStream) Result() (*pocketdock.Result, error) {
	if s.rec != nil {
		for range s.Chunks() {
		}
	}
	res, err := s.Stream.Result()
	s.finish(res, err)
	return res, err
}

// Close is [pocketdock.Stream.Close].
func (s *RecordedStream) Close() error {
	err := s.Stream.Close()
	if s.rec != nil {
		s.finish(s.Stream.Result()) // that it was given up, unless it had ended
	}
	return err
}

func (s *RecordedStream) finish(res *pocketdock.Result, err error) {
	if s.rec != nil {
		s.once.Do(func() { s.rec.Finish(res, err) })
	}
}

// Start is [pocketdock.Container.Start]. That it was started is recorded at
// once; its output and its end are by whoever calls [Instance.Collect] after
// that.
func (c *Recorded) Start(ctx context.Context, cmd pocketdock.Command) (*pocketdock.Process, error) {
	begun := time.Now()
	p, err := c.Container.Start(ctx, cmd)
	if c.inst == nil {
		return p, err
	}
	e := &Entry{Time: begun, Type: KindDetach, Event: EventStart}
	e.Cmd, e.CmdCut = cutText(commandText(cmd), maxCmd)
	if err != nil {
		e.result(nil, err)
	} else {
		e.ID = p.ID()
	}
	c.inst.note(e, c.logging.MaxLogSize)
	return p, err
}
