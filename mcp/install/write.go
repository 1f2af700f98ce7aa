package install

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A Written says what Write did.
type Written struct {
	// Path of the file that was written: what a symbolic link leads to.
	Path string
	// Backup is a copy of what it was; empty if it was not there.
	Backup string
	// Changed: false if all was there already. Then nothing was written.
	Changed bool
}

// Write adds the entry to a client's file, whole or not at all. What the file
// was stays beside it.
func (c Client) Write(path string, e Entry) (Written, error) {
	w := Written{Path: path}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		w.Path = real
	} else if !errors.Is(err, fs.ErrNotExist) {
		return w, err
	}
	old, mode, err := readConfig(w.Path)
	if err != nil {
		return w, err
	}
	text, err := c.Add(old, e)
	if err != nil {
		return w, fmt.Errorf("%s: %w", w.Path, err)
	}
	if bytes.Equal(old, text) {
		return w, nil
	}
	if err := os.MkdirAll(filepath.Dir(w.Path), 0o700); err != nil {
		return w, err
	}
	if old != nil {
		w.Backup = w.Path + time.Now().UTC().Format(".backup-20060102T150405.000Z")
		if err := writeNew(w.Backup, old, mode); err != nil {
			return w, fmt.Errorf("keeping a copy of the configuration: %w", err)
		}
	}
	half := fmt.Sprintf("%s.new-%d", w.Path, os.Getpid())
	if err := writeNew(half, text, mode); err != nil {
		return w, err
	}
	// The client may write it, too; between this look and the rename little
	// time goes by.
	now, _, err := readConfig(w.Path)
	if err == nil && !bytes.Equal(now, old) {
		err = fmt.Errorf("%s was changed meanwhile: try again", w.Path)
	}
	if err == nil {
		err = os.Rename(half, w.Path)
	}
	if err != nil {
		return w, errors.Join(err, os.Remove(half))
	}
	w.Changed = true
	return w, nil
}

// readConfig reads a file, nil if it is not there, and its mode.
func readConfig(path string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0o600, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !fi.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if b == nil {
		b = []byte{}
	}
	return b, fi.Mode().Perm(), err
}

// writeNew writes a file that must not be there, to the disk.
func writeNew(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
