//go:build linux

package fileops

import (
	"errors"
	"io"
	"sync"

	"github.com/pocketdock/pocketdock/internal/holes"
	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// Sizes of a transfer, in bytes.
const (
	// bufferSize is what is read or written at once. Larger ones were no
	// faster and stay resident.
	bufferSize = 256 << 10
	// smallRead goes out together with the reply in one system call.
	smallRead = 16 << 10
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// content is an open file seen as [wire.Content].
type content int

// Fd lets the kernel send from the file.
func (c content) Fd() uintptr { return uintptr(c) }

// ReadAt reads as [io.ReaderAt] says.
func (c content) ReadAt(p []byte, off int64) (int, error) {
	for done := 0; done < len(p); {
		n, err := unix.Pread(int(c), p[done:], off+int64(done))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return done, err
		case n == 0:
			return done, io.EOF
		default:
			done += n
		}
	}
	return len(p), nil
}

// read sends a range of a file.
//
// Of a regular file, what lies between Offset and its end at the time it is
// opened: one that grows does not keep us here. Files that say they are empty
// may be /proc's and are read until they end. Anything else (a device, a FIFO)
// needs a Length, and gives what it has at once.
func (o *operation) read() error {
	path, err := o.path(o.Path)
	if err != nil {
		return err
	}
	name := string(o.Path)
	if o.Length < 0 {
		return invalid(name, "read %s: the length %d is negative", quote(name), o.Length)
	}
	st, err := o.status(path)
	if err != nil {
		return failure("read", name, err)
	}
	if err := o.readable(st); err != nil {
		return err
	}
	flags := unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY
	if o.NoFollow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := openAt(unix.AT_FDCWD, path, flags, 0)
	if err != nil {
		return failure("read", name, err)
	}
	defer closeFD(fd)
	if st, err = statFD(fd); err != nil {
		return failure("read", name, err)
	}
	if err := o.readable(st); err != nil {
		return err // something else by now
	}
	reply := wire.Reply{Stat: describe(o.Path, st)}
	if !isRegular(st) || st.Size == 0 {
		err = o.sendStream(fd, reply, isRegular(st))
	} else {
		from, to := o.span(st.Size)
		runs, sparse := []holes.Run(nil), false
		if o.Sparse && from == 0 && to == st.Size {
			runs, sparse = findHoles(fd, st)
		}
		if sparse {
			err = o.sendSparse(fd, reply, st.Size, runs)
		} else {
			err = o.sendRange(fd, reply, from, to)
		}
	}
	if err != nil {
		return err
	}
	return lost(o.w.Frame(wire.KindEnd, nil))
}

// readable says whether a file of this kind can be read as asked.
func (o *operation) readable(st *unix.Stat_t) error {
	name := string(o.Path)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return nil
	case unix.S_IFDIR:
		return failure("read", name, unix.EISDIR)
	case unix.S_IFSOCK, unix.S_IFLNK:
		return invalid(name, "read %s: it is neither a file nor a device", quote(name))
	}
	if o.Length == 0 {
		return invalid(name, "read %s: it is a device or FIFO and has no end: give a length", quote(name))
	}
	if o.Offset != 0 {
		return invalid(name, "read %s: a device or FIFO can only be read from where it is", quote(name))
	}
	return nil
}

// span is the range asked for in a file of this size.
func (o *operation) span(size int64) (from, to int64) {
	from = o.Offset
	if from < 0 {
		from = max(0, size+from)
	}
	from = min(from, size)
	to = size
	if o.Length > 0 && o.Length < to-from {
		to = from + o.Length
	}
	return from, to
}

func (o *operation) sendRange(fd int, reply wire.Reply, from, to int64) error {
	if err := o.w.QueueJSON(wire.KindReply, reply); err != nil {
		return lost(err)
	}
	if to-from <= smallRead {
		buf := buffers.Get().(*[bufferSize]byte)
		defer buffers.Put(buf)
		n, err := content(fd).ReadAt(buf[:to-from], from)
		if err != nil && err != io.EOF {
			return failure("read", string(o.Path), err)
		}
		return lost(o.w.Queue(wire.KindData, buf[:n]))
	}
	for from < to {
		n := min(to-from, wire.MaxFrame)
		err := o.w.Content(wire.KindData, content(fd), from, int(n))
		var short *wire.ShortError
		if errors.As(err, &short) {
			return failure("read", string(o.Path), shrunk(short))
		}
		if err != nil {
			return lost(err)
		}
		from += n
	}
	return nil
}

// sendSparse sends a file without its holes. One that shrinks meanwhile ends
// in zeros.
func (o *operation) sendSparse(fd int, reply wire.Reply, size int64, runs []holes.Run) error {
	reply.Sparse = true
	if err := o.w.QueueJSON(wire.KindReply, reply); err != nil {
		return lost(err)
	}
	out := &outgoing{w: o.w, buf: buffers.Get().(*[bufferSize]byte)}
	defer buffers.Put(out.buf)
	if err := out.sparse(fd, size, runs); err != nil {
		return failure("read", string(o.Path), err)
	}
	return out.flush()
}

// shrunk is why the content of a file ended before its size.
func shrunk(short *wire.ShortError) error {
	if short.Err == io.EOF {
		return errShrank
	}
	return short.Err
}

// sendStream sends what has no size.
func (o *operation) sendStream(fd int, reply wire.Reply, seekable bool) error {
	if err := o.w.QueueJSON(wire.KindReply, reply); err != nil {
		return lost(err)
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	off := max(0, o.Offset)
	for sent := int64(0); o.Length == 0 || sent < o.Length; {
		part := buf[:]
		if o.Length > 0 {
			part = part[:min(int64(len(part)), o.Length-sent)]
		}
		var n int
		err := retry(func() (err error) {
			if seekable {
				n, err = unix.Pread(fd, part, off+sent)
			} else {
				n, err = unix.Read(fd, part)
			}
			return err
		})
		if err == unix.EAGAIN && !seekable {
			return nil // it has no more now
		}
		if err != nil {
			return failure("read", string(o.Path), err)
		}
		if n == 0 {
			return nil
		}
		if err := o.w.Queue(wire.KindData, part[:n]); err != nil {
			return lost(err)
		}
		sent += int64(n)
	}
	return nil
}
