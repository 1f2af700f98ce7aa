//go:build linux

package fileops

import (
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

func (o *operation) remove() error {
	path, err := o.path(o.Path)
	if err != nil {
		return err
	}
	if _, base := split(path); !isEntry(base) {
		return invalid(string(o.Path), "remove %s: give the path of a file or directory by its name", quote(string(o.Path)))
	}
	dir, base, err := parent(path, false)
	if err != nil {
		return failure("remove", string(o.Path), err)
	}
	defer closeFD(dir)
	err = unlink(dir, base)
	if err == unix.ENOTEMPTY && o.Recursive {
		err = removeTree(dir, base)
	}
	if err != nil {
		return failure("remove", string(o.Path), err)
	}
	return o.reply(wire.Reply{})
}

// unlink removes a file or an empty directory.
func unlink(dir int, name string) error {
	err := retry(func() error { return unix.Unlinkat(dir, name, 0) })
	if err != unix.EISDIR && err != unix.EPERM {
		return err
	}
	// POSIX has EPERM for a directory, and some file systems do.
	dirErr := retry(func() error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) })
	switch {
	case dirErr == unix.ENOTDIR:
		return err
	case dirErr == unix.EEXIST: // POSIX allows it for "not empty"
		return unix.ENOTEMPTY
	}
	return dirErr
}

// maxRescans bounds how often a directory is read again because something is
// left, so that whoever keeps making files cannot keep us removing them.
const maxRescans = 16

// removal is one level of a tree being removed.
type removal struct {
	*directory
	pending []string // of its names
	into    string   // the last directory that it was left for
	again   int      // how often in a row that was the same
}

// removeTree removes a directory with all that is in it. It never follows a
// symbolic link, and needs neither descriptors nor names in proportion to the
// depth: a level far above is closed, opened again through "..", checked to be
// the same, and read anew.
func removeTree(dir int, name string) error { return removeTreeUntil(dir, name, time.Time{}) }

// removeUntil removes a file or a tree. It gives up when its time is over.
func removeUntil(dir int, name string, until time.Time) error {
	err := unlink(dir, name)
	if err == unix.ENOTEMPTY {
		err = removeTreeUntil(dir, name, until)
	}
	return err
}

// removeTreeUntil is removeTree up to a time; the zero time is never.
func removeTreeUntil(dir int, name string, until time.Time) error {
	top, err := openDirectory(dir, name, unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	levels := []removal{{directory: top}}
	defer func() {
		for _, l := range levels {
			closeFD(l.fd)
		}
	}()
	for {
		below, err := levels[len(levels)-1].empty(until)
		if err != nil {
			return err
		}
		if below != nil {
			levels = append(levels, removal{directory: below})
			if far := len(levels) - 1 - openLevels; far > 0 {
				closeFD(levels[far].fd)
				levels[far].fd, levels[far].pending = -1, nil
			}
			continue
		}
		if len(levels) == 1 {
			return unlink(dir, name)
		}
		last := len(levels) - 1
		err = levels[last-1].reopen(levels[last].fd)
		closeFD(levels[last].fd)
		levels = levels[:last]
		if err != nil {
			return err
		}
	}
}

// empty removes what is in the directory until nothing is left or it comes to
// a directory that is not empty, which it returns, open.
func (r *removal) empty(until time.Time) (below *directory, err error) {
	rewound, rescans := false, 0
	for {
		for len(r.pending) > 0 {
			name := r.pending[len(r.pending)-1]
			err := unlink(r.fd, name)
			if err == unix.ENOTEMPTY && r.enter(name) {
				below, err = openDirectory(r.fd, name, unix.O_NOFOLLOW)
				if err == nil {
					return below, nil // name stays pending: it is empty then
				}
			}
			if err != nil && err != unix.ENOENT {
				return nil, err
			}
			r.pending = r.pending[:len(r.pending)-1]
			rewound = rewound && err != nil
		}
		if !until.IsZero() && time.Now().After(until) {
			return nil, errTooLong
		}
		if r.pending, err = someNames(r.fd, r.pending[:0]); err != nil {
			return nil, err
		}
		if len(r.pending) > 0 {
			continue
		}
		// File systems may skip entries when others are removed while a
		// directory is read, so the end counts only right after its start.
		if rewound || rescans == maxRescans {
			return nil, nil
		}
		if _, err := unix.Seek(r.fd, 0, unix.SEEK_SET); err != nil {
			return nil, err
		}
		rewound = true
		rescans++
	}
}

// enter says whether to go into name (once more).
func (r *removal) enter(name string) bool {
	if r.into != name {
		r.into, r.again = name, 0
	}
	r.again++
	return r.again <= maxRescans
}
