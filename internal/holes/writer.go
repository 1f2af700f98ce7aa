package holes

import (
	"bytes"
	"io"
)

// block is the least run of zeros, in bytes and aligned to itself, that is
// left out of a file: the page and block size nearly everywhere.
const block = 4096

var zeros [block]byte

// A File is written by a [Writer].
type File interface {
	io.WriterAt
	Truncate(size int64) error
}

// A Writer writes a new file from its start and leaves a hole wherever a
// whole block is zero, so that sparse files stay sparse and a gigabyte of
// zeros costs no disk.
type Writer struct {
	File File

	off  int64
	tail bool // the file ends in a hole
}

func (w *Writer) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		rest := p[done:]
		hole := zeroRun(rest, w.off)
		n := hole
		if hole == 0 {
			n = dataRun(rest, w.off)
			if _, err := w.File.WriteAt(rest[:n], w.off); err != nil {
				return done, err
			}
		}
		w.tail = hole > 0
		w.off += int64(n)
		done += n
	}
	return len(p), nil
}

// Skip leaves a hole from here to an offset that is not before.
func (w *Writer) Skip(to int64) {
	if to > w.off {
		w.off, w.tail = to, true
	}
}

// Offset is where the next Write writes.
func (w *Writer) Offset() int64 { return w.off }

// Finish gives the file its full size.
func (w *Writer) Finish() error {
	if !w.tail {
		return nil
	}
	return w.File.Truncate(w.off)
}

// zeroRun is the length of the whole zero blocks that p, to be written at
// off, starts with.
func zeroRun(p []byte, off int64) int {
	if off%block != 0 {
		return 0
	}
	n := 0
	for len(p)-n >= block && bytes.Equal(p[n:n+block], zeros[:]) {
		n += block
	}
	return n
}

// dataRun is how much of p comes before the first whole zero block. It is at
// least one byte of a p that has one and no zeroRun.
func dataRun(p []byte, off int64) int {
	n := int((block - off%block) % block)
	if n == 0 {
		n = block // the first is known not to be zero
	}
	for n < len(p) {
		if len(p)-n >= block && bytes.Equal(p[n:n+block], zeros[:]) {
			return n
		}
		n += block
	}
	return len(p)
}
