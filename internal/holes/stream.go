package holes

import (
	"encoding/binary"
	"fmt"
	"io"
)

// NewReader returns the stream of a file. A file that became shorter is
// io.ErrUnexpectedEOF.
func NewReader(file io.ReaderAt, size int64, runs []Run) io.Reader {
	return &reader{file: file, runs: runs, head: AppendSize(nil, size)}
}

type reader struct {
	file io.ReaderAt
	runs []Run
	head []byte
	now  Run // what is left of the present one
}

func (r *reader) Read(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case len(r.head) > 0:
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	case r.now.Len > 0:
		n, err := r.file.ReadAt(p[:min(int64(len(p)), r.now.Len)], r.now.Off)
		r.now.Off += int64(n)
		r.now.Len -= int64(n)
		switch {
		case n > 0:
			return n, nil
		case err == io.EOF:
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	case len(r.runs) == 0:
		return 0, io.EOF
	}
	r.now = r.runs[0]
	r.runs = r.runs[1:]
	r.head = AppendRun(r.head[:0], r.now)
	return r.Read(p)
}

// Copy writes the file that a stream describes. buf is what it copies with.
// The stream is not believed: one that makes no sense is an [*Error], one that
// ends too early io.ErrUnexpectedEOF; errors of r are returned as they are.
// moved, if not nil, is told how far the file is, holes included.
func Copy(w *Writer, r io.Reader, buf []byte, moved func(n int64)) error {
	size, err := readNumber(r)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if size < 0 || size > MaxSize {
		return &Error{fmt.Sprintf("a file of %d bytes", uint64(size))}
	}
	for {
		run, err := readRun(r)
		if err == io.EOF {
			w.Skip(size)
			if moved != nil {
				moved(size)
			}
			return w.Finish()
		}
		if err != nil {
			return err
		}
		if run.Off < w.off || run.Len <= 0 || run.Len > size-run.Off {
			return &Error{fmt.Sprintf("data at %d, %d bytes, after %d in a file of %d", run.Off, run.Len, w.off, size)}
		}
		w.Skip(run.Off)
		for left := run.Len; left > 0; {
			n, err := io.ReadFull(r, buf[:min(left, int64(len(buf)))])
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return err
			}
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			left -= int64(n)
			if moved != nil {
				moved(w.off)
			}
		}
	}
}

// An Error says that a stream of a sparse file makes no sense.
type Error struct{ what string }

func (e *Error) Error() string { return "the stream of a sparse file makes no sense: " + e.what }

// readRun reads the numbers of a run; io.EOF is the regular end.
func readRun(r io.Reader) (run Run, err error) {
	if run.Off, err = readNumber(r); err != nil {
		return run, err
	}
	run.Len, err = readNumber(r)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return run, err
}

func readNumber(r io.Reader) (int64, error) {
	var b [number]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(b[:])), nil
}
