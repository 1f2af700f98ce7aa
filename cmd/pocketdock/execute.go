package main

import (
	"context"
	"errors"

	"github.com/pocketdock/pocketdock"
)

// An execution is how a command that is waited for meets this program's
// streams. By default its output passes through as it comes.
type execution struct {
	stdin   bool   // standard input goes to it
	tty     bool   // it has a terminal
	chunks  bool   // with --json: its output as lines of JSON, as it comes
	collect bool   // its output at the end, as much as Command.MaxOutput keeps
	session bool   // it is recorded as a session
	limit   string // its time limit in words
}

// execute runs a command and ends as it did.
func (a *app) execute(ctx context.Context, box *recordedBox, cmd pocketdock.Command, e execution) error {
	switch {
	case e.tty:
		a.giveTerminal(&cmd)
		return a.runTerminal(ctx, box, cmd, e)
	case e.stdin:
		cmd.Stdin = a.stdin
	}
	if a.json && e.chunks {
		return a.runChunks(ctx, box, cmd, e)
	}
	collect := a.json || e.collect
	if !collect {
		cmd.Stdout, cmd.Stderr = a.out, a.err
	}
	run := box.Run
	if e.session && !collect {
		run = box.runSession
	}
	res, err := run(ctx, cmd)
	if err != nil {
		return err
	}
	if a.json {
		err = a.out.printJSON(resultOf(res))
	} else if collect {
		_, err = a.out.Write(res.Stdout)
		_, e := a.err.Write(res.Stderr)
		err = errors.Join(err, e)
	}
	if err != nil {
		return err
	}
	return a.ended(res, e.limit)
}

// giveTerminal gives a command a terminal like ours.
func (a *app) giveTerminal(cmd *pocketdock.Command) {
	size := a.terminalSize()
	cmd.Terminal, cmd.Env = &size, terminalEnv(cmd.Env)
}

// runTerminal runs a command in a terminal that ends with this program.
func (a *app) runTerminal(ctx context.Context, box *recordedBox, cmd pocketdock.Command, e execution) error {
	if e.stdin {
		cmd.Stdin = pocketdock.Interactive
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s, err := box.Stream(ctx, cmd)
	if err != nil {
		return err
	}
	defer s.Close()
	res, err := a.interact(ctx, cancel, s, console{input: e.stdin})
	if err != nil {
		return err
	}
	return a.ended(res, e.limit)
}

// runChunks prints output as JSON lines, as it comes.
func (a *app) runChunks(ctx context.Context, box *recordedBox, cmd pocketdock.Command, e execution) error {
	s, err := box.Stream(ctx, cmd)
	if err != nil {
		return err
	}
	defer s.Close()
	for c := range s.Chunks() {
		if err := a.out.printJSON(chunkOf(c)); err != nil {
			return err
		}
	}
	res, err := s.Result()
	if err != nil {
		return err
	}
	if err := a.out.printJSON(resultOf(res)); err != nil {
		return err
	}
	return a.ended(res, e.limit)
}
