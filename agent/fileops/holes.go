//go:build linux

package fileops

import (
	"errors"
	"io"

	"github.com/pocketdock/pocketdock/internal/holes"
	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// newFile is an empty file, open for writing, seen as [holes.File].
type newFile int

// WriteAt writes as [io.WriterAt] says.
func (f newFile) WriteAt(p []byte, off int64) (int, error) {
	return len(p), pwriteAll(int(f), p, off)
}

// Truncate sets the size.
func (f newFile) Truncate(size int64) error {
	return retry(func() error { return unix.Ftruncate(int(f), size) })
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

// findHoles returns where a file has data, or false if that is everywhere.
func findHoles(fd int, st *unix.Stat_t) ([]holes.Run, bool) {
	const sector = 512 // of st_blocks
	if st.Blocks*sector >= st.Size {
		return nil, false
	}
	return holes.Find(func(off int64, whence int) (int64, error) { return unix.Seek(fd, off, whence) }, st.Size)
}

// sparse sends a file as package holes has it.
func (out *outgoing) sparse(fd int, size int64, runs []holes.Run) error {
	var head [16]byte
	if _, err := out.Write(holes.AppendSize(head[:0], size)); err != nil {
		return err
	}
	for _, run := range runs {
		if _, err := out.Write(holes.AppendRun(head[:0], run)); err != nil {
			return err
		}
		if err := out.span(fd, run.Off, run.Off+run.Len); err != nil {
			return err
		}
	}
	return nil
}

// receiveSparse writes a file that comes from r without its holes; in is
// where that comes from in the end.
func receiveSparse(w *holes.Writer, r io.Reader, in *incoming, buf []byte) error {
	err := holes.Copy(w, r, buf, nil)
	if err == nil {
		return nil
	}
	if in.err != nil && in.err != io.EOF {
		return in.err // the connection's
	}
	if _, ok := errors.AsType[unix.Errno](err); ok {
		return err // the disk's
	}
	return &wire.Error{Code: wire.CodeInvalid, Message: err.Error()}
}
