// Package rootfs makes of an image's layers one file that a sandbox mounts as
// its root, an EROFS image. Layers are read once, in order, as streams; the
// tree of names is in memory, contents go straight to the image. No path of a
// layer ever becomes one of the host.
package rootfs

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/pocketdock/pocketdock/embedded/internal/erofs"
)

// A Tree is a root file system in the making. It is not for concurrent use.
type Tree struct {
	out    *erofs.Writer
	root   *erofs.Inode
	layer  int                  // the number of the one that is applied, from 1; entries have that of the newest with them
	names  map[*erofs.Inode]int // hard links of a file that has several
	bounds limits
}

// New begins a tree in an empty file.
func New(f erofs.File) *Tree {
	t := &Tree{out: erofs.New(f), names: map[*erofs.Inode]int{}, bounds: newLimits()}
	t.root = newDir()
	return t
}

func newDir() *erofs.Inode {
	return &erofs.Inode{Mode: erofs.TypeDir | 0o755, Children: map[string]erofs.Entry{}}
}

func isDir(n *erofs.Inode) bool { return n != nil && n.Mode&erofs.TypeMask == erofs.TypeDir }

// Apply lays an uncompressed layer over those before, and reads what comes
// after its end, too. After an error the tree is of no use.
func (t *Tree) Apply(ctx context.Context, layer io.Reader) error {
	t.layer++
	if err := each(ctx, layer, &t.bounds, t.apply); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, layer)
	return err
}

// Finish completes the image. The identifier is the file system's.
func (t *Tree) Finish(uuid [16]byte) error {
	return t.out.Finish(t.root, erofs.Options{UUID: uuid})
}

// The marks of a layer for what it deletes, see
// https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts.
const (
	whiteout       = ".wh."
	whiteoutMeta   = ".wh..wh." // what AUFS notes for itself
	whiteoutOpaque = ".wh..wh..opq"
)

func (t *Tree) apply(name string, h *tar.Header, r io.Reader) error {
	if name == "." {
		if h.Typeflag != tar.TypeDir {
			return errors.New("the root is no directory")
		}
		setAttributes(t.root, h)
		return nil
	}
	dir, base := path.Split(name)
	if strings.HasPrefix(base, whiteout) {
		return t.delete(dir, base)
	}
	parent, err := t.dir(dir, true)
	if err != nil {
		return err
	}
	old := parent.Children[base].Inode
	n, err := t.inode(h, r, old)
	if err != nil {
		return err
	}
	if n != old {
		t.drop(old)
	}
	parent.Children[base] = erofs.Entry{Inode: n, Layer: t.layer}
	return nil
}

// inode makes what an entry describes. What has the name so far is kept if
// both are directories, or both the same file.
func (t *Tree) inode(h *tar.Header, r io.Reader, old *erofs.Inode) (*erofs.Inode, error) {
	var n *erofs.Inode
	switch h.Typeflag {
	case tar.TypeDir:
		if n = old; !isDir(n) {
			n = newDir()
		}
	case tar.TypeLink:
		return t.link(h.Linkname, old)
	case tar.TypeSymlink:
		n = &erofs.Inode{Mode: erofs.TypeSymlink, Target: h.Linkname}
	case tar.TypeChar:
		n = &erofs.Inode{Mode: erofs.TypeChar, Major: uint32(h.Devmajor), Minor: uint32(h.Devminor)}
	case tar.TypeBlock:
		n = &erofs.Inode{Mode: erofs.TypeBlock, Major: uint32(h.Devmajor), Minor: uint32(h.Devminor)}
	case tar.TypeFifo:
		n = &erofs.Inode{Mode: erofs.TypeFIFO}
	default:
		data, err := t.out.Data(r, h.Size)
		if err != nil {
			return nil, err
		}
		n = &erofs.Inode{Mode: erofs.TypeRegular, Data: data}
	}
	setAttributes(n, h)
	return n, nil
}

func setAttributes(n *erofs.Inode, h *tar.Header) {
	n.Mode = n.Mode&erofs.TypeMask | uint16(h.Mode&0o7777)
	n.UID, n.GID = uint32(h.Uid), uint32(h.Gid)
	n.Seconds, n.Nanoseconds = h.ModTime.Unix(), uint32(h.ModTime.Nanosecond())
}

// link is the file that a hard link names: of this layer, or of one below.
func (t *Tree) link(target string, old *erofs.Inode) (*erofs.Inode, error) {
	name, err := cleanName(target)
	if err != nil {
		return nil, err
	}
	dir, base := path.Split(name)
	parent, err := t.dir(dir, false)
	if err != nil {
		return nil, fmt.Errorf("a hard link to %.200q: %w", target, err)
	}
	n := parent.Children[base].Inode
	switch {
	case n == nil:
		return nil, fmt.Errorf("a hard link to %.200q, which the image does not have", target)
	case isDir(n):
		return nil, fmt.Errorf("a hard link to %.200q, which is a directory", target)
	case n != old:
		t.names[n] = max(t.names[n], 1) + 1
	}
	return n, nil
}

// drop forgets a file, and what is in it, under one of its names.
func (t *Tree) drop(n *erofs.Inode) {
	if n == nil {
		return
	}
	if left := t.names[n] - 1; left > 0 {
		t.names[n] = left
		return
	}
	for _, c := range n.Children {
		t.drop(c.Inode)
	}
	delete(t.names, n)
	t.out.Drop(n.Data)
}
