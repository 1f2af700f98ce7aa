//go:build linux

package fileops

import (
	"golang.org/x/sys/unix"
)

// Limits of a walk.
const (
	// openLevels is how many directories of the path down to the present one
	// are kept open. Those above are opened again through "..", so that no
	// depth runs out of descriptors.
	openLevels = 64
	// maxRelative bounds a path relative to the top of a walk, in bytes: four
	// times PATH_MAX. A hostile tree can be deeper than memory allows to name.
	maxRelative = 16 << 10
)

// A visit is one entry of a tree, seen from the open directory it is in.
type visit struct {
	dir  int    // the directory, valid during the call
	name string // in dir
	rel  string // relative to the top of the walk
	st   *unix.Stat_t
}

// A walk goes through a tree without following symbolic links, also not those
// that somebody puts in place of a directory meanwhile. Entries come sorted,
// a directory before what is in it.
type walk struct {
	// enter is called for each entry, and says whether to go into it, which
	// only a directory can be.
	enter func(visit) (bool, error)
	// leave is called after the contents of a directory. It may be nil.
	leave func(visit) error
	// unreadable is asked about a directory that cannot be opened or listed:
	// nil goes on without it. If it is nil, such an error ends the walk.
	unreadable func(rel string, err error) error

	depth int // levels to go down; negative: all
}

// directory is one level of a walk.
type directory struct {
	fd       int // -1 while it is closed
	dev, ino uint64
	above    *directory
}

// openDirectory opens name in dir for listing.
func openDirectory(dir int, name string, flags int) (*directory, error) {
	fd, err := openAt(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK|flags, 0)
	if err != nil {
		return nil, err
	}
	st, err := statFD(fd)
	if err != nil {
		closeFD(fd)
		return nil, err
	}
	return &directory{fd: fd, dev: uint64(st.Dev), ino: st.Ino}, nil
}

// reopen opens d again from a directory in it.
func (d *directory) reopen(below int) error {
	if d.fd >= 0 {
		return nil
	}
	again, err := openDirectory(below, "..", 0)
	if err != nil {
		return err
	}
	if again.dev != d.dev || again.ino != d.ino {
		closeFD(again.fd)
		return errMoved
	}
	d.fd = again.fd
	return nil
}

// park closes the level that is far enough above.
func (d *directory) park() {
	for i := 0; i < openLevels; i++ {
		if d = d.above; d == nil {
			return
		}
	}
	if d.above != nil { // the top stays: the caller opened it
		closeFD(d.fd)
		d.fd = -1
	}
}

// run goes through the tree below top, which stays open.
func (w *walk) run(top *directory) error { return w.list(top, "", w.depth) }

func (w *walk) list(d *directory, rel string, depth int) error {
	names, err := allNames(d.fd)
	if err != nil {
		return w.skip(rel, err)
	}
	for _, name := range names {
		st, err := statAt(d.fd, name, unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.ENOENT {
			continue // gone meanwhile
		}
		v := visit{dir: d.fd, name: name, rel: join(rel, name), st: st}
		if err == nil && len(v.rel) > maxRelative {
			err = unix.ENAMETOOLONG
		}
		if err != nil {
			if err := w.skip(v.rel, err); err != nil {
				return err
			}
			continue
		}
		into, err := w.enter(v)
		if err != nil {
			return err
		}
		if into && isDir(st) && depth != 1 {
			if err := w.descend(d, v, depth); err != nil {
				return err
			}
			v.dir = d.fd
		}
		if into && isDir(st) && w.leave != nil {
			if err := w.leave(v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walk) descend(d *directory, v visit, depth int) error {
	below, err := openDirectory(d.fd, v.name, unix.O_NOFOLLOW)
	if err != nil {
		return w.skip(v.rel, err)
	}
	defer func() { closeFD(below.fd) }()
	below.above = d
	below.park()
	if err := w.list(below, v.rel, depth-1); err != nil {
		return err
	}
	return d.reopen(below.fd)
}

func (w *walk) skip(rel string, err error) error {
	if w.unreadable == nil {
		return failure("walk", rel, err)
	}
	return w.unreadable(rel, err)
}
