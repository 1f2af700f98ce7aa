package treetar

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Unpack reads a tar stream into directory dir, which it makes. Every path is
// resolved beneath dir, whatever links the stream makes. A file is written
// under a name of its own and renamed when it is whole; one that exists is
// replaced. Owners are not set; devices are left out. A stream that ends early
// is io.ErrUnexpectedEOF.
func Unpack(r io.Reader, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := &unpacker{root: root, buf: make([]byte, 256<<10)}
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
	// Directories last: writing into one changes its time, and its mode may
	// forbid it.
	for i := len(u.dirs) - 1; i >= 0; i-- {
		d := u.dirs[i]
		if err := errors.Join(root.Chmod(d.name, d.mode), root.Chtimes(d.name, d.time, d.time)); err != nil {
			return err
		}
	}
	return nil
}

type unpacker struct {
	root *os.Root
	dirs []dirMeta
	buf  []byte
}

type dirMeta struct {
	name string
	mode fs.FileMode
	time time.Time
}

// maxDirs bounds what a stream can make us remember.
const maxDirs = 1 << 20

func (u *unpacker) entry(h *tar.Header, r io.Reader) error {
	name := path.Clean(strings.TrimSuffix(h.Name, "/"))
	if !filepath.IsLocal(filepath.FromSlash(name)) || strings.ContainsRune(h.Name, 0) {
		return errors.New("the name leads out of the directory")
	}
	mode := h.FileInfo().Mode()
	perm := mode & (fs.ModePerm | fs.ModeSticky)
	if parent := path.Dir(name); parent != "." {
		if err := u.root.MkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if len(u.dirs) == maxDirs {
			return fmt.Errorf("more than %d directories", maxDirs)
		}
		if err := u.mkdir(name); err != nil {
			return err
		}
		u.dirs = append(u.dirs, dirMeta{name, perm, h.ModTime})
		return nil
	case tar.TypeReg:
		return u.file(name, perm, h, r)
	case tar.TypeSymlink:
		if err := u.remove(name); err != nil {
			return err
		}
		return u.root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		target := path.Clean(h.Linkname)
		if !filepath.IsLocal(filepath.FromSlash(target)) {
			return fmt.Errorf("the link to %q leads out of the directory", h.Linkname)
		}
		// A link to a symbolic link would be followed by a later entry.
		if info, err := u.root.Lstat(target); err != nil {
			return err
		} else if !info.Mode().IsRegular() {
			return fmt.Errorf("the link to %q is not to a file", h.Linkname)
		}
		if err := u.remove(name); err != nil {
			return err
		}
		return u.root.Link(target, name)
	}
	return nil
}

// mkdir makes a directory, in place of anything that is not one.
func (u *unpacker) mkdir(name string) error {
	if name == "." {
		return nil
	}
	if info, err := u.root.Lstat(name); err == nil {
		if info.IsDir() {
			return u.root.Chmod(name, info.Mode().Perm()|0o700) // to write into it
		}
		if err := u.root.Remove(name); err != nil {
			return err
		}
	}
	return u.root.Mkdir(name, 0o700)
}

// remove makes room for a link.
func (u *unpacker) remove(name string) error {
	err := u.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (u *unpacker) file(name string, mode fs.FileMode, h *tar.Header, r io.Reader) error {
	var b [6]byte
	rand.Read(b[:])
	tmp := path.Join(path.Dir(name), ".pocketdock-"+hex.EncodeToString(b[:]))
	f, err := u.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer u.root.Remove(tmp)
	n, err := copySparse(f, r, u.buf)
	if err == nil && n < h.Size {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := errors.Join(u.root.Chmod(tmp, mode), u.root.Chtimes(tmp, h.ModTime, h.ModTime)); err != nil {
		return err
	}
	return u.root.Rename(tmp, name)
}

// block is the unit in which holes are made.
const block = 4096

var zeros [block]byte

// copySparse copies r to the empty file f, leaving holes where whole blocks
// are zero.
func copySparse(f *os.File, r io.Reader, buf []byte) (int64, error) {
	var size int64
	hole := false
	for {
		n, err := io.ReadFull(r, buf)
		for p := buf[:n]; len(p) > 0; {
			// As long a run of one kind as there is.
			k, zero := 0, false
			for k < len(p) {
				b := p[k:min(k+block, len(p))]
				z := len(b) == block && bytes.Equal(b, zeros[:])
				if k > 0 && z != zero {
					break
				}
				k, zero = k+len(b), z
			}
			var e error
			if zero {
				_, e = f.Seek(int64(k), io.SeekCurrent)
			} else {
				_, e = f.Write(p[:k])
			}
			if e != nil {
				return size, e
			}
			size, hole, p = size+int64(k), zero, p[k:]
		}
		switch err {
		case nil:
			continue
		case io.EOF, io.ErrUnexpectedEOF:
			if hole {
				return size, f.Truncate(size)
			}
			return size, nil
		}
		return size, err
	}
}
