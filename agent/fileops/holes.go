//go:build linux

package fileops

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// block is the least run of zeros, in bytes and aligned to itself, that is
// left out of a file: the page and block size nearly everywhere.
const block = 4096

var zeros [block]byte

// A holeWriter writes a new file from its start and leaves a hole wherever a
// whole block is zero, so that sparse files stay sparse and a gigabyte of
// zeros costs no disk.
type holeWriter struct {
	fd   int
	off  int64
	tail bool // the file ends in a hole
}

func (h *holeWriter) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		rest := p[done:]
		hole := zeroRun(rest, h.off)
		n := hole
		if hole == 0 {
			n = dataRun(rest, h.off)
			if err := pwriteAll(h.fd, rest[:n], h.off); err != nil {
				return done, err
			}
		}
		h.tail = hole > 0
		h.off += int64(n)
		done += n
	}
	return len(p), nil
}

// finish gives the file its full size.
func (h *holeWriter) finish() error {
	if !h.tail {
		return nil
	}
	return retry(func() error { return unix.Ftruncate(h.fd, h.off) })
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

func pwriteAll(fd int, p []byte, off int64) error {
	for len(p) > 0 {
		var n int
		err := retry(func() (err error) {
			n, err = unix.Pwrite(fd, p, off)
			return err
		})
		if err != nil {
			return err
		}
		if n == 0 {
			return unix.EIO
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}
