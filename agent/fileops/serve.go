//go:build linux

// Package fileops serves the agent's operations on files: each acts with the
// credentials of the sandbox's user, on one locked thread, and answers on the
// connection that asked.
//
// Nothing here uses the os package's files: every system call on a path must
// happen on the thread that carries the user's credentials, and none may wait
// for a peer that never comes.
package fileops

import (
	"errors"

	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// An operation is one request being served.
type operation struct {
	*wire.File
	id  Identity
	dir string // what relative paths are relative to
	// encoded: the content to write comes without its holes.
	encoded bool
	r       *wire.Reader
	w       *wire.Writer
}

var operations = map[string]func(*operation) error{
	wire.OpStat:        (*operation).stat,
	wire.OpReadDir:     (*operation).readDir,
	wire.OpMkdir:       (*operation).mkdir,
	wire.OpRemove:      (*operation).remove,
	wire.OpMove:        (*operation).move,
	wire.OpChmod:       (*operation).chmod,
	wire.OpChown:       (*operation).chown,
	wire.OpSymlink:     (*operation).symlink,
	wire.OpRead:        (*operation).read,
	wire.OpWrite:       (*operation).write,
	wire.OpWriteSparse: (*operation).writeSparse,
	wire.OpTarOut:      (*operation).tarOut,
	wire.OpTarIn:       (*operation).tarIn,
}

// Serve serves one operation, from [wire.OpStat] to [wire.OpWatch], acting as
// id. Relative paths are relative to dir. Replies and failures are written to
// w; an error means only that the connection cannot be used any more.
//
// After a failure nothing more is read from r: a client that is still sending
// finds its writes failing and the reason waiting to be read.
func Serve(op string, f *wire.File, dir string, id Identity, r *wire.Reader, w *wire.Writer) error {
	if dir == "" {
		dir = "/"
	}
	o := &operation{File: f, id: id, dir: dir, r: r, w: w}
	serve, ok := operations[op]
	var err error
	switch {
	case f == nil:
		err = invalid("", "%s: the request names no file", op)
	case op == wire.OpWatch:
		err = o.watch() // takes the identity only when it needs it
	case !ok:
		err = &wire.Error{Code: wire.CodeUnsupported, Message: "this agent has no file operation " + op}
	default:
		err = id.act(func() error { return serve(o) })
	}
	var lost *lostError
	if errors.As(err, &lost) {
		return lost.err
	}
	if err != nil {
		return w.JSON(wire.KindFailure, failure(op, "", err))
	}
	return nil
}

// reply ends the operation.
func (o *operation) reply(r wire.Reply) error {
	return lost(o.w.JSON(wire.KindReply, r))
}

// replyStat ends the operation with what is at the path now.
func (o *operation) replyStat(path string) error {
	st, err := lstat(path)
	if err != nil {
		return failure("stat", string(o.Path), err)
	}
	return o.replyStatOf(st)
}

func (o *operation) replyStatOf(st *unix.Stat_t) error {
	return o.reply(wire.Reply{Stat: describe(o.Path, st)})
}

// A lostError is that of a connection which is of no more use.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

func lost(err error) error {
	if err == nil {
		return nil
	}
	return &lostError{err}
}
