package hostimage

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

// format is part of every stamp: it is another number for every change of what
// Make makes of the same host.
const format = 2

// Stamp is a name for the state of the host that Make would make an image of:
// the same stamp, the same image. Files are told by their number, size and
// times and are not read, which is a twentieth of the work. It is empty when the
// clock cannot tell this state from the next. mounts are those of the image.
func Stamp(root, arch, repo string, labels map[string]string) (stamp string, mounts []string, err error) {
	// Times are those of a clock that may stand still for 10 ms.
	return stampAt(time.Now().Add(-time.Second), root, arch, repo, labels)
}

// stampAt is Stamp at a time after which nothing may have changed.
func stampAt(settled time.Time, root, arch, repo string, labels map[string]string) (stamp string, mounts []string, err error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return "", nil, err
	}
	defer r.Close()
	b, err := look(r)
	if err != nil {
		return "", nil, fmt.Errorf("image of this host: %w", err)
	}
	w := &walk{sum: sha256.New()}
	fmt.Fprintf(w.sum, "%d %q %q %q %q %q %q", format, arch, repo, labels, b.dirs, b.links, b.shell) // maps are printed in order
	for _, pattern := range allowed {
		for _, name := range matches(r, path.Join("etc", pattern)) {
			if w.parents(root, path.Dir(name)) {
				w.visit(filepath.Join(root, name))
			}
		}
	}
	if w.newest.After(settled) || w.entries > maxEntries {
		return "", b.dirs, nil
	}
	return hex.EncodeToString(w.sum.Sum(nil)), b.dirs, nil
}

// A walk sums up the state of files. It may see more than Make does: then a
// stamp is another without need, and the image has the same name.
type walk struct {
	sum     hash.Hash
	newest  time.Time // change of one
	line    []byte    // scratch
	entries int
}

// parents sums up the directories above something; false if one is none, and
// nothing below it is taken.
func (w *walk) parents(root, dir string) bool {
	if dir == "." {
		return true
	}
	fi, err := os.Lstat(filepath.Join(root, dir))
	if err != nil {
		return false
	}
	w.add(dir, fi.Mode())
	return fi.IsDir() && w.parents(root, path.Dir(dir))
}

// visit sums up what has a name, and what is below it.
func (w *walk) visit(name string) {
	fi, err := os.Lstat(name)
	if w.entries++; err != nil || w.entries > maxEntries {
		return
	}
	w.add(name, fi.Mode())
	switch perm := fi.Mode().Perm(); {
	case fi.IsDir() && perm&0o005 == 0o005:
		w.state(fi)
		list, err := os.ReadDir(name) // sorted
		if err != nil {
			return
		}
		for _, e := range list {
			// A link cannot be changed, only replaced, which changes the directory.
			if e.Type() == fs.ModeSymlink {
				w.add(e.Name(), fs.ModeSymlink)
				continue
			}
			w.visit(name + "/" + e.Name())
		}
	case fi.Mode().Type() == fs.ModeSymlink, fi.Mode().IsRegular() && perm&0o004 != 0:
		w.state(fi)
	}
}

// add sums up a name and a mode.
func (w *walk) add(name string, mode fs.FileMode) {
	w.line = binary.AppendUvarint(w.line[:0], uint64(mode))
	w.line = append(binary.AppendUvarint(w.line, uint64(len(name))), name...)
	w.sum.Write(w.line)
}
