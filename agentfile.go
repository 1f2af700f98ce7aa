package pocketdock

import (
	"context"
	"fmt"
	"io"

	"github.com/pocketdock/pocketdock/internal/wire"
)

func (a *agentExec) file(ctx context.Context, op string, f *wire.File) (*wire.Stat, error) {
	r, err := a.call(ctx, &wire.Request{Op: op, File: f})
	if err != nil {
		return nil, a.c.wireError(op, string(f.Path), err)
	}
	return a.stat(op, f, r)
}

// stat is the stat of an answer that should have one.
func (a *agentExec) stat(op string, f *wire.File, r *wire.Reply) (*wire.Stat, error) {
	if r.Stat == nil {
		switch op {
		case wire.OpRemove, wire.OpMove, wire.OpTarIn, wire.OpReadDir:
			return &wire.Stat{}, nil
		}
		return nil, fmt.Errorf("container %s: the agent answers %s %s without a description of the file", a.c.name, op, f.Path)
	}
	return r.Stat, nil
}

func (a *agentExec) entries(ctx context.Context, op string, f *wire.File, each func(*wire.Entry) error) error {
	c, err := a.request(ctx, &wire.Request{Op: op, File: f})
	if err != nil {
		return a.c.wireError(op, string(f.Path), err)
	}
	defer c.close()
	if op == wire.OpWatch {
		// A watch is answered when it is in place and ends when we go.
		if _, err := c.reply(nil); err != nil {
			return a.c.wireError(op, string(f.Path), err)
		}
		if err := each(&wire.Entry{}); err != nil {
			return err
		}
	}
	if op == wire.OpReadDir {
		c.room = maxListBytes
	}
	_, err = c.reply(each)
	return a.c.wireError(op, string(f.Path), err)
}

func (a *agentExec) open(ctx context.Context, op string, f *wire.File) (*wire.Stat, io.ReadCloser, error) {
	c, err := a.request(ctx, &wire.Request{Op: op, File: f})
	if err != nil {
		return nil, nil, a.c.wireError(op, string(f.Path), err)
	}
	r := &dataReader{c: c, op: op, path: string(f.Path)}
	if op != wire.OpRead {
		return nil, r, nil
	}
	reply, err := c.reply(nil)
	if err != nil {
		c.close()
		return nil, nil, a.c.wireError(op, string(f.Path), err)
	}
	st, err := a.stat(op, f, reply)
	if err != nil {
		c.close()
		return nil, nil, err
	}
	r.sparse = reply.Sparse
	return st, r, nil
}

// dataReader reads data frames up to their end; a tar stream's end is
// followed by the agent's word that it was whole.
type dataReader struct {
	c        *agentConn
	op, path string
	sparse   bool // as package holes has it
	err      error
}

func (r *dataReader) Read(p []byte) (int, error) {
	if r.err != nil || len(p) == 0 {
		return 0, r.err
	}
	var n int
	err := r.c.ctx.Err()
	if err == nil {
		n, err = r.read(p)
	} else {
		err = context.Cause(r.c.ctx) // and not what came before that
	}
	if err != nil {
		if err != io.EOF {
			err = r.c.a.c.wireError(r.op, r.path, err)
		}
		r.err = err
	}
	return n, err
}

func (r *dataReader) read(p []byte) (int, error) {
	for r.c.r.Left() == 0 {
		k, _, err := r.c.r.Header()
		if err != nil {
			return 0, r.c.broken(unexpectedEOF(err))
		}
		switch k {
		case wire.KindData:
		case wire.KindEnd:
			if r.op == wire.OpTarOut {
				if _, err := r.c.reply(nil); err != nil {
					return 0, err
				}
			}
			return 0, io.EOF
		case wire.KindFailure:
			return 0, r.c.broken(r.c.failure())
		default:
			return 0, r.c.broken(r.c.unexpected(k))
		}
	}
	n, err := r.c.r.Read(p)
	if n == 0 && err != nil {
		return 0, r.c.broken(unexpectedEOF(err))
	}
	return n, nil
}

func (r *dataReader) Close() error {
	if r.err == nil {
		r.err = io.ErrClosedPipe
	}
	return r.c.close()
}

func (a *agentExec) create(ctx context.Context, op string, f *wire.File, src io.Reader) (*wire.Stat, error) {
	c, err := a.request(ctx, &wire.Request{Op: op, File: f})
	if err != nil {
		return nil, a.c.wireError(op, string(f.Path), err)
	}
	defer c.close()
	r, err := c.exchange(src)
	if failed := c.source.Load(); failed != nil {
		return nil, &FileError{Op: op, Path: string(f.Path), Container: a.c.name, Err: *failed}
	}
	if err != nil {
		return nil, a.c.wireError(op, string(f.Path), err)
	}
	return a.stat(op, f, r)
}
