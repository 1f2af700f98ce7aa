// Package treetar moves trees of files of this host in and out of tar
// streams. What it unpacks comes from a sandbox and is not believed: nothing
// is written outside the target directory.
package treetar

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"unicode/utf8"
)

// Pack writes what is in directory dir as a tar stream, with names relative
// to it: files, directories, symbolic and hard links, with modes and times.
// Sockets, devices and pipes are left out. Owners are not kept: they are those
// of another system. A file that changes size meanwhile is an error.
func Pack(w io.Writer, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	p := &packer{root: root, tw: tar.NewWriter(w), links: map[fileID]string{}, buf: make([]byte, 256<<10)}
	if err := p.tree("."); err != nil {
		return err
	}
	return p.tw.Close()
}

type packer struct {
	root  *os.Root
	tw    *tar.Writer
	links map[fileID]string // the first name of a file that has several
	buf   []byte
}

// tree adds a file, and what is in it. (fs.WalkDir takes no names that are not
// UTF-8.)
func (p *packer) tree(name string) error {
	info, err := p.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	if err := p.add(name, info); err != nil || !info.IsDir() {
		return err
	}
	d, err := p.root.Open(name)
	if err != nil {
		return err
	}
	entries, err := d.ReadDir(-1)
	d.Close()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := p.tree(filepath.Join(name, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) add(name string, info fs.FileInfo) (err error) {
	h := &tar.Header{Name: filepath.ToSlash(name), Mode: unixMode(info.Mode()), ModTime: info.ModTime(), Format: tar.FormatPAX}
	switch info.Mode().Type() {
	case 0:
		h.Typeflag, h.Size = tar.TypeReg, info.Size()
		if id, ok := identify(info); ok {
			if first, ok := p.links[id]; ok {
				h.Typeflag, h.Size, h.Linkname = tar.TypeLink, 0, first
			} else {
				p.links[id] = h.Name
			}
		}
	case fs.ModeDir:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
	case fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = p.root.Readlink(name); err != nil {
			return err
		}
	default:
		return nil
	}
	if !utf8.ValidString(h.Name) || !utf8.ValidString(h.Linkname) {
		// PAX records are UTF-8; GNU's format has bytes, and whole seconds.
		h.Format = tar.FormatGNU
	}
	if err := p.tw.WriteHeader(h); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	return p.content(name, h.Size)
}

func (p *packer) content(name string, size int64) error {
	f, err := p.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.CopyBuffer(onlyWriter{p.tw}, io.LimitReader(f, size), p.buf)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if n < size {
		return fmt.Errorf("%s: it became shorter while it was read: %w", name, io.ErrUnexpectedEOF)
	}
	return nil
}

// onlyWriter hides ReadFrom, so that the copy uses our buffer.
type onlyWriter struct{ io.Writer }

// unixMode is the permission bits as tar has them.
func unixMode(m fs.FileMode) int64 {
	u := int64(m.Perm())
	for bit, is := range map[int64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&is != 0 {
			u |= bit
		}
	}
	return u
}
