//go:build linux

package fileops

import (
	"io"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// incoming is the content that a client sends: the payload of its KindData
// frames up to KindEnd, as one stream.
type incoming struct {
	r   *wire.Reader
	err error // what ended it: io.EOF after KindEnd
}

// Read reads what comes next, across no frame's end.
func (in *incoming) Read(p []byte) (int, error) {
	for in.err == nil && in.r.Left() == 0 {
		in.err = in.next()
	}
	if in.err != nil {
		return 0, in.err
	}
	n, err := in.r.Read(p)
	if err != nil {
		in.err = lost(err)
	}
	return n, in.err
}

// next reads a header.
func (in *incoming) next() error {
	kind, _, err := in.r.Header()
	switch {
	case err == io.EOF:
		return lost(io.ErrUnexpectedEOF)
	case err != nil:
		return lost(err)
	case kind == wire.KindEnd:
		return io.EOF
	case kind != wire.KindData:
		return invalid("", "a frame %q came where content was expected", byte(kind))
	}
	return nil
}

// fill reads until p is full or r ends, which is io.EOF and may come with the
// last bytes.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// endOf is nil for the regular end of content.
func endOf(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}
