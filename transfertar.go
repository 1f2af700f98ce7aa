package pocketdock

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// PullTar writes a file or directory of the container to w as a tar archive,
// in constant memory. The names in it begin with the last part of path. An
// archive is whole if PullTar returns nil; else it has no end. What is in it is
// the sandbox's word: whoever unpacks it elsewhere must not follow names or
// links that lead out, as [Container.Pull] does not.
//
// Of the options User and Progress count; bytes are the archive's.
func (c *Container) PullTar(ctx context.Context, path string, w io.Writer, opts TransferOptions) error {
	if err := opts.plain(); err != nil {
		return err
	}
	x, err := c.enter(ctx)
	if err != nil {
		return err
	}
	_, r, err := x.open(ctx, wire.OpTarOut, &wire.File{Path: wire.Path(path), User: opts.User})
	if err != nil {
		return err
	}
	defer r.Close()
	m := &meter{to: opts.Progress, now: Progress{Path: path}}
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, m.reader(struct{ io.Reader }{r}), make([]byte, bulkBuffer))
	return err
}

// PushTar unpacks a tar archive that is read from r into a directory of the
// container, in constant memory; it is made if it is not there, and then shows
// when all is in it. What would lead out of it is refused. The container's
// user owns what is made; root gives files to whom the archive says.
//
// Of the options User and Progress count; bytes are the archive's.
func (c *Container) PushTar(ctx context.Context, r io.Reader, path string, opts TransferOptions) error {
	if err := opts.plain(); err != nil {
		return err
	}
	if err := checkPath(path); err != nil {
		return err
	}
	x, err := c.enter(ctx)
	if err != nil {
		return err
	}
	m := &meter{to: opts.Progress, now: Progress{Path: path}}
	_, err = x.create(ctx, wire.OpTarIn, &wire.File{Path: wire.Path(path), User: opts.User, Parents: true}, m.reader(&archiveReader{r: r}))
	return err
}

// An archiveReader reads a tar archive up to its end, which is two blocks of
// zeros at least. One that was cut short between two files would else read as
// whole, and one that was never begun as empty.
type archiveReader struct {
	r     io.Reader
	zeros int // at the end of what was read, up to archiveEnd
}

// archiveEnd is the least that an archive ends with, in bytes.
const archiveEnd = 1024

func (a *archiveReader) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	tail := p[max(0, n-archiveEnd):n]
	if rest := len(bytes.TrimRight(tail, "\x00")); rest > 0 {
		a.zeros = len(tail) - rest
	} else {
		a.zeros = min(archiveEnd, a.zeros+len(tail))
	}
	if err == io.EOF && a.zeros < archiveEnd {
		err = errNoEnd
	}
	return n, err
}

var errNoEnd = errors.New("the tar archive has no end: it was cut short, or is none")

// plain refuses options of Push.
func (o *TransferOptions) plain() error {
	if len(o.Exclude) > 0 || o.GitIgnore {
		return invalidf("Exclude and GitIgnore are options of Push")
	}
	return nil
}
