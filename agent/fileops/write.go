//go:build linux

package fileops

import (
	"io"

	"golang.org/x/sys/unix"
)

const (
	fileMode = 0o644 // of a new file
	maxLinks = 40    // as the kernel follows
	// reluctant is how long a device or FIFO may refuse to take data, in
	// milliseconds.
	reluctant = 10_000
)

// write makes Path a file with the content that follows.
//
// The content goes to a temporary file beside it, which is renamed when all
// has come: a reader sees the old content or the new. An existing file keeps
// its mode and owner. Through a symbolic link (without NoFollow) the file it
// points to is written. What cannot be renamed over is written in place: a
// device, a file that is a mount point or lies in a directory that may not be
// written, one whose owner could not be kept; and so are Append and an Offset
// above zero, which keep what is there.
func (o *operation) write() error {
	path, err := o.path(o.Path)
	if err != nil {
		return err
	}
	if o.Offset < 0 || o.Append && o.Offset > 0 {
		return invalid(string(o.Path), "write %s: the offset %d makes no sense here", quote(string(o.Path)), o.Offset)
	}
	own, err := o.owner()
	if err != nil {
		return err
	}
	t, err := o.writeTarget(path)
	if err != nil {
		return failure("write", string(o.Path), err)
	}
	defer t.close()
	t.owner = own
	t.mode = fileMode
	if t.st != nil {
		t.mode = t.st.Mode & 0o1777 // other content is not to be set-user-ID
	}
	if o.Mode != nil {
		t.mode, t.exact = *o.Mode&permissions, true
	}
	if o.ModTime != 0 {
		ts := unix.NsecToTimespec(o.ModTime)
		t.mtime = &ts
	}
	st, err := o.writeTo(t)
	if err != nil {
		return failure("write", string(o.Path), err)
	}
	return o.replyStatOf(st)
}

// writeSparse is write of content that comes as package holes has it. What
// would have to be written in place is refused: the client sends it whole.
func (o *operation) writeSparse() error {
	o.encoded = true
	return o.write()
}

// A target is the place that a write ends in.
type target struct {
	dir  int
	base string
	st   *unix.Stat_t // nil: nothing is there
	attributes
	exact bool // the mode was asked for
}

func (t *target) close() { closeFD(t.dir) }

// writeTarget finds the place, through symbolic links.
func (o *operation) writeTarget(path string) (*target, error) {
	for range maxLinks {
		if len(path) > 1 && path[len(path)-1] == '/' {
			return nil, unix.EISDIR
		}
		dir, base, err := parent(path, o.Parents)
		if err == unix.EINVAL {
			return nil, unix.EISDIR
		}
		if err != nil {
			return nil, err
		}
		t := &target{dir: dir, base: base}
		st, err := statAt(dir, base, unix.AT_SYMLINK_NOFOLLOW)
		switch {
		case err == unix.ENOENT:
			return t, nil
		case err != nil:
		case o.Exclusive:
			err = unix.EEXIST
		case isDir(st):
			err = unix.EISDIR
		case isLink(st) && o.NoFollow:
			return t, nil // replaced as if it were not there
		case isLink(st):
			var to string
			if to, err = readLink(dir, base); err == nil {
				above, _ := split(path)
				if path = to; to == "" || to[0] != '/' {
					path = above + "/" + to
				}
			}
		default:
			t.st = st
			return t, nil
		}
		t.close()
		if err != nil {
			return nil, err
		}
	}
	return nil, unix.ELOOP
}

func (o *operation) writeTo(t *target) (*unix.Stat_t, error) {
	if o.Append || o.Offset > 0 || t.st != nil && !isRegular(t.st) {
		return o.writeInPlace(t)
	}
	if t.st != nil {
		// Whoever may write the directory could replace the file. That is not
		// what they ask for, so the file's own permissions count.
		if err := writable(t.dir, t.base); err != nil {
			return nil, err
		}
	}
	r, err := newReplacement(t.dir)
	if err != nil {
		if t.st != nil && mustStay(err) {
			return o.writeInPlace(t)
		}
		return nil, err
	}
	defer r.abandon()
	if t.st != nil && t.owner == nil && (o.id.Root || t.st.Uid != o.id.UID || t.st.Gid != o.id.GID) {
		if err := unix.Fchown(r.fd, int(t.st.Uid), int(t.st.Gid)); err != nil {
			r.abandon()
			return o.writeInPlace(t)
		}
	}
	if err := o.receiveInto(r); err != nil {
		return nil, err
	}
	st, err := r.place(t.base, t.attributes, !o.Exclusive)
	if err != nil && t.st != nil && r.name != "" && mustStay(err) {
		return copyInto(r, t)
	}
	if err == nil && st.Size >= sweepSize {
		sweep(t.dir)
	}
	return st, err
}

// mustStay: err says that the directory does not let its file be replaced.
func mustStay(err error) bool {
	switch err {
	case unix.EACCES, unix.EPERM, unix.EROFS, unix.EBUSY, unix.EXDEV:
		return true
	}
	return false
}

// writable asks the kernel whether the acting user may write a file.
func writable(dir int, base string) error {
	err := retry(func() error { return unix.Faccessat2(dir, base, unix.W_OK, unix.AT_EACCESS) })
	if err != unix.ENOSYS && err != unix.EPERM {
		return err
	}
	// Not there, or filtered; opening asks the same and is seen by watchers.
	fd, err := openAt(dir, base, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	closeFD(fd)
	if err == unix.ETXTBSY {
		return nil // a program that runs can be replaced, not overwritten
	}
	return err
}

func (o *operation) receiveInto(r *replacement) error {
	if !o.encoded {
		return o.receive(r)
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	in := &incoming{r: o.r}
	if err := receiveSparse(&r.Writer, in, in, buf[:]); err != nil {
		return err
	}
	return endOf(in.err)
}

// receive writes what the client sends.
func (o *operation) receive(w io.Writer) error {
	in := &incoming{r: o.r}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		n, err := fill(in, buf[:])
		if err != nil && err != io.EOF {
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
	}
}

// copyInto writes the content of r into the file at t, where r could not be
// renamed to it.
func copyInto(r *replacement, t *target) (*unix.Stat_t, error) {
	src, err := openAt(r.dir, r.name, unix.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer closeFD(src)
	dst, err := openAt(t.dir, t.base, unix.O_WRONLY|unix.O_TRUNC|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer closeFD(dst)
	if err := copyContent(dst, src); err != nil {
		return nil, err
	}
	return t.settle(dst)
}

// settle gives a file that was written in place what was asked for. If it was
// there before, that may be nothing.
func (t *target) settle(fd int) (*unix.Stat_t, error) {
	st, err := statFD(fd)
	if err != nil {
		return nil, err
	}
	a := t.attributes
	if t.st != nil && !t.exact {
		a.mode = st.Mode & permissions
	}
	if t.st != nil && a.owner == nil && a.mtime == nil && st.Mode&permissions == a.mode {
		return st, nil
	}
	if err := a.set(fd); err != nil {
		return nil, err
	}
	return statFD(fd)
}
