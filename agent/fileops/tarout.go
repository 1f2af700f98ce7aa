//go:build linux

package fileops

import (
	"archive/tar"
	"errors"
	"path"
	"time"
	"unicode/utf8"

	"github.com/pocketdock/pocketdock/internal/holes"
	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// tarBlock is what everything in an archive is rounded up to, in bytes.
const tarBlock = 512

// tarOut sends a file or a tree as an archive in PAX format. Names start with
// the base name of Path; with Contents, or if Path has none ("/", "."), with
// what is in the directory. With Sparse, files that have holes are entries of
// their own kind, see package holes. Sockets and devices are left out. A file that
// changes its size meanwhile is cut or filled with zeros to what it had.
func (o *operation) tarOut() error {
	at, err := o.path(o.Path)
	if err != nil {
		return err
	}
	for _, pattern := range o.Exclude {
		if _, err := path.Match(pattern, ""); err != nil {
			return invalid(string(o.Path), "the pattern %s: %v", quote(pattern), err)
		}
	}
	if o.NoFollow {
		at = trimSlashes(at)
	}
	st, err := o.status(at)
	if err != nil {
		return failure("archive", string(o.Path), err)
	}
	_, base := split(at)
	if o.Contents && isDir(st) || !isEntry(base) {
		base = ""
	}
	a := &archiver{
		out:     &outgoing{w: o.w, buf: buffers.Get().(*[bufferSize]byte)},
		exclude: o.Exclude,
		prefix:  base,
		path:    trimSlashes(string(o.Path)),
		sparse:  o.Sparse,
	}
	defer buffers.Put(a.out.buf)
	if err := a.archive(at, st, !o.NoFollow); err != nil {
		return failure("archive", string(o.Path), err)
	}
	if err := a.out.close(); err != nil {
		return err
	}
	if err := o.w.Queue(wire.KindEnd, nil); err != nil {
		return lost(err)
	}
	return o.reply(wire.Reply{})
}

// An archiver writes the entries of one archive.
type archiver struct {
	out     *outgoing
	exclude []string
	prefix  string // of names
	path    string // of the request, for messages
	sparse  bool   // files that have holes go without them
	links   links
}

func (a *archiver) archive(at string, st *unix.Stat_t, follow bool) error {
	if !isDir(st) {
		return a.entry(visit{dir: unix.AT_FDCWD, name: at, st: st}, follow)
	}
	top, err := openDirectory(unix.AT_FDCWD, at, 0)
	if err != nil {
		return err
	}
	defer closeFD(top.fd)
	if a.prefix != "" {
		if st, err = statFD(top.fd); err != nil {
			return err
		}
		if err := a.entry(visit{st: st}, false); err != nil {
			return err
		}
	}
	w := walk{depth: -1, enter: a.enter, unreadable: func(rel string, err error) error {
		if err == unix.ENOENT && rel != "" {
			return nil
		}
		return failure("archive", join(a.path, rel), err)
	}}
	return w.run(top)
}

func (a *archiver) enter(v visit) (bool, error) {
	for _, pattern := range a.exclude {
		for _, name := range []string{v.name, v.rel} {
			if ok, _ := path.Match(pattern, name); ok {
				return false, nil
			}
		}
	}
	if err := a.entry(v, false); err != nil {
		return false, failure("archive", join(a.path, v.rel), err)
	}
	return true, nil
}

// entry adds one file. One that is gone or has become something else is left
// out.
func (a *archiver) entry(v visit, follow bool) error {
	name := a.prefix
	if v.rel != "" {
		name = join(a.prefix, v.rel)
	}
	h := &tar.Header{Name: name}
	switch v.st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
	case unix.S_IFLNK:
		says, err := readLink(v.dir, v.name)
		if err == unix.ENOENT || err == unix.EINVAL {
			return nil
		}
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, says
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFREG:
		return a.file(v, h, follow)
	default:
		return nil
	}
	return a.header(h, v.st)
}

// file adds a regular file with its content.
func (a *archiver) file(v visit, h *tar.Header, follow bool) error {
	flags := unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := openAt(v.dir, v.name, flags, 0)
	if err == unix.ENOENT || err == unix.ELOOP {
		return nil
	}
	if err != nil {
		return err
	}
	defer closeFD(fd)
	st, err := statFD(fd)
	if err != nil {
		return err
	}
	if !isRegular(st) {
		return nil
	}
	h.Typeflag = tar.TypeReg
	if first, ok := a.links.first(st, h.Name); ok {
		h.Typeflag, h.Linkname = tar.TypeLink, first
		return a.header(h, st)
	}
	if a.sparse {
		if runs, ok := findHoles(fd, st); ok {
			h.Typeflag, h.Size = holes.TarType, holes.Length(runs)
			if err := a.header(h, st); err != nil {
				return err
			}
			if err := a.out.sparse(fd, st.Size, runs); err != nil {
				return err
			}
			return a.out.pad(h.Size)
		}
	}
	h.Size = st.Size
	if err := a.header(h, st); err != nil {
		return err
	}
	if err := a.out.span(fd, 0, st.Size); err != nil {
		return err
	}
	return a.out.pad(st.Size)
}

// header writes a header. What follows it is written by us: the archive's
// writer would have every byte copied through it.
func (a *archiver) header(h *tar.Header, st *unix.Stat_t) error {
	h.Format = tar.FormatPAX
	h.Mode = int64(st.Mode & permissions)
	h.Uid, h.Gid = int(st.Uid), int(st.Gid)
	h.ModTime = time.Unix(st.Mtim.Unix())
	if !utf8.ValidString(h.Name) || !utf8.ValidString(h.Linkname) {
		// POSIX's word for names that are bytes and not UTF-8.
		h.PAXRecords = map[string]string{"hdrcharset": "BINARY"}
	}
	return tar.NewWriter(a.out).WriteHeader(h)
}

// outgoing gathers what is sent as content into large frames.
type outgoing struct {
	w   *wire.Writer
	buf *[bufferSize]byte
	n   int
}

func (out *outgoing) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := copy(out.buf[out.n:], rest)
		rest = rest[n:]
		if out.n += n; out.n == len(out.buf) {
			if err := out.flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

func (out *outgoing) flush() error {
	if out.n == 0 {
		return nil
	}
	n := out.n
	out.n = 0
	return lost(out.w.Frame(wire.KindData, out.buf[:n]))
}

// pad fills up content of a size to whole blocks.
func (out *outgoing) pad(size int64) error {
	_, err := out.Write(padding[:-size&(tarBlock-1)])
	return err
}

// padding is zeros, for the end of an entry and of an archive.
var padding [2 * tarBlock]byte

// span sends what a file has from one offset to another.
func (out *outgoing) span(fd int, off, end int64) error {
	if end-off >= bufferSize {
		if err := out.flush(); err != nil {
			return err
		}
	}
	for end-off >= bufferSize {
		n := min(end-off, wire.MaxFrame)
		err := out.w.Content(wire.KindData, content(fd), off, int(n))
		var short *wire.ShortError
		if errors.As(err, &short) && shrunk(short) != errShrank {
			return shrunk(short)
		}
		if err != nil && short == nil {
			return lost(err)
		}
		off += n
	}
	for end > off {
		part := out.buf[out.n:]
		part = part[:min(int64(len(part)), end-off)]
		n, err := content(fd).ReadAt(part, off)
		if n < len(part) {
			if err := endOf(err); err != nil {
				return err
			}
			clear(part[n:])
		}
		off += int64(len(part))
		if out.n += len(part); out.n == len(out.buf) {
			if err := out.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// close ends the archive.
func (out *outgoing) close() error {
	if _, err := out.Write(padding[:]); err != nil {
		return err
	}
	return out.flush()
}
