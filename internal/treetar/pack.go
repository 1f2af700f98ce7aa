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

	"github.com/pocketdock/pocketdock/internal/holes"
)

// Pack writes what is in directory dir as a tar stream, with names relative
// to it: files, directories, symbolic and hard links, with modes and times.
// Sockets, devices and pipes are left out. Owners are not kept: they are those
// of another system. A file that changes size meanwhile is an error.
func Pack(w io.Writer, dir string, o Options) error {
	p := &packer{tw: tar.NewWriter(w), links: links{}, sparse: o.Sparse, moved: o.Moved, buf: make([]byte, 256<<10)}
	t := o.tree()
	t.visit = p.add
	if err := t.walk(dir); err != nil {
		return err
	}
	return p.tw.Close()
}

type packer struct {
	tw     *tar.Writer
	links  links
	sparse bool
	moved  Moved
	buf    []byte
}

func (p *packer) add(dir *os.Root, base, name string, info fs.FileInfo) (err error) {
	h := &tar.Header{Name: filepath.ToSlash(name), Mode: unixMode(info.Mode()), ModTime: info.ModTime(), Format: tar.FormatPAX}
	switch info.Mode().Type() {
	case 0:
		h.Typeflag = tar.TypeReg
		if first, ok := p.links.first(h.Name, info); ok {
			h.Typeflag, h.Linkname = tar.TypeLink, first
		}
	case fs.ModeDir:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
	case fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = dir.Readlink(base); err != nil {
			return err
		}
	default:
		return nil
	}
	if !utf8.ValidString(h.Name) || !utf8.ValidString(h.Linkname) {
		// POSIX's word for names that are bytes and not UTF-8.
		h.PAXRecords = map[string]string{"hdrcharset": "BINARY"}
	}
	if h.Typeflag == tar.TypeReg {
		err = p.file(dir, base, h, info)
	} else {
		err = p.tw.WriteHeader(h)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if p.moved != nil {
		p.moved(name, 0, true)
	}
	return nil
}

// file adds a regular file with its content.
func (p *packer) file(dir *os.Root, base string, h *tar.Header, info fs.FileInfo) error {
	f, err := dir.OpenFile(base, openFlags, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if now, err := f.Stat(); err != nil || !os.SameFile(now, info) {
		return errors.Join(errors.New("it was replaced while it was read"), err)
	}
	size := info.Size()
	var content io.Reader = io.LimitReader(f, size)
	h.Size = size
	var inHoles int64
	if p.sparse && MayHaveHoles(info) {
		if runs, ok := holes.Find(f.Seek, size); ok {
			content = holes.NewReader(f, size, runs)
			h.Typeflag, h.Size = holes.TarType, holes.Length(runs)
			inHoles = size - h.Size // not quite: the numbers are in the stream
		} else if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	if err := p.tw.WriteHeader(h); err != nil {
		return err
	}
	var n int64
	for {
		m, err := content.Read(p.buf)
		if m > 0 {
			if _, err := p.tw.Write(p.buf[:m]); err != nil {
				return err
			}
			n += int64(m)
			if p.moved != nil {
				p.moved(h.Name, int64(m), false)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if n < h.Size {
		return fmt.Errorf("it became shorter while it was read: %w", io.ErrUnexpectedEOF)
	}
	if p.moved != nil && inHoles > 0 {
		p.moved(h.Name, inHoles, false)
	}
	return nil
}

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
