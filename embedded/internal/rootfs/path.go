package rootfs

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/pocketdock/pocketdock/embedded/internal/erofs"
)

const (
	maxHops  = 40   // symbolic links that a path may lead through, as in Linux
	maxDepth = 4096 // directories in one another; symbolic links can make more than a path has
)

// dir finds the directory of a path. Symbolic links are followed inside of
// the image, as an engine that unpacks in a chroot does: a layer that has
// /lib/x lands in /usr/lib where an older one made that link. With create, what is missing
// is made, and what is no directory gives way to one.
func (t *Tree) dir(name string, create bool) (*erofs.Inode, error) {
	at := []*erofs.Inode{t.root}
	rest := strings.Split(name, "/")
	for hops := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		here := at[len(at)-1]
		switch part {
		case "", ".":
			continue
		case "..":
			at = at[:max(1, len(at)-1)]
			continue
		}
		n := here.Children[part].Inode
		if n != nil && n.Mode&erofs.TypeMask == erofs.TypeSymlink {
			if hops++; hops > maxHops {
				return nil, fmt.Errorf("more than %d symbolic links on the way", maxHops)
			}
			if path.IsAbs(n.Target) {
				at = at[:1]
			}
			if rest = append(strings.Split(n.Target, "/"), rest...); len(rest) > maxPath {
				return nil, errors.New("symbolic links that make too long a path")
			}
			continue
		}
		if !isDir(n) {
			if !create {
				return nil, fmt.Errorf("there is no directory %.200q", part)
			}
			if len(part) > erofs.MaxName {
				return nil, fmt.Errorf("a symbolic link to a name of %d bytes", len(part))
			}
			if err := t.takeDir(part); err != nil {
				return nil, err
			}
			t.drop(n)
			n = newDir()
		}
		if create {
			here.Children[part] = erofs.Entry{Inode: n, Layer: t.layer}
		}
		if at = append(at, n); len(at) > maxDepth {
			return nil, fmt.Errorf("more than %d directories in one another", maxDepth)
		}
	}
	return at[len(at)-1], nil
}

// takeDir counts a directory that no entry is for: one entry can make 2000.
func (t *Tree) takeDir(name string) error {
	t.bounds.entries--
	t.bounds.names -= int64(len(name))
	if t.bounds.entries < 0 || t.bounds.names < 0 {
		return errors.New("too many directories")
	}
	return nil
}

// delete does what a whiteout says. It is about layers below, wherever in its
// own layer it is.
func (t *Tree) delete(dir, base string) error {
	if base != whiteoutOpaque && strings.HasPrefix(base, whiteoutMeta) {
		return nil
	}
	name := base[len(whiteout):]
	if name == "" || name == "." || name == ".." {
		return errors.New("a whiteout of no file")
	}
	if base == whiteoutOpaque {
		// The directory is its layer's, also where no entry says so.
		parent, err := t.dir(dir, true)
		if err == nil {
			t.hide(parent)
		}
		return err
	}
	parent, err := t.dir(dir, false)
	if err != nil {
		return nil // nothing there to delete
	}
	if e, ok := parent.Children[name]; ok && t.hides(e) {
		delete(parent.Children, name)
		t.drop(e.Inode)
	}
	return nil
}

// hide removes what a directory has of the layers below.
func (t *Tree) hide(dir *erofs.Inode) {
	for name, e := range dir.Children {
		if t.hides(e) {
			delete(dir.Children, name)
			t.drop(e.Inode)
		}
	}
}

// hides reports that a file is of a layer below only; of a directory that is
// of both it removes what is below's.
func (t *Tree) hides(e erofs.Entry) bool {
	if e.Layer < t.layer {
		return true
	}
	if isDir(e.Inode) {
		t.hide(e.Inode)
	}
	return false
}
