package pocketdock

import (
	"io"
	"io/fs"
)

// fsFile is an open regular file. Reading on is one stream; after a Seek the
// next Read opens another.
type fsFile struct {
	f          *containerFS
	name, path string
	info       fsInfo
	off        int64         // of the next Read
	r          io.ReadCloser // at off; nil: to be opened
	closed     bool
}

func (f *fsFile) Stat() (fs.FileInfo, error) {
	if f.closed {
		return nil, f.error("stat", fs.ErrClosed)
	}
	return f.info, nil
}

func (f *fsFile) error(op string, err error) error { return fsError(op, f.name, err) }

func (f *fsFile) Read(p []byte) (int, error) {
	if f.closed {
		return 0, f.error("read", fs.ErrClosed)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if f.r == nil {
		_, r, err := f.f.c.OpenFile(f.f.ctx, f.path, ReadOptions{Offset: f.off})
		if err != nil {
			return 0, f.error("read", err)
		}
		f.r = r
	}
	n, err := f.r.Read(p)
	f.off += int64(n)
	if err != nil && err != io.EOF {
		err = f.error("read", err)
	}
	return n, err
}

func (f *fsFile) Seek(offset int64, whence int) (int64, error) {
	switch {
	case f.closed:
		return 0, f.error("seek", fs.ErrClosed)
	case whence == io.SeekCurrent:
		offset += f.off
	case whence == io.SeekEnd:
		offset += f.info.Size()
	case whence != io.SeekStart:
		return 0, f.error("seek", fs.ErrInvalid)
	}
	if offset < 0 {
		return 0, f.error("seek", fs.ErrInvalid)
	}
	if offset != f.off {
		f.drop()
		f.off = offset
	}
	return offset, nil
}

func (f *fsFile) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case f.closed:
		return 0, f.error("read", fs.ErrClosed)
	case off < 0:
		return 0, f.error("read", fs.ErrInvalid)
	case len(p) == 0:
		return 0, nil
	}
	_, r, err := f.f.c.OpenFile(f.f.ctx, f.path, ReadOptions{Offset: off, Length: int64(len(p))})
	if err != nil {
		return 0, f.error("read", err)
	}
	defer r.Close()
	n, err := io.ReadFull(r, p)
	if err == io.ErrUnexpectedEOF {
		return n, io.EOF
	}
	if err != nil && err != io.EOF {
		err = f.error("read", err)
	}
	return n, err
}

// drop gives up the stream.
func (f *fsFile) drop() {
	if f.r != nil {
		f.r.Close()
		f.r = nil
	}
}

func (f *fsFile) Close() error {
	if f.closed {
		return f.error("close", fs.ErrClosed)
	}
	f.closed = true
	f.drop()
	return nil
}
