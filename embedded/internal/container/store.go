//go:build linux

package container

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/embedded/internal/group"
	"github.com/pocketdock/pocketdock/embedded/internal/imagestore"
	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

// Errors, for errors.Is.
var (
	ErrNotFound   = errors.New("no such container")
	ErrConflict   = errors.New("conflict")
	ErrNotRunning = errors.New("is not running")
	ErrInvalid    = errors.New("not valid")
	ErrNoSupport  = errors.New("not supported by the embedded engine yet")
)

// A Store is a directory with containers and images. Any number of processes
// use it at once.
type Store struct {
	Dir    string
	Images *imagestore.Store
	// Program runs monitors and the parts of sandboxes.
	Program string

	spares spares
}

// dirName is how a container's directory is called: the path of the sandbox's
// socket has to be below 108 bytes.
func dirName(id string) string { return id[:16] }

// Open opens the store in a directory, which is made if it is missing.
func Open(dir, program string) (*Store, error) {
	for _, d := range []string{"c", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	images, err := imagestore.Open(filepath.Join(dir, "images"))
	if err != nil {
		return nil, err
	}
	s := &Store{Dir: dir, Images: images, Program: program}
	return s, s.clean()
}

// stale is how old something unfinished is that nobody works on any more.
const stale = time.Hour

// clean removes what programs left that were killed, if nobody has looked of
// late: there is something of every container of the last hour.
func (s *Store) clean() error {
	mark := filepath.Join(s.Dir, "cleaned")
	if fi, err := os.Stat(mark); err == nil && time.Since(fi.ModTime()).Abs() < stale/10 {
		return nil
	}
	_ = os.WriteFile(mark, nil, 0o600) // where it cannot be written, cleaning may help
	if os.Geteuid() == 0 {
		group.Sweep(stale)
	}
	list, err := os.ReadDir(filepath.Join(s.Dir, "tmp"))
	if err != nil {
		return err
	}
	for _, e := range list {
		if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > stale {
			os.RemoveAll(filepath.Join(s.Dir, "tmp", e.Name()))
		}
	}
	return nil
}

// locked runs f while no other process does.
func (s *Store) locked(f func() error) error {
	l, err := os.OpenFile(filepath.Join(s.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := flock(l, unix.LOCK_EX); err != nil {
		return err
	}
	return f()
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err != unix.EINTR {
			return err
		}
	}
}

// newID makes an ID for a container.
func newID() string {
	var id [32]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// Create makes a container of an image.
func (s *Store) Create(ctx context.Context, c *Container) error {
	c.Created = time.Now().UTC()
	if c.ID = s.spares.id(); c.ID == "" {
		c.ID = newID()
	}
	if c.Name == "" {
		c.Name = "embedded-" + c.ID[:8]
	}
	tmp := filepath.Join(s.Dir, "tmp", dirName(c.ID))
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := s.rootfs(ctx, c, filepath.Join(tmp, "root.erofs")); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(tmp, "config.json"), c); err != nil {
		return err
	}
	return s.locked(func() error {
		if err := s.free(c.Name); err != nil {
			return err
		}
		c.Dir = filepath.Join(s.Dir, "c", dirName(c.ID))
		if err := os.Rename(tmp, c.Dir); err != nil {
			return err
		}
		s.Tell(c, "create", nil)
		return nil
	})
}

// rootfs links the container's root file system. One that is read-only has to
// have the places for mounts already: it is that of an image with a layer more.
func (s *Store) rootfs(ctx context.Context, c *Container, link string) error {
	if !c.Host.ReadonlyRootfs {
		return s.Images.Rootfs(ctx, c.ImageID, link)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	own, err := c.mounts()
	if err != nil {
		return err
	}
	own = append(own, specs.Mount{Destination: "/etc/hosts", Type: "bind", Source: "/etc/hosts"}, specs.Mount{Destination: "/proc"}, specs.Mount{Destination: "/sys"}, specs.Mount{Destination: "/dev"})
	for _, m := range own {
		h := &tar.Header{Typeflag: tar.TypeDir, Name: m.Destination[1:] + "/", Mode: 0o755}
		if fi, err := os.Stat(m.Source); m.Type == "bind" && err == nil && !fi.IsDir() {
			h.Typeflag, h.Name, h.Mode = tar.TypeReg, m.Destination[1:], 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	id, err := s.Images.Commit(ctx, imagestore.CommitOptions{Parent: c.ImageID, Diff: &b, CreatedBy: "places for mounts"})
	if err != nil {
		return err
	}
	err = s.Images.Rootfs(ctx, id, link)
	_, _, e := s.Images.Remove(context.WithoutCancel(ctx), id, true)
	return errors.Join(err, e)
}

// free reports that a name is taken.
func (s *Store) free(name string) error {
	list, err := s.List()
	if err != nil {
		return err
	}
	for _, o := range list {
		if o.Name == name {
			return fmt.Errorf("the container name %q is already in use by container %s: %w", name, o.ID, ErrConflict)
		}
	}
	return nil
}

// Rename gives a container another name.
func (s *Store) Rename(c *Container, name string) error {
	return s.locked(func() error {
		if err := s.free(name); err != nil {
			return err
		}
		old := c.Name
		c.Name = name
		if err := writeJSON(filepath.Join(c.Dir, "config.json"), c); err != nil {
			return err
		}
		s.Tell(c, "rename", map[string]string{"oldName": old})
		return nil
	})
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// List is all containers, the newest first.
func (s *Store) List() ([]*Container, error) {
	dirs, err := os.ReadDir(filepath.Join(s.Dir, "c"))
	if err != nil {
		return nil, err
	}
	var list []*Container
	for _, d := range dirs {
		c, err := s.read(d.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // it is being removed
		}
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Container) int { return b.Created.Compare(a.Created) })
	return list, nil
}

// Get finds a container by name, ID or unique beginning of an ID.
func (s *Store) Get(ref string) (*Container, error) {
	ref = strings.TrimPrefix(ref, "/")
	if len(ref) == 64 {
		if c, err := s.read(dirName(ref)); err == nil && c.ID == ref {
			return c, nil
		}
	}
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	var found *Container
	for _, c := range list {
		switch {
		case c.Name == ref || c.ID == ref:
			return c, nil
		case ref != "" && strings.HasPrefix(c.ID, ref):
			if found != nil {
				return nil, fmt.Errorf("%s: several containers have IDs that begin so: %w", ref, ErrInvalid)
			}
			found = c
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, ref)
	}
	return found, nil
}

// read reads a container's directory.
func (s *Store) read(name string) (*Container, error) {
	c := &Container{Dir: filepath.Join(s.Dir, "c", name)}
	b, err := os.ReadFile(filepath.Join(c.Dir, "config.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Dir, err)
	}
	return c, c.Refresh()
}

// Refresh reads the container's state again.
func (c *Container) Refresh() error {
	// The lock before the state: a monitor writes the state before it lets go.
	locked, err := isLocked(filepath.Join(c.Dir, monitor.LockFile))
	if err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(c.Dir, monitor.StateFile))
	if errors.Is(err, fs.ErrNotExist) {
		c.Running = false
		if _, err := os.Stat(c.Dir); err == nil {
			c.State = monitor.State{}
			return nil
		}
		// It was removed. How it ended stays known.
		b, err = os.ReadFile(filepath.Join(c.Dir, "../../tmp", filepath.Base(c.Dir)+monitor.EndSuffix))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if err != nil {
		return err
	}
	c.State = monitor.State{}
	if err := json.Unmarshal(b, &c.State); err != nil {
		return fmt.Errorf("%s: %w", c.Dir, err)
	}
	c.Running = locked && c.State.Started != "" && c.State.Finished == ""
	if !c.Running && c.State.Started != "" && c.State.Finished == "" {
		c.State.Killed()
	}
	if c.Running {
		_, err := os.Stat(filepath.Join(c.Dir, "paused"))
		c.Paused = err == nil
	}
	return nil
}

func isLocked(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err := flock(f, unix.LOCK_SH|unix.LOCK_NB); err == unix.EWOULDBLOCK {
		return true, nil
	} else {
		return false, err
	}
}
