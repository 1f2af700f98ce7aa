package project

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// openRegular opens a file below a root and refuses what is none: a pipe
// would block, and a symbolic link is not ours, even one that stays inside.
func openRegular(root *os.Root, name string, flags int) (*os.File, error) {
	f, err := root.OpenFile(name, flags|nonblock, 0o600)
	if err != nil {
		return nil, err
	}
	if err := checkRegular(root, name, f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func checkRegular(root *os.Root, name string, f *os.File) error {
	got, err := f.Stat()
	if err != nil {
		return err
	}
	if !got.Mode().IsRegular() {
		return &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("must be a regular file, is a %s", kindOf(got))}
	}
	named, err := root.Lstat(name)
	if err == nil && named.Mode()&fs.ModeSymlink != 0 {
		return &fs.PathError{Op: "open", Path: name, Err: errors.New("must be a regular file, is a symbolic link")}
	}
	return nil // it may have been renamed meanwhile
}

// newFile writes a file under another name and gives it its own when it is
// whole. It returns fs.ErrExist if there is one.
func newFile(root *os.Root, name string, data []byte, mode fs.FileMode) error {
	return putFile(root, name, data, mode, root.Link)
}

// replaceFile is newFile that takes the place of what is there.
func replaceFile(root *os.Root, name string, data []byte, mode fs.FileMode) error {
	return putFile(root, name, data, mode, root.Rename)
}

func putFile(root *os.Root, name string, data []byte, mode fs.FileMode, put func(from, to string) error) error {
	var b [6]byte
	rand.Read(b[:])
	tmp := path.Join(path.Dir(name), ".new-"+hex.EncodeToString(b[:]))
	f, err := root.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer root.Remove(tmp)
	_, err = f.Write(data)
	// The mode is exact, whatever the umask.
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return put(tmp, name)
}
