//go:build linux

package fileops

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSweep: what somebody writes stays, what nobody does goes.
func TestSweep(t *testing.T) {
	dir := workDir(t)
	fd, err := openPath(unix.AT_FDCWD, dir, unix.O_DIRECTORY)
	must0(t, err)
	defer closeFD(fd)
	held, err := newReplacement(fd)
	must0(t, err)
	defer held.abandon()
	left, err := newReplacement(fd)
	must0(t, err)
	closeFD(left.fd) // as the end of its agent
	tree := stagedName()
	must0(t, os.MkdirAll(dir+"/"+tree+"/a/b", 0o700))
	keep := []string{held.name, ".pocketdock", ".pocketdock-mine", temporary(), stagedName() + "x"}
	for _, name := range keep[1:] {
		must0(t, os.WriteFile(dir+"/"+name, nil, 0o600))
	}
	link := stagedName()
	must0(t, os.Symlink("/etc/passwd", dir+"/"+link))
	sweep(fd)
	for _, name := range append(keep, link) {
		if _, err := os.Lstat(dir + "/" + name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{left.name, tree} {
		if _, err := os.Lstat(dir + "/" + name); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
}
