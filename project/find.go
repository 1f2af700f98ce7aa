package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

const (
	dirName       = ".pocketdock"
	configName    = "pocketdock.yaml"
	instancesName = "instances"
)

// A Project is a directory of work with a .pocketdock directory. It is safe
// for concurrent use.
type Project struct {
	// Warn, if not nil, is told that something cannot be recorded (a full or
	// read-only disk), once. Set it before the first use. What is recorded
	// goes on without.
	Warn func(error)

	warned sync.Once

	dir string // absolute, that has .pocketdock
	// root is .pocketdock: what is planted in it leads nowhere outside.
	root *os.Root
}

// Dir is the project's directory, absolute.
func (p *Project) Dir() string { return p.dir }

// ConfigPath is the project's settings file; it need not exist.
func (p *Project) ConfigPath() string { return filepath.Join(p.dir, dirName, configName) }

// warn says once that recording does not work.
func (p *Project) warn(err error) {
	p.warned.Do(func() {
		if p.Warn != nil {
			p.Warn(err)
		}
	})
}

// Close releases the handle.
func (p *Project) Close() error { return p.root.Close() }

// Find finds the project of a directory: the first .pocketdock in it or above.
// It looks no higher than the file system that dir is on, nor into or above
// the user's home directory, whose .pocketdock is the user's own settings.
// Without one it returns [ErrNotInitialized].
func Find(dir string) (*Project, error) {
	home, _ := os.UserHomeDir()
	return find(dir, home)
}

func find(dir, home string) (*Project, error) {
	start, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	if home != "" {
		if h, err := resolve(home); err == nil {
			home = h
		}
	}
	for at := start; at != home; {
		_, err := os.Lstat(filepath.Join(at, dirName))
		switch {
		case err == nil:
			return Open(at)
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
			return nil, fmt.Errorf("looking for a project: %w", err)
		}
		up := filepath.Dir(at)
		if up == at || !sameDevice(at, up) {
			break
		}
		at = up
	}
	return nil, fmt.Errorf("%s: %w, nor above; make one with: pocketdock init", start, ErrNotInitialized)
}

// resolve is the absolute path without symbolic links: what is above a
// directory is where it really is.
func resolve(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", fmt.Errorf("looking for a project: %w", err)
	}
	return real, nil
}

// Open opens the project of a directory that has .pocketdock itself.
func Open(dir string) (*Project, error) {
	path := filepath.Join(dir, dirName)
	outer, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer outer.Close()
	root, fi, err := openDir(outer, dirName)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if uid, ok := foreignOwner(fi); ok {
		root.Close()
		return nil, fmt.Errorf("%s belongs to user %d, whose settings and logs are not yours: work in a copy, or as that user", path, uid)
	}
	return &Project{dir: dir, root: root}, nil
}

// openDir opens a directory below a root. A symbolic link is none.
func openDir(outer *os.Root, name string) (*os.Root, fs.FileInfo, error) {
	fi, err := outer.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !fi.IsDir() {
		return nil, nil, fmt.Errorf("a directory is needed, this is a %s: move it away", kindOf(fi))
	}
	root, err := outer.OpenRoot(name)
	if err != nil {
		return nil, nil, err
	}
	// It may have been exchanged for a link in between.
	if now, err := root.Stat("."); err != nil || !os.SameFile(fi, now) {
		root.Close()
		return nil, nil, errors.New("the directory changed while it was opened: try again")
	}
	return root, fi, nil
}

// kindOf names what is in the way.
func kindOf(fi fs.FileInfo) string {
	switch m := fi.Mode(); {
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m.IsDir():
		return "directory"
	case m.IsRegular():
		return "file"
	}
	return "special file"
}

// open opens a file of the project to read it.
func (p *Project) open(name string) (*os.File, error) { return openRegular(p.root, name, os.O_RDONLY) }
