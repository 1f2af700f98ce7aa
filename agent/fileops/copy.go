//go:build linux

package fileops

import (
	"io"

	"github.com/pocketdock/pocketdock/internal/holes"
	"golang.org/x/sys/unix"
)

// copyTree copies a file, link, FIFO or directory with modes, times, holes
// and hard links, and owners if it acts as root. Extended attributes are not
// copied. Messages name the source as path.
func copyTree(root bool, path string, st *unix.Stat_t, fromDir int, from string, toDir int, to string) error {
	c := copier{root: root, path: path}
	if !isDir(st) {
		return c.file(visit{dir: fromDir, name: from, st: st}, toDir, to)
	}
	top, err := openDirectory(fromDir, from, unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer closeFD(top.fd)
	made, err := newDirectory(toDir, to)
	if err != nil {
		return err
	}
	c.into = []int{made}
	c.made = &beneath{top: made}
	defer func() {
		for _, fd := range c.into {
			closeFD(fd)
		}
	}()
	w := walk{depth: -1, enter: c.enter, leave: c.leave, unreadable: func(rel string, err error) error {
		return failure("copy", join(path, rel), err)
	}}
	if err := w.run(top); err != nil {
		return err
	}
	return c.attributes(st).set(made)
}

// A copier follows a walk with the directories that it makes.
type copier struct {
	root  bool
	path  string
	into  []int    // the open directories down to the present one
	made  *beneath // the copy
	links links
}

func (c *copier) attributes(st *unix.Stat_t) attributes {
	a := attributes{mode: st.Mode & permissions, mtime: &st.Mtim}
	if c.root {
		a.owner = &owner{uid: int(st.Uid), gid: int(st.Gid)}
	}
	return a
}

func (c *copier) enter(v visit) (bool, error) {
	to := c.into[len(c.into)-1]
	var err error
	if isDir(v.st) {
		var fd int
		if fd, err = newDirectory(to, v.name); err == nil {
			c.into = append(c.into, fd)
			return true, nil
		}
	} else {
		err = c.file(v, to, v.name)
	}
	if err != nil {
		return false, failure("copy", join(c.path, v.rel), err)
	}
	return false, nil
}

func (c *copier) leave(v visit) error {
	last := len(c.into) - 1
	fd := c.into[last]
	c.into = c.into[:last]
	defer closeFD(fd)
	if err := c.attributes(v.st).set(fd); err != nil {
		return failure("copy", join(c.path, v.rel), err)
	}
	return nil
}

// newDirectory makes a directory, for us alone until it has its attributes.
func newDirectory(dir int, name string) (int, error) {
	if err := retry(func() error { return unix.Mkdirat(dir, name, 0o700) }); err != nil {
		return -1, err
	}
	return openAt(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// file copies what is not a directory.
func (c *copier) file(v visit, toDir int, to string) error {
	if c.made != nil {
		if first, ok := c.links.first(v.st, v.rel); ok {
			return c.made.link(first, toDir, to)
		}
	}
	a := c.attributes(v.st)
	switch v.st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return copyFile(v.dir, v.name, toDir, to, a)
	case unix.S_IFLNK:
		says, err := readLink(v.dir, v.name)
		if err != nil {
			return err
		}
		if err := unix.Symlinkat(says, toDir, to); err != nil {
			return err
		}
		return a.setAt(toDir, to, true)
	}
	if err := unix.Mknodat(toDir, to, v.st.Mode&unix.S_IFMT|0o600, int(v.st.Rdev)); err != nil {
		return err
	}
	return a.setAt(toDir, to, false)
}

func copyFile(fromDir int, from string, toDir int, to string, a attributes) error {
	src, err := openAt(fromDir, from, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer closeFD(src)
	dst, err := openAt(toDir, to, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer closeFD(dst)
	if err := copyContent(dst, src); err != nil {
		return err
	}
	return a.set(dst)
}

// copyContent copies what is in src to the empty file dst.
func copyContent(dst, src int) error {
	w := &holes.Writer{File: newFile(dst)}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		n, err := content(src).ReadAt(buf[:], w.Offset())
		if err != nil && err != io.EOF {
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return w.Finish()
		}
	}
}
