// Package frames reads the stream in which a container engine multiplexes
// standard output and standard error of a process without a terminal.
//
// A frame is one byte for the stream (0 and 1 standard output, 2 standard
// error), three zero bytes, the payload's length as a big-endian uint32, and
// the payload. Source: "Stream format" of POST /containers/{id}/attach in the
// Docker Engine API v1.41; Podman's compatible API sends the same.
package frames

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The streams a frame may name.
const (
	Stdin  = 0 // engines write it for output, too: read as Stdout
	Stdout = 1
	Stderr = 2
)

// headerSize is the size of a frame's header in bytes.
const headerSize = 8

// ErrTruncated reports a stream that ended inside a frame: bytes are missing.
var ErrTruncated = errors.New("engine stream ends inside a frame: output is incomplete")

// A Reader splits a multiplexed stream. It reads ahead into one fixed buffer,
// and nothing it allocates depends on the length a header announces.
type Reader struct {
	r      io.Reader
	buf    []byte
	have   []byte // the part of buf that is filled and not yet consumed
	stream int
	left   uint32 // payload bytes of the current frame still to come
}

// bufferSize is large enough that bulk output costs few system calls, small
// enough that fifty concurrent streams stay below 15 MB.
const bufferSize = 256 << 10

// NewReader reads frames from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: r, buf: make([]byte, bufferSize)}
}

// Next returns the next piece of output and its stream. The bytes are valid
// until the next call. A frame larger than the buffer comes in several
// pieces, so that output is delivered as it arrives whatever size was
// announced. The end of the stream between frames is io.EOF, inside a frame
// ErrTruncated.
func (r *Reader) Next() (stream int, p []byte, err error) {
	for r.left == 0 {
		if err := r.header(); err != nil {
			return 0, nil, err
		}
	}
	if len(r.have) == 0 {
		if err := r.fill(1); err != nil {
			return 0, nil, truncated(err)
		}
	}
	n := min(uint32(len(r.have)), r.left)
	p, r.have = r.have[:n], r.have[n:]
	r.left -= n
	return r.stream, p, nil
}

func (r *Reader) header() error {
	if len(r.have) < headerSize {
		started := len(r.have) > 0
		if err := r.fill(headerSize); err != nil {
			if started || len(r.have) > 0 {
				return truncated(err)
			}
			return err
		}
	}
	h := r.have[:headerSize]
	if h[0] > Stderr || h[1]|h[2]|h[3] != 0 {
		return fmt.Errorf("engine stream: bad frame header % x", h)
	}
	r.stream = Stdout
	if h[0] == Stderr {
		r.stream = Stderr
	}
	r.left = binary.BigEndian.Uint32(h[4:])
	r.have = r.have[headerSize:]
	return nil
}

// fill makes at least n bytes (a header at most) available in have.
func (r *Reader) fill(n int) error {
	copied := copy(r.buf, r.have)
	r.have = r.buf[:copied]
	m, err := io.ReadAtLeast(r.r, r.buf[copied:], n-copied)
	r.have = r.buf[:copied+m]
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return err
}

func truncated(err error) error {
	if err == io.EOF {
		return ErrTruncated
	}
	return err
}
