//go:build linux

package fileops

import (
	"crypto/rand"
	"strings"

	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// path makes p absolute. It is not cleaned: "a/.." is not "." when a is a
// symbolic link.
func (o *operation) path(p wire.Path) (string, error) {
	switch {
	case p == "":
		return "", invalid("", "the path is empty")
	case strings.IndexByte(string(p), 0) >= 0:
		return "", invalid(string(p), "the path %s has a zero byte", quote(string(p)))
	case p[0] == '/':
		return string(p), nil
	}
	return o.dir + "/" + string(p), nil
}

// split cuts a path before its last element. Slashes at the end are dropped.
// The last element may be "", "." or "..", which name no entry of dir.
func split(path string) (dir, base string) {
	path = trimSlashes(path)
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return ".", path
	}
	return path[:i+1], path[i+1:]
}

// trimSlashes removes slashes at the end, which would make the kernel follow
// a symbolic link.
func trimSlashes(path string) string {
	for len(path) > 1 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	return path
}

// isEntry: base names an entry of a directory.
func isEntry(base string) bool {
	return base != "" && base != "." && base != ".." && base != "/"
}

// join is dir/name, where dir may be empty.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// temporary makes a name that nobody can guess and nothing has, for a moment.
// It is not one of stagedName: nobody locks it, so nobody may sweep it.
func temporary() string { return temporaryPrefix + rand.Text() + "~" }

// parent opens the directory that path is an entry of, and returns the
// entry's name. With make, missing directories are made, 0755.
func parent(path string, make bool) (dir int, base string, err error) {
	d, base := split(path)
	if !isEntry(base) {
		return -1, "", unix.EINVAL
	}
	dir, err = openPath(unix.AT_FDCWD, d, unix.O_DIRECTORY)
	if err == unix.ENOENT && make {
		if err = mkdirAll(d); err == nil {
			dir, err = openPath(unix.AT_FDCWD, d, unix.O_DIRECTORY)
		}
	}
	return dir, base, err
}

// openPath opens a place in the tree, not the file that is there.
func openPath(dir int, path string, flags int) (int, error) {
	return openAt(dir, path, unix.O_PATH|flags, 0)
}

func openAt(dir int, path string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(dir, path, flags|unix.O_CLOEXEC, mode)
		return err
	})
	if err != nil {
		return -1, err
	}
	return fd, nil
}

// closeFD closes a descriptor where nothing depends on how that ends. Linux
// frees it whatever close(2) returns.
func closeFD(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}
