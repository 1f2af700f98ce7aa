package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/project"
)

// A piece is some output of a command, or, with its bytes gone, none.
type piece struct {
	stream pocketdock.OutputStream
	data   []byte // valid until the next one
	lost   int64
}

type pieceJSON struct {
	Container string `json:"container"`
	ID        string `json:"id"`
	Log       string `json:"log"`
	Stream    string `json:"stream"`
	Encoding  string `json:"encoding"`
	Data      string `json:"data"`
	Lost      int64  `json:"lost"`
}

// printLog prints a command's output.
func (a *app) printLog(ctx context.Context, it *logItem, o *logFlags) error {
	return a.printItem(ctx, newLogPrinter(a, it), o)
}

func (a *app) printItem(ctx context.Context, p *logPrinter, o *logFlags) error {
	it := p.it
	err := p.all(ctx, o)
	if errors.Is(err, project.ErrNoLog) || errors.Is(err, pocketdock.ErrProcessNotFound) {
		a.logf("%s: %v", it.container, err) // rotated, or forgotten meanwhile
		err = nil
	}
	defer p.turn()()
	if err == nil && a.json {
		err = a.out.printJSON(it.json())
	}
	return errors.Join(err, p.end())
}

type logPrinter struct {
	a         *app
	it        *logItem
	out, errs *plainWriter  // nil: exact
	turn      func() func() // begins a turn of printing; what it returns ends it
}

func newLogPrinter(a *app, it *logItem) *logPrinter {
	p := &logPrinter{a: a, it: it, turn: func() func() { return func() {} }}
	if a.out.terminal && !a.json {
		p.out = &plainWriter{w: a.out, color: a.out.color}
	}
	if a.err.terminal && !a.json {
		p.errs = &plainWriter{w: a.err, color: a.err.color}
	}
	return p
}

func (p *logPrinter) all(ctx context.Context, o *logFlags) error {
	var skip int64 // bytes that the tail has had
	if o.tail >= 0 {
		t := tail{lines: o.tail}
		for pc, err := range p.it.pieces(ctx, false) {
			if err != nil {
				return err
			}
			skip += int64(len(pc.data))
			t.add(pc)
		}
		for _, pc := range t.list {
			if err := p.print(pc); err != nil {
				return err
			}
		}
		if !o.follow || !p.it.running {
			return nil
		}
	}
	for pc, err := range p.it.pieces(ctx, o.follow) {
		if err != nil {
			return err
		}
		n := min(skip, int64(len(pc.data)))
		skip -= n
		pc.data = pc.data[n:]
		if n > 0 && len(pc.data) == 0 {
			continue
		}
		if err := p.print(pc); err != nil {
			return err
		}
	}
	return nil
}

func (p *logPrinter) print(pc piece) error {
	defer p.turn()()
	if p.a.json {
		e := encodingOf(pc.data)
		return p.a.out.printJSON(pieceJSON{p.it.container, p.it.entry.ID, p.it.entry.Log, pc.stream.String(), e, encode(e, pc.data), pc.lost})
	}
	if pc.lost > 0 {
		p.a.notef("[%d bytes of %s are not kept]", pc.lost, pc.stream)
	}
	to, safe := p.a.out, p.out
	if pc.stream == pocketdock.Stderr {
		to, safe = p.a.err, p.errs
	}
	var err error
	if safe != nil {
		_, err = safe.Write(pc.data)
	} else {
		_, err = to.Write(pc.data)
	}
	return err
}

func (p *logPrinter) end() error {
	return errors.Join(p.out.end(), p.errs.end())
}

// pieces are a command's output, from its log or from the sandbox; at the end
// the item knows how the command ended.
func (it *logItem) pieces(ctx context.Context, follow bool) iter.Seq2[piece, error] {
	switch {
	case it.inst != nil && it.entry.Log != "" && (it.proc == nil || !it.running):
		return it.logged(ctx, follow)
	case it.proc == nil:
		return func(func(piece, error) bool) {}
	case it.running && !follow:
		return it.soFar(ctx)
	}
	return it.followed(ctx)
}

func (it *logItem) logged(ctx context.Context, follow bool) iter.Seq2[piece, error] {
	o := project.LogOptions{At: it.entry.At, Follow: follow && it.running}
	return func(yield func(piece, error) bool) {
		for rec, err := range it.inst.ReadLog(ctx, it.entry.Log, o) {
			if err == nil && rec.End != nil && it.running && rec.End.Event != project.EventStart {
				it.entry, it.running = *rec.End, false
			}
			if err == nil && len(rec.Data) == 0 && rec.Lost == 0 {
				continue
			}
			if !yield(piece{rec.Stream, rec.Data, rec.Lost}, err) || err != nil {
				return
			}
		}
	}
}

// soFar is what a process that runs has printed.
func (it *logItem) soFar(ctx context.Context) iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		b, err := it.proc.Output(ctx, pocketdock.Offset{})
		if b != nil {
			for _, pc := range []piece{{pocketdock.Stdout, b.Stdout, b.StdoutLost}, {pocketdock.Stderr, b.Stderr, b.StderrLost}} {
				if len(pc.data)+int(pc.lost) > 0 && !yield(pc, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(piece{}, err)
		}
	}
}

// followed is all that a process prints and has printed.
func (it *logItem) followed(ctx context.Context) iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		s, err := it.proc.Follow(ctx, pocketdock.Offset{})
		if err != nil {
			yield(piece{}, err)
			return
		}
		defer s.Close()
		for c := range s.Chunks() {
			if !yield(piece{c.Stream, c.Data, c.Lost}, nil) {
				return
			}
		}
		res, err := s.Result()
		if err != nil {
			if !errors.Is(err, pocketdock.ErrOutputLost) {
				yield(piece{}, fmt.Errorf("following process %s: %w", it.proc.ID(), err))
			}
			return
		}
		e := &it.entry
		it.running = false
		e.Exit, e.MS, e.Signal, e.TimedOut, e.OOM = &res.ExitCode, res.Duration.Milliseconds(), res.Signal, res.TimedOut, res.OOMKilled
	}
}

// maxTail bounds what a tail holds, in bytes: lines may have any length.
const maxTail = 64 << 20

// A tail keeps the last lines of output, both streams together.
type tail struct {
	lines int
	list  []piece
	ends  int // line ends in the list
	size  int
}

func (t *tail) add(pc piece) {
	pc.data = bytes.Clone(pc.data)
	t.list = append(t.list, pc)
	t.ends += bytes.Count(pc.data, []byte("\n"))
	t.size += len(pc.data)
	for len(t.list) > 0 {
		first := &t.list[0]
		most := t.lines
		if last := t.list[len(t.list)-1].data; len(last) > 0 && last[len(last)-1] != '\n' {
			most-- // it will be a line, too
		}
		switch i := bytes.IndexByte(first.data, '\n'); {
		case i >= 0 && t.ends > max(0, most):
			t.ends--
			t.size -= i + 1
			first.data = first.data[i+1:]
		case (i < 0 && t.ends > max(0, most)) || t.size > maxTail || t.lines == 0:
			t.ends -= bytes.Count(first.data, []byte("\n"))
			t.size -= len(first.data)
			first.data = nil
		default:
			return
		}
		if len(first.data) == 0 {
			t.list = t.list[1:]
		}
	}
}
