// Package staging gives files and directories of this host names of their own
// until they are whole. Such a name can be told from every other one, and its
// owner holds a lock on it: what is left by a program that was killed is found
// and removed by the next one that has to do with the same directory.
package staging

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"
)

const (
	prefix = ".pocketdock-"
	random = 26 // letters and digits of rand.Text
)

func name() string { return prefix + rand.Text() }

// IsName reports whether a file name is one that this package, or the agent in
// a sandbox, gives to what is not whole yet.
func IsName(name string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && len(rest) == random && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// File makes an empty file in a directory, 0600. Its base name is the name.
func File(dir *os.Root) (*os.File, string, error) {
	return makeLocked(dir, func(name string) (*os.File, error) {
		return dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	})
}

// Dir makes a directory in a directory, 0700. Closing the file gives it up.
func Dir(dir *os.Root) (*os.File, string, error) {
	return makeLocked(dir, func(name string) (*os.File, error) {
		if err := dir.Mkdir(name, 0o700); err != nil {
			return nil, err
		}
		return dir.Open(name)
	})
}

// makeLocked makes something and locks it, before somebody who sweeps has
// taken it for a leftover.
func makeLocked(dir *os.Root, make func(name string) (*os.File, error)) (*os.File, string, error) {
	for range 100 {
		n := name()
		f, err := make(n)
		if errors.Is(err, fs.ErrNotExist) {
			if _, gone := dir.Stat("."); gone == nil {
				continue // swept between making and opening
			}
		}
		if err != nil {
			return nil, "", err
		}
		// On a file system without locks nobody sweeps.
		if lock(f) != errHeld && still(dir, n, f) {
			return f, n, nil
		}
		f.Close()
	}
	return nil, "", errors.New("temporary files are removed by another program as they are made")
}

// still reports whether f has its name.
func still(dir *os.Root, name string, f *os.File) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := dir.Lstat(name)
	return err == nil && os.SameFile(a, b)
}

// Sweep removes what programs that have ended left in a directory. What
// cannot be removed, or looked at, stays.
func Sweep(dir *os.Root) {
	if !canLock {
		return
	}
	d, err := dir.Open(".")
	if err != nil {
		return
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, n := range names {
			if IsName(n) {
				sweep(dir, n)
			}
		}
		if err != nil {
			return
		}
	}
}

func sweep(dir *os.Root, name string) {
	info, err := dir.Lstat(name)
	if err != nil || !info.Mode().IsRegular() && !info.IsDir() {
		return
	}
	f, err := dir.OpenFile(name, openFlags, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if lock(f) == nil && still(dir, name, f) {
		dir.RemoveAll(name)
	}
}
