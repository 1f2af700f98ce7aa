//go:build linux

package fileops

import (
	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// writeInPlace writes the content into the file that is there, or a new one
// for Append and Offset. A write that ends early leaves what had come, except
// of an Append, which is taken back.
func (o *operation) writeInPlace(t *target) (*unix.Stat_t, error) {
	if o.encoded {
		return nil, &wire.Error{Code: wire.CodeUnsupported, Message: "it can only be written in place, and content without its holes cannot be"}
	}
	flags := unix.O_WRONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_NOFOLLOW
	if o.Append {
		flags |= unix.O_APPEND
	} else if t.st != nil && isRegular(t.st) && o.Offset == 0 {
		flags |= unix.O_TRUNC
	}
	fd, err := -1, error(unix.EEXIST)
	if t.st == nil {
		fd, err = openAt(t.dir, t.base, flags|unix.O_CREAT|unix.O_EXCL, 0o600)
	}
	existed := err == unix.EEXIST && !o.Exclusive
	if existed {
		fd, err = openAt(t.dir, t.base, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	defer closeFD(fd)
	st, err := statFD(fd)
	if err != nil {
		return nil, err
	}
	if existed {
		t.st = st // maybe made by somebody else just now
	}
	w := &placeWriter{fd: fd, off: o.Offset, stream: o.Append || !isRegular(st)}
	if err := o.receiveFrames(w); err != nil {
		switch {
		case !existed:
			unix.Unlinkat(t.dir, t.base, 0)
		case o.Append && isRegular(st):
			// Only if nobody else has added to it.
			if now, statErr := statFD(fd); statErr == nil && now.Size == st.Size+w.written {
				unix.Ftruncate(fd, st.Size)
			}
		}
		return nil, err
	}
	if !isRegular(st) && o.Mode == nil {
		return statFD(fd)
	}
	return t.settle(fd)
}

// receiveFrames writes each frame as it comes: whoever reads a device, a FIFO
// or a growing log waits for it.
func (o *operation) receiveFrames(w *placeWriter) error {
	in := &incoming{r: o.r}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		if o.r.Left() == 0 {
			if err := in.next(); err != nil {
				return endOf(err)
			}
		}
		n, err := fill(in, buf[:min(len(buf), o.r.Left())])
		if err != nil {
			return endOf(err)
		}
		if err := w.write(buf[:n]); err != nil {
			return err
		}
	}
}

// placeWriter writes to a file from an offset on, or to what has none.
type placeWriter struct {
	fd      int
	off     int64
	stream  bool
	written int64
}

func (w *placeWriter) write(p []byte) error {
	if !w.stream {
		err := pwriteAll(w.fd, p, w.off)
		w.off += int64(len(p))
		return err
	}
	for len(p) > 0 {
		n, err := unix.Write(w.fd, p)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if err := w.wait(); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			p = p[n:]
			w.written += int64(n)
		}
	}
	return nil
}

// wait waits until data is taken again, not for ever.
func (w *placeWriter) wait() error {
	fds := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLOUT}}
	var ready int
	err := retry(func() (err error) {
		ready, err = unix.Poll(fds, reluctant)
		return err
	})
	if err == nil && ready == 0 {
		return &wire.Error{Code: wire.CodeResource, Message: "nothing reads the data that was written", Errno: int(unix.EAGAIN)}
	}
	return err
}
