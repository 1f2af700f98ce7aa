//go:build linux

package fileops

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// beneath opens directories under a top one, whatever symbolic links are on
// the way and whoever changes them meanwhile: a link is followed here, name by
// name, as long as it stays inside. openat2(2) would do it in one call, but
// gVisor and older kernels have none.
//
// The directories down to the last one are kept open, as the next path is
// mostly near.
type beneath struct {
	top   int // not owned
	stack []step
}

// step is a directory on the way, by the name it was reached by.
type step struct {
	name string
	// real are the directories from below the top down to this one, which a
	// link may have led to by another way.
	real  []int
	owned []int // those of real that were opened for this step
}

// An escapeError says that a path leads outside.
type escapeError struct{ path string }

func (e *escapeError) Error() string { return quote(e.path) + " leads outside of the directory" }

// maxSteps bounds the depth of a path, and so the descriptors that are open.
const maxSteps = 512

func (b *beneath) close() { b.keep(0) }

// keep closes all but the first n steps.
func (b *beneath) keep(n int) {
	for _, s := range b.stack[n:] {
		closeAll(s.owned)
	}
	b.stack = b.stack[:n]
}

func closeAll(fds []int) {
	for _, fd := range fds {
		closeFD(fd)
	}
}

// real is that of the last step.
func (b *beneath) real() []int {
	if len(b.stack) == 0 {
		return nil
	}
	return b.stack[len(b.stack)-1].real
}

// last is where a path below the top has led to.
func (b *beneath) last(real []int) int {
	if len(real) == 0 {
		return b.top
	}
	return real[len(real)-1]
}

// elements cuts a relative path into names.
func elements(path string) ([]string, error) {
	if strings.HasPrefix(path, "/") {
		return nil, &escapeError{path}
	}
	var names []string
	for name := range strings.SplitSeq(path, "/") {
		switch {
		case name == "" || name == ".":
		case name == "..":
			return nil, &escapeError{path}
		case strings.IndexByte(name, 0) >= 0:
			return nil, unix.EINVAL
		default:
			names = append(names, name)
		}
	}
	if len(names) > maxSteps {
		return nil, unix.ENAMETOOLONG
	}
	return names, nil
}

// open returns the directory that names lead to. It is valid until the next
// call. missing is called, if it is not nil, to make a directory that is not
// there.
func (b *beneath) open(names []string, missing func(dir int, name string) error) (int, error) {
	same := 0
	for same < len(names) && same < len(b.stack) && b.stack[same].name == names[same] {
		same++
	}
	b.keep(same)
	for _, name := range names[same:] {
		next, err := b.enter(name, missing)
		if err != nil {
			return -1, err
		}
		b.stack = append(b.stack, next)
	}
	return b.last(b.real()), nil
}

// enter opens name in the last directory.
func (b *beneath) enter(name string, missing func(dir int, name string) error) (step, error) {
	real := b.real()
	at := b.last(real)
	fd, err := openPath(at, name, unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err == unix.ENOENT && missing != nil {
		if err = missing(at, name); err == nil {
			fd, err = openPath(at, name, unix.O_DIRECTORY|unix.O_NOFOLLOW)
		}
	}
	switch err {
	case nil:
		return step{name: name, real: append(slices.Clip(real), fd), owned: []int{fd}}, nil
	case unix.ENOTDIR, unix.ELOOP:
		if _, linkErr := readLink(at, name); linkErr == nil {
			return b.follow(name)
		}
	}
	return step{}, err
}

// follow opens the directory that the link name in the last directory points
// to.
func (b *beneath) follow(name string) (_ step, err error) {
	real := slices.Clone(b.real())
	borrowed := len(real) // what belongs to earlier steps
	defer func() {
		if err != nil {
			closeAll(real[borrowed:])
		}
	}()
	todo := []string{name}
	for links := 0; len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		if next == ".." {
			up := len(real) - 1
			if up < 0 {
				return step{}, &escapeError{name}
			}
			if up >= borrowed {
				closeFD(real[up])
			}
			real, borrowed = real[:up], min(borrowed, up)
			continue
		}
		at := b.last(real)
		fd, err := openPath(at, next, unix.O_DIRECTORY|unix.O_NOFOLLOW)
		if err == nil {
			if real = append(real, fd); len(real) > maxSteps {
				return step{}, unix.ENAMETOOLONG
			}
			continue
		}
		if err != unix.ENOTDIR && err != unix.ELOOP {
			return step{}, err
		}
		says, linkErr := readLink(at, next)
		if linkErr != nil {
			return step{}, err
		}
		if links++; links > maxLinks {
			return step{}, unix.ELOOP
		}
		names, err := linkElements(says)
		if err != nil {
			return step{}, err
		}
		if todo = append(names, todo...); len(todo) > maxSteps {
			return step{}, unix.ENAMETOOLONG
		}
	}
	return step{name: name, real: real, owned: slices.Clone(real[borrowed:])}, nil
}

// linkElements cuts what a link says into names and "..".
func linkElements(says string) ([]string, error) {
	if strings.HasPrefix(says, "/") {
		return nil, &escapeError{says}
	}
	var names []string
	for name := range strings.SplitSeq(says, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names, nil
}

// link makes to in toDir another name of the file at path, which is beneath.
func (b *beneath) link(path string, toDir int, to string) error {
	names, err := elements(path)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return unix.EISDIR
	}
	last := len(names) - 1
	// Not on b's own stack: toDir may be on it.
	other := beneath{top: b.top}
	defer other.close()
	dir, err := other.open(names[:last], nil)
	if err != nil {
		return err
	}
	return retry(func() error { return unix.Linkat(dir, names[last], toDir, to, 0) })
}
