package treetar

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock/internal/holes"
	"github.com/pocketdock/pocketdock/internal/staging"
)

// A Top is what an unpacked directory itself becomes when it is new. An
// existing one is left as it is.
type Top struct {
	Mode    fs.FileMode
	ModTime time.Time // zero: now
}

// Unpack reads a tar stream into directory dir. Every path is resolved beneath
// dir, whatever links the stream makes. Owners are not set; devices and pipes
// are left out. A stream that ends early is io.ErrUnexpectedEOF.
//
// A dir that does not exist is made under another name and renamed when all is
// in it: a failure leaves nothing. What is unpacked into one that exists is
// added file by file, each under a name of its own and renamed when it is
// whole; what is there is replaced.
func Unpack(r io.Reader, dir string, top Top, moved Moved) error {
	_, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return unpackNew(r, filepath.Clean(dir), top, moved)
	}
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	staging.Sweep(root)
	return unpack(r, root, false, moved)
}

func unpackNew(r io.Reader, dir string, top Top, moved Moved) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	parent, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer parent.Close()
	staging.Sweep(parent)
	lock, name, err := staging.Dir(parent)
	if err != nil {
		return err
	}
	defer lock.Close()
	defer parent.RemoveAll(name)
	root, err := parent.OpenRoot(name)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := unpack(r, root, true, moved); err != nil {
		return err
	}
	if err := parent.Chmod(name, top.Mode.Perm()); err != nil {
		return err
	}
	if !top.ModTime.IsZero() {
		if err := parent.Chtimes(name, time.Time{}, top.ModTime); err != nil {
			return err
		}
	}
	// Over an empty directory this succeeds, which is what the caller wants.
	return parent.Rename(name, filepath.Base(dir))
}

func unpack(r io.Reader, root *os.Root, fresh bool, moved Moved) error {
	u := &unpacker{root: root, fresh: fresh, moved: moved, buf: make([]byte, 256<<10)}
	if moved == nil {
		u.moved = func(string, int64, bool) {}
	}
	defer u.leave()
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := u.entry(h, tr); err != nil {
			return fmt.Errorf("unpacking %q: %w", h.Name, err)
		}
	}
	return u.settle()
}

type unpacker struct {
	root  *os.Root
	fresh bool // nobody else sees the directory yet
	dirs  []dirMeta
	moved Moved
	buf   []byte

	// The directory of the last entry, as the next one is mostly in it, too.
	at     string
	inside *os.Root
}

type dirMeta struct {
	name string
	mode fs.FileMode
	time time.Time
}

// maxDirs bounds what a stream can make us remember.
const maxDirs = 1 << 20

// enter returns a directory, made if it is not there.
func (u *unpacker) enter(dir string) (*os.Root, error) {
	if dir == "." {
		return u.root, nil
	}
	if u.inside != nil && u.at == dir {
		return u.inside, nil
	}
	u.leave()
	in, err := u.root.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = u.root.MkdirAll(dir, 0o755); err == nil {
			in, err = u.root.OpenRoot(dir)
		}
	}
	if err != nil {
		return nil, err
	}
	u.at, u.inside = dir, in
	return in, nil
}

// leave forgets the directory that was entered.
func (u *unpacker) leave() {
	if u.inside != nil {
		u.inside.Close()
		u.inside = nil
	}
}

func (u *unpacker) entry(h *tar.Header, r io.Reader) error {
	name := path.Clean(strings.TrimSuffix(h.Name, "/"))
	if !filepath.IsLocal(filepath.FromSlash(name)) || strings.ContainsRune(h.Name, 0) {
		return errors.New("the name leads out of the directory")
	}
	perm := h.FileInfo().Mode() & (fs.ModePerm | fs.ModeSticky)
	dir, err := u.enter(path.Dir(name))
	if err != nil {
		return err
	}
	base := path.Base(name)
	switch h.Typeflag {
	case tar.TypeDir:
		if name == "." {
			return nil // see Top
		}
		if len(u.dirs) == maxDirs {
			return fmt.Errorf("more than %d directories", maxDirs)
		}
		if err := u.mkdir(dir, base); err != nil {
			return err
		}
		u.dirs = append(u.dirs, dirMeta{name, perm, h.ModTime})
	case tar.TypeReg, holes.TarType:
		// Holes are told in a way of our own. Those of GNU's are filled by the
		// reader, a few bytes with any size, and no end of ctx would be seen.
		if h.Size > holes.MaxSize || gnuSparse(h) {
			return fmt.Errorf("%s: %d bytes, or holes of another kind than ours: not believed", name, h.Size)
		}
		if err := u.file(dir, base, perm, h, r); err != nil {
			return err
		}
	case tar.TypeSymlink:
		if err := u.remove(dir, base); err != nil {
			return err
		}
		if err := dir.Symlink(h.Linkname, base); err != nil {
			return err
		}
	case tar.TypeLink:
		if err := u.link(dir, base, name, h.Linkname); err != nil {
			return err
		}
	default:
		return nil
	}
	u.moved(name, 0, true)
	return nil
}

func gnuSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func (u *unpacker) link(dir *os.Root, base, name, to string) error {
	target := path.Clean(to)
	if !filepath.IsLocal(filepath.FromSlash(target)) {
		return fmt.Errorf("the link to %q leads out of the directory", to)
	}
	// A link to a symbolic link would be followed by a later entry.
	if info, err := u.root.Lstat(target); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("the link to %q is not to a file", to)
	}
	if err := u.remove(dir, base); err != nil {
		return err
	}
	return u.root.Link(target, name)
}

// mkdir makes a directory, in place of anything that is not one.
func (u *unpacker) mkdir(dir *os.Root, base string) error {
	info, err := dir.Lstat(base)
	switch {
	case err != nil:
	case info.IsDir():
		if err := dir.Chmod(base, info.Mode().Perm()|0o700); err != nil { // to write into it
			return err
		}
		if !u.fresh {
			u.sweep(dir, base)
		}
		return nil
	default:
		if err := u.remove(dir, base); err != nil {
			return err
		}
	}
	return dir.Mkdir(base, 0o700)
}

// sweep looks for what an interrupted transfer left in a directory.
func (u *unpacker) sweep(dir *os.Root, base string) {
	if below, err := dir.OpenRoot(base); err == nil {
		staging.Sweep(below)
		below.Close()
	}
}

// remove makes room.
func (u *unpacker) remove(dir *os.Root, base string) error {
	err := dir.Remove(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && dir != u.inside {
		u.leave() // it may have been what was removed
	}
	return err
}

// file writes a file. In a directory that nobody sees yet it has its name from
// the start.
func (u *unpacker) file(dir *os.Root, base string, mode fs.FileMode, h *tar.Header, r io.Reader) error {
	if u.fresh {
		f, err := dir.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return errors.Join(u.content(f, mode, h, r), f.Close(), dir.Chtimes(base, h.ModTime, h.ModTime))
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	f, tmp, err := staging.File(dir)
	if err != nil {
		return err
	}
	err = errors.Join(u.content(f, mode, h, r), dir.Chtimes(tmp, h.ModTime, h.ModTime))
	if err == nil {
		err = dir.Rename(tmp, base)
	}
	err = errors.Join(err, f.Close()) // which gives up its lock, so after the rename
	if err != nil {
		dir.Remove(tmp)
	}
	return err
}

// content writes what r has into the empty file f.
func (u *unpacker) content(f *os.File, mode fs.FileMode, h *tar.Header, r io.Reader) error {
	w := &holes.Writer{File: f}
	if h.Typeflag == holes.TarType {
		var told int64
		err := holes.Copy(w, r, u.buf, func(n int64) {
			u.moved(h.Name, n-told, false)
			told = n
		})
		return errors.Join(err, f.Chmod(mode))
	}
	var n int64
	for {
		m, err := r.Read(u.buf)
		if m > 0 {
			if _, err := w.Write(u.buf[:m]); err != nil {
				return err
			}
			n += int64(m)
			u.moved(h.Name, int64(m), false)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if n < h.Size {
		return io.ErrUnexpectedEOF
	}
	return errors.Join(w.Finish(), f.Chmod(mode))
}

// settle gives directories their modes and times, the last first: writing into
// one changes its time, and its mode may forbid it.
func (u *unpacker) settle() error {
	u.leave()
	for i := len(u.dirs) - 1; i >= 0; i-- {
		d := u.dirs[i]
		if err := errors.Join(u.root.Chmod(d.name, d.mode), u.root.Chtimes(d.name, d.time, d.time)); err != nil {
			return err
		}
	}
	return nil
}
