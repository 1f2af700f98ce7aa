//go:build linux

package fileops

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/pocketdock/pocketdock/internal/holes"
	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// Limits of an archive.
const (
	// maxDirs is how many directories wait for the end to get their modes and
	// times. An archive with more has some of them set early.
	maxDirs = 1 << 16
	// maxExpanded bounds a file, in bytes: a few blocks of an archive can
	// describe a sparse one of any size.
	maxExpanded = holes.MaxSize
)

// tarIn extracts an archive into Path, which is a directory, made with
// Parents. What leads outside of it is refused: names with "..", absolute
// ones, ways through symbolic links that leave it, hard links to something
// else. A new directory gets its name when all is in it; in one that exists
// files get theirs when they are whole. Modes and times of directories are set
// at the end. What exists is replaced, a directory is
// kept and, if it is the acting user's, gets the mode and time of its entry.
//
// The owner is the acting user. Root gives to Owner or, without one, to the
// IDs in the archive.
func (o *operation) tarIn() error {
	at, err := o.path(o.Path)
	if err != nil {
		return err
	}
	x := &extraction{root: o.id.Root, uid: o.id.UID}
	if x.own, err = o.owner(); err != nil {
		return err
	}
	top, err := openPath(unix.AT_FDCWD, at, unix.O_DIRECTORY)
	switch {
	case err == unix.ENOENT && o.Parents:
		err = o.extractNew(x, at)
	case err == nil:
		sweep(top)
		err = o.extract(x, top)
		closeFD(top)
	}
	if err != nil {
		return failure("extract into", string(o.Path), err)
	}
	return o.reply(wire.Reply{})
}

// extractNew extracts into a directory that is not there: it gets its name
// when all is in it.
func (o *operation) extractNew(x *extraction, at string) error {
	dir, base, err := parent(at, true)
	if err != nil {
		return err
	}
	defer closeFD(dir)
	sweep(dir)
	top, name, err := stage(dir, func(name string) (int, error) {
		if err := mkdirAt(dir, name, parentMode); err != nil {
			return -1, err
		}
		return openAt(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	})
	if err != nil {
		return err
	}
	defer closeFD(top) // and so its lock, when it has its name
	if x.own != nil {
		err = x.own.give(top, ".")
	}
	if err == nil {
		x.fresh = true
		err = o.extract(x, top)
	}
	if err == nil {
		err = retry(func() error { return unix.Renameat(dir, name, dir, base) })
	}
	if err != nil {
		removeAll(dir, name)
	}
	return err
}

// extract extracts into an open directory.
func (o *operation) extract(x *extraction, top int) error {
	x.under.top = top
	defer x.under.close()
	in := &incoming{r: o.r}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	x.buf = buf
	err := x.archive(in)
	if dirErr := x.settleDirs(); err == nil {
		err = dirErr
	}
	return err
}

// An extraction is one archive being unpacked.
type extraction struct {
	under beneath
	root  bool
	uid   uint32
	own   *owner
	fresh bool // the top directory was made for this archive
	dirs  []lateDir
	buf   *[bufferSize]byte
	tr    *tar.Reader
	in    *incoming
}

// A lateDir is a directory that gets its attributes when all is in it.
type lateDir struct {
	path string
	attributes
}

func (x *extraction) archive(in *incoming) error {
	buffered := bufio.NewReaderSize(in, 64<<10)
	x.in, x.tr = in, tar.NewReader(buffered)
	last := "its start"
	for {
		h, err := x.tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil && !(errors.Is(err, tar.ErrInsecurePath) && h != nil) {
			return x.broken("the archive is broken after "+last, err)
		}
		if err := x.entry(h); err != nil {
			return failure("extract", h.Name, err)
		}
		last = quote(h.Name)
	}
	// Archives are often padded further.
	if _, err := io.Copy(io.Discard, buffered); err != nil {
		return x.broken("the archive", err)
	}
	return nil
}

// broken tells a bad archive from a bad connection.
func (x *extraction) broken(what string, err error) error {
	if x.in.err != nil && x.in.err != io.EOF {
		return x.in.err
	}
	return &wire.Error{Code: wire.CodeInvalid, Message: what + ": " + err.Error()}
}

func (x *extraction) entry(h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse, holes.TarType, tar.TypeDir, tar.TypeSymlink, tar.TypeLink, tar.TypeFifo:
	case tar.TypeChar, tar.TypeBlock:
		return &wire.Error{Code: wire.CodeUnsupported, Message: "it is a device"}
	default:
		return &wire.Error{Code: wire.CodeUnsupported, Message: fmt.Sprintf("entries of type %q are not known", h.Typeflag)}
	}
	names, err := elements(h.Name)
	if err != nil {
		return err
	}
	a := x.attributes(h)
	if len(names) == 0 {
		if h.Typeflag != tar.TypeDir {
			return &wire.Error{Code: wire.CodeInvalid, Message: "only a directory can have this name"}
		}
		if x.fresh {
			x.dirs = append(x.dirs, lateDir{path: ".", attributes: a})
		}
		return nil
	}
	dir, err := x.under.open(names[:len(names)-1], x.makeDir)
	if err != nil {
		return err
	}
	base := names[len(names)-1]
	switch h.Typeflag {
	case tar.TypeDir:
		return x.directory(dir, base, names, a)
	case tar.TypeSymlink:
		if h.Linkname == "" || strings.IndexByte(h.Linkname, 0) >= 0 {
			return &wire.Error{Code: wire.CodeInvalid, Message: "a link without a target"}
		}
		return place(dir, base, func(name string) error { return unix.Symlinkat(h.Linkname, dir, name) }, func() error {
			return a.setAt(dir, base, true)
		})
	case tar.TypeLink:
		return place(dir, base, func(name string) error { return x.under.link(h.Linkname, dir, name) }, nil)
	case tar.TypeFifo:
		return place(dir, base, func(name string) error { return unix.Mknodat(dir, name, unix.S_IFIFO|0o600, 0) }, func() error {
			return a.setAt(dir, base, false)
		})
	}
	return x.file(h, dir, base, a)
}

// place makes something in dir, in place of what may be there, and then calls
// set.
func place(dir int, base string, make func(name string) error, set func() error) error {
	err := make(base)
	if err == unix.EEXIST {
		err = placeOver(dir, base, make)
	}
	if err == nil && set != nil {
		err = set()
	}
	return err
}

func (x *extraction) attributes(h *tar.Header) attributes {
	a := attributes{
		owner: x.own,
		mode:  uint32(h.Mode) & permissions,
		mtime: &unix.Timespec{Sec: h.ModTime.Unix(), Nsec: int64(h.ModTime.Nanosecond())},
	}
	if x.root && x.own == nil && validID(h.Uid) && validID(h.Gid) {
		a.owner = &owner{uid: h.Uid, gid: h.Gid}
	}
	return a
}

func validID(id int) bool { return id >= 0 && id < math.MaxUint32 }

// makeDir makes a directory that the archive has no entry for, or not yet.
func (x *extraction) makeDir(dir int, name string) error {
	err := mkdirAt(dir, name, parentMode)
	if err == nil && x.own != nil {
		err = x.own.give(dir, name)
	}
	return err
}

func (x *extraction) directory(dir int, base string, names []string, a attributes) error {
	err := retry(func() error { return unix.Mkdirat(dir, base, 0o700) })
	if err == unix.EEXIST {
		st, err := statAt(dir, base, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil {
			return err
		}
		if !isDir(st) {
			// A link to a directory inside will do.
			_, err := x.under.open(names, nil)
			return err
		}
		if !x.fresh {
			x.sweep(dir, base)
		}
		if !x.root && st.Uid != x.uid {
			return nil // not ours to change
		}
	} else if err != nil {
		return err
	}
	x.dirs = append(x.dirs, lateDir{path: strings.Join(names, "/"), attributes: a})
	if len(x.dirs) >= maxDirs {
		return x.settleDirs()
	}
	return nil
}

// settleDirs sets what waited, the deepest first, as a directory may become
// one that cannot be entered.
func (x *extraction) settleDirs() error {
	slices.SortStableFunc(x.dirs, func(a, b lateDir) int {
		return strings.Count(b.path, "/") - strings.Count(a.path, "/")
	})
	var first error
	for _, d := range x.dirs {
		if err := x.settleDir(d); err != nil && first == nil {
			first = failure("extract", d.path, err)
		}
	}
	x.dirs = nil
	return first
}

func (x *extraction) settleDir(d lateDir) error {
	names, err := elements(d.path)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return d.setAt(x.under.top, ".", false)
	}
	last := len(names) - 1
	dir, err := x.under.open(names[:last], nil)
	if err != nil {
		return err
	}
	// Opened, so that it is a directory whatever has the name by now.
	fd, err := openPath(dir, names[last], unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	return d.setAt(fd, ".", false)
}

// sweep looks for what an interrupted transfer left in a directory.
func (x *extraction) sweep(dir int, name string) {
	if fd, err := openPath(dir, name, unix.O_DIRECTORY|unix.O_NOFOLLOW); err == nil {
		sweep(fd)
		closeFD(fd)
	}
}

// newFile opens a file for what base in dir is to be. In a directory that
// nobody knows yet it has its name from the start.
func (x *extraction) newFile(dir int, base string) (*replacement, error) {
	if x.fresh {
		fd, err := createFile(dir, base)
		if err == nil {
			return &replacement{dir: dir, name: base, fd: fd, Writer: holes.Writer{File: newFile(fd)}}, nil
		}
		if err != unix.EEXIST {
			return nil, err
		}
	}
	return newReplacement(dir)
}

func (x *extraction) file(h *tar.Header, dir int, base string, a attributes) error {
	if h.Size > maxExpanded {
		return unix.EFBIG
	}
	r, err := x.newFile(dir, base)
	if err != nil {
		return err
	}
	defer r.abandon()
	if h.Typeflag == holes.TarType {
		if err := receiveSparse(&r.Writer, x.tr, x.in, x.buf[:]); err != nil {
			return err
		}
		_, err = r.place(base, a, true)
		return err
	}
	for {
		n, err := fill(x.tr, x.buf[:])
		if _, err := r.Write(x.buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return x.broken("the archive is broken", err)
		}
	}
	_, err = r.place(base, a, true)
	return err
}
