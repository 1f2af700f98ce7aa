package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	newPrefix = ".new-"
	delPrefix = ".del-"
)

// halfName is a name that says whose directory it is.
func halfName(owner, machine string) string {
	// A colon cannot be in a name everywhere.
	return strings.NewReplacer(":", "_", "/", "_").Replace(owner) + "@" + machine + "-" + newID()
}

func half(path, name string) Half {
	if i := strings.LastIndexByte(name, '-'); i >= 0 {
		name = name[:i]
	}
	name, machine, _ := strings.Cut(name, "@")
	return Half{path, strings.ReplaceAll(name, "_", ":"), machine}
}

func isID(s string) bool { return len(s) == 16 && strings.Trim(s, "0123456789abcdef") == "" }

// Contents are the names in a state directory, unread.
type Contents struct {
	Boxes []Box
	Half  []Half   // containers' directories that are being made
	Work  []Half   // directories of operations under way
	Waste []string // paths of what is being removed
	Gone  []Gone
}

// A Half is a directory that is its owner's only while that lives.
type Half struct{ Path, Owner, Machine string }

// A Gone is a container's directory that was removed while the engine might
// still have been creating the container.
type Gone struct {
	Box  Box
	Path string
}

// Contents lists the directory. A missing one is empty.
func (d Dir) Contents() (*Contents, error) {
	c := &Contents{}
	names, err := list(d.boxes())
	for _, name := range names {
		path := filepath.Join(d.boxes(), name)
		switch {
		case isID(name):
			c.Boxes = append(c.Boxes, Box(path))
		case strings.HasPrefix(name, newPrefix):
			c.Half = append(c.Half, half(path, name[len(newPrefix):]))
		case strings.HasPrefix(name, delPrefix):
			c.Waste = append(c.Waste, path)
		}
	}
	names, err2 := list(d.work())
	for _, name := range names {
		c.Work = append(c.Work, half(filepath.Join(d.work(), name), name))
	}
	names, err3 := list(d.gone())
	for _, name := range names {
		if path := filepath.Join(d.gone(), name); isID(name) {
			c.Gone = append(c.Gone, Gone{Box(filepath.Join(d.boxes(), name)), path})
		}
	}
	return c, errors.Join(err, err2, err3)
}

// list is the names in a directory, in no order.
func list(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (d Dir) work() string { return filepath.Join(string(d), "work") }

// NewWork makes a directory for an operation of an owner. Whoever made it
// removes it; when its owner has died, a sweep does.
func (d Dir) NewWork(owner, machine string) (string, error) {
	if err := os.MkdirAll(d.work(), 0o700); err != nil {
		return "", err
	}
	dir := filepath.Join(d.work(), halfName(owner, machine))
	return dir, os.Mkdir(dir, 0o700)
}

func (d Dir) gone() string { return filepath.Join(string(d), "gone") }

// Bury removes the directory of a container that the engine does not have and
// may yet make, and keeps its record.
func (d Dir) Bury(b Box) error {
	if err := os.MkdirAll(d.gone(), 0o700); err != nil {
		return err
	}
	// The directory's own file, which is whole.
	err := os.Link(b.recordFile(), filepath.Join(d.gone(), filepath.Base(string(b))))
	if err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	now := time.Now()
	err = os.Chtimes(filepath.Join(d.gone(), filepath.Base(string(b))), now, now)
	return errors.Join(err, b.Remove())
}

// Record reads what Bury kept, and since when.
func (g Gone) Record() (*Record, time.Time, error) {
	fi, err := os.Stat(g.Path)
	if err != nil {
		return nil, time.Time{}, err
	}
	r, err := readRecord(g.Path)
	return r, fi.ModTime(), err
}

// sweptName is a file that is as old as the last sweep.
const sweptName = "swept"

// Swept is when a sweep last looked at everything; zero if that is not known.
func (d Dir) Swept() time.Time { return modTime(filepath.Join(string(d), sweptName)) }

// SetSwept notes that one has. A directory that is not there needs no note.
func (d Dir) SetSwept() error {
	path := filepath.Join(string(d), sweptName)
	now := time.Now()
	err := os.Chtimes(path, now, now)
	if errors.Is(err, os.ErrNotExist) {
		err = os.WriteFile(path, nil, 0o600)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Recorded is when the record was written; zero if that is not known.
func (b Box) Recorded() time.Time { return modTime(b.recordFile()) }

func modTime(path string) time.Time {
	fi, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return fi.ModTime()
}

// missingName marks a directory whose container was not found.
const missingName = "missing"

// Missing notes that the container is not there, and says since when that is
// known.
func (b Box) Missing() (time.Time, error) {
	path := filepath.Join(string(b), missingName)
	fi, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return time.Now(), b.WriteFile(missingName, nil)
	}
	if err != nil {
		return time.Time{}, err
	}
	return fi.ModTime(), nil
}

// Found takes that back.
func (b Box) Found() error {
	err := os.Remove(filepath.Join(string(b), missingName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
