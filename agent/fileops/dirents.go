//go:build linux

package fileops

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// direntBuffers are what getdents(2) fills: about a thousand names at a time.
var direntBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// someNames adds the next batch of names of the directory open as fd, in the
// order that the file system has them. None means the end.
func someNames(fd int, names []string) ([]string, error) {
	buf := direntBuffers.Get().(*[32 << 10]byte)
	defer direntBuffers.Put(buf)
	before := len(names)
	for {
		var n int
		err := retry(func() (err error) {
			n, err = unix.Getdents(fd, buf[:])
			return err
		})
		if err != nil || n == 0 {
			return names, err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
		if len(names) > before { // not only "." and ".."
			return names, nil
		}
	}
}

// allNames are the names in the directory open as fd, sorted by their bytes.
func allNames(fd int) ([]string, error) {
	var names []string
	for {
		before := len(names)
		var err error
		if names, err = someNames(fd, names); err != nil {
			return nil, err
		}
		if len(names) == before {
			slices.Sort(names)
			return names, nil
		}
	}
}
