package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/project"
)

// errDetached is the cause with which a stream ends when its reader leaves.
var errDetached = errors.New("detached")

// A console says how a terminal's stream is shown.
type console struct {
	input  bool              // standard input goes to the command
	deaf   bool              // which does not read it: keys can only leave it
	keys   detachKeys        // that leave it; nil: none do
	modes  modes             // of the terminal, as what ran before has set them
	redraw bool              // ask for a redraw, for a program that was there before
	record *project.Recorder // nil: it is not recorded, or by the stream
}

// A commandStream is a running command, recorded or not.
type commandStream interface {
	io.Writer
	Chunks() iter.Seq[pocketdock.Chunk]
	Result() (*pocketdock.Result, error)
	Resize(pocketdock.TerminalSize) error
	CloseInput() error
}

// interact joins this terminal and a command's: keys, output and size, until
// the command ends or its reader leaves. Whatever ends us, the terminal is
// left as it was found.
func (a *app) interact(ctx context.Context, cancel context.CancelCauseFunc, s commandStream, c console) (*pocketdock.Result, error) {
	tty := &rawTerminal{}
	if f, ok := a.stdin.(*os.File); ok && c.input && term.IsTerminal(int(f.Fd())) {
		tty.fd = int(f.Fd())
		if err := tty.raw(); err != nil {
			return nil, fmt.Errorf("setting up the terminal: %w", err)
		}
	}
	defer tty.rescue()
	defer func() {
		if a.out.moves {
			io.WriteString(a.out, c.modes.undo())
		}
		tty.restore()
	}()
	done := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(done)
	defer cancel(nil) // a write to a command that does not read ends with it
	wg.Go(func() {
		defer tty.rescue()
		a.followSize(s, tty, c.redraw, done)
	})
	if c.input {
		in := a.readInput(tty)
		wg.Go(func() {
			defer tty.rescue()
			to := s
			if c.deaf {
				to = unheard{s}
			}
			if forward(to, in, c.keys, done) {
				cancel(errDetached)
			}
		})
	}
	for chunk := range s.Chunks() {
		c.modes.observe(chunk.Data)
		if c.record != nil {
			c.record.Lost(chunk.Stream, chunk.Lost)
			c.record.Output(chunk.Stream, chunk.Data)
		}
		if _, err := a.out.Write(chunk.Data); err != nil {
			return nil, err
		}
	}
	res, err := s.Result()
	if err != nil && context.Cause(ctx) == errDetached {
		return nil, errDetached
	}
	return res, err
}

// readInput reads standard input in a goroutine that nobody waits for: a read
// of a terminal cannot be interrupted.
func (a *app) readInput(tty *rawTerminal) <-chan []byte {
	in := make(chan []byte)
	go func() {
		defer tty.rescue()
		defer close(in)
		for {
			buf := make([]byte, 32<<10)
			n, err := a.stdin.Read(buf)
			if n > 0 {
				in <- buf[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	return in
}

// holdTime is how long the first of the detach keys is held back: Ctrl-P alone
// has a meaning of its own in most shells. prefixTime is how long the second
// may come after it: people were seen to take 1.5 s.
const (
	holdTime   = 400 * time.Millisecond
	prefixTime = 3 * time.Second
)

// unheard is a command that was started without input.
type unheard struct{ commandStream }

func (unheard) Write(p []byte) (int, error) {
	if bytes.IndexByte(p, 'C'&0x1f) >= 0 {
		return 0, errDetached
	}
	return len(p), nil
}

func (unheard) CloseInput() error { return nil }

// forward gives input to the command until done, and reports whether the
// detach keys were pressed.
func forward(s commandStream, in <-chan []byte, keys detachKeys, done <-chan struct{}) bool {
	scan := keyScanner{keys: keys}
	var late, over <-chan time.Time
	for {
		var data []byte
		var detach bool
		select {
		case <-done:
			return false
		case <-late:
			data, late = scan.release(), nil
		case <-over:
			scan.forget()
			over = nil
		case p, ok := <-in:
			if !ok {
				s.Write(scan.release())
				s.CloseInput()
				return false
			}
			data, detach = scan.next(p)
			late, over = nil, nil
			if scan.holds() {
				late, over = time.After(holdTime), time.After(prefixTime)
			}
		}
		if len(data) > 0 {
			if _, err := s.Write(data); err != nil {
				return errors.Is(err, errDetached) // else the command has ended, which the output tells
			}
		}
		if detach {
			return true
		}
	}
}

// terminalSize is that of our terminal, or the one that terminals had once.
func (a *app) terminalSize() pocketdock.TerminalSize {
	for _, v := range []any{a.out.w, a.stdin, a.err.w} {
		if f, ok := v.(*os.File); ok {
			if cols, rows, err := term.GetSize(int(f.Fd())); err == nil && rows > 0 && cols > 0 {
				return pocketdock.TerminalSize{Rows: rows, Cols: cols}
			}
		}
	}
	return pocketdock.TerminalSize{Rows: 24, Cols: 80}
}

// nudgeTime is between two sizes that make a program redraw: one that is asked
// for its size in between has to see the first.
const nudgeTime = 50 * time.Millisecond

// nudge makes a program redraw: only a size that changes is told to it.
func (a *app) nudge(s commandStream, done <-chan struct{}) {
	size := a.terminalSize()
	other := size
	other.Rows = max(1, size.Rows-1)
	s.Resize(other)
	select {
	case <-done:
	case <-time.After(nudgeTime):
	}
	s.Resize(size)
}

// terminalEnv tells a command what terminal it has, unless env says so.
func terminalEnv(env map[string]string) map[string]string {
	if env == nil {
		env = map[string]string{}
	}
	for name, other := range map[string]string{"TERM": "xterm", "COLORTERM": ""} {
		v := os.Getenv(name)
		if v == "" || v == "dumb" {
			v = other
		}
		if _, set := env[name]; !set && v != "" {
			env[name] = v
		}
	}
	return env
}
