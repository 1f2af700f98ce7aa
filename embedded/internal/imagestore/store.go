// Package imagestore keeps the images of the embedded engine in a directory,
// without a daemon: any number of processes use it at once, and one that is
// killed at any moment leaves a store that the next one reads and cleans.
//
//	images.json    what images there are and what they are called
//	configs/       an image's configuration, byte for byte; its digest is the image's ID
//	layers/        each layer once, zstd; the name is the digest of the uncompressed layer
//	rootfs/        what sandboxes mount, for each chain of layers that one was made of
//	tmp/           what is not whole yet; its owner holds a lock on it
//
// images.json is replaced as a whole, under an exclusive lock. What it does not
// name is rubbish. What is long, reading an archive and unpacking, happens in
// tmp and holds nobody up.
package imagestore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pocketdock/pocketdock/internal/staging"
)

// A Store is a directory with images. All methods may be called concurrently.
type Store struct {
	root *os.Root
	dir  string
}

// Files and directories of a store.
const (
	indexFile = "images.json"
	lockFile  = "lock"       // of the index
	buildFile = "build.lock" // held while a root file system is made
	dirtyFile = "dirty"      // there while files and the index may differ
	configDir = "configs"
	layerDir  = "layers"
	rootfsDir = "rootfs"
	tmpDir    = "tmp"
)

// Open opens the store in a directory, which is made if it is missing, and
// removes what programs that were killed have left. The directory and all in it
// are the user's alone: 0700 and 0600.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("image store: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("image store: %w", err)
	}
	s := &Store{root: root, dir: dir}
	if err := s.prepare(); err != nil {
		root.Close()
		return nil, fmt.Errorf("image store %s: %w", dir, err)
	}
	return s, nil
}

// Close gives up the store's directory. Nothing has to be written.
func (s *Store) Close() error { return s.root.Close() }

func (s *Store) prepare() error {
	info, err := s.root.Stat(".")
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := s.root.Chmod(".", 0o700); err != nil {
			return fmt.Errorf("others may read it, and that cannot be changed: %w", err)
		}
	}
	for _, d := range []string{configDir, layerDir, rootfsDir, tmpDir} {
		if err := s.root.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if tmp, err := s.root.OpenRoot(tmpDir); err == nil {
		staging.Sweep(tmp)
		tmp.Close()
	}
	if _, err := s.root.Lstat(dirtyFile); err != nil {
		return nil
	}
	return s.exclusive(context.Background(), func(*index) error { return nil })
}

// shared calls back while nobody changes the store.
func (s *Store) shared(ctx context.Context, do func(*index) error) error {
	l, err := s.lock(ctx, lockFile, false)
	if err != nil {
		return err
	}
	defer l.Close()
	x, err := s.readIndex()
	if err != nil {
		return err
	}
	return do(x)
}

// exclusive calls back while nobody else uses the store, and writes the index
// if there was no error. Between its start and its end the store is marked:
// who finds the mark knows that somebody was killed, and sweeps.
func (s *Store) exclusive(ctx context.Context, do func(*index) error) error {
	l, err := s.lock(ctx, lockFile, true)
	if err != nil {
		return err
	}
	defer l.Close()
	x, err := s.readIndex()
	if err != nil {
		return err
	}
	mark, err := s.root.OpenFile(dirtyFile, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	mark.Close()
	if err = do(x); err == nil {
		err = s.writeIndex(x)
	}
	if err != nil {
		// What is on the disk counts, not what do made of it.
		var again error
		if x, again = s.readIndex(); again != nil {
			return errors.Join(err, again)
		}
	}
	return errors.Join(err, s.sweep(x))
}

// sweep removes every file that the index does not name, and the mark. The
// caller has the exclusive lock.
func (s *Store) sweep(x *index) error {
	keep := map[string]bool{}
	for id, img := range x.Images {
		keep[configPath(id)] = true
		keep[rootfsPath(img.chain())] = true
		for _, l := range img.Layers {
			keep[layerPath(l.DiffID)] = true
		}
	}
	for _, d := range []string{configDir, layerDir, rootfsDir} {
		list, err := fs.ReadDir(s.root.FS(), d)
		if err != nil {
			return err
		}
		for _, e := range list {
			if name := d + "/" + e.Name(); !keep[name] {
				if err := s.root.RemoveAll(name); err != nil {
					return err
				}
			}
		}
	}
	return s.root.Remove(dirtyFile)
}

// stage makes a directory for what is not whole yet. Closing it removes it.
func (s *Store) stage() (*stage, error) {
	tmp, err := s.root.OpenRoot(tmpDir)
	if err != nil {
		return nil, err
	}
	defer tmp.Close()
	lock, name, err := staging.Dir(tmp)
	if err != nil {
		return nil, err
	}
	g := &stage{s: s, lock: lock, name: tmpDir + "/" + name, left: maxTars}
	if g.dir, err = tmp.OpenRoot(name); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

type stage struct {
	s    *Store
	dir  *os.Root
	lock *os.File
	name string // of dir, in the store
	left int64  // bytes that layers may still have
}

func (g *stage) Close() error {
	if g.dir != nil {
		g.dir.Close()
	}
	err := g.s.root.RemoveAll(g.name)
	return errors.Join(err, g.lock.Close())
}

// move puts a staged file into the store, unless it is there.
func (g *stage) move(name, to string) error {
	if _, err := g.s.root.Lstat(to); err == nil {
		return nil
	}
	return g.s.root.Rename(g.name+"/"+name, to)
}

// Digests are "sha256:" and 64 hexadecimal digits.
const algorithm = "sha256:"

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return algorithm + hex.EncodeToString(sum[:])
}

// isDigest reports whether s is a digest, and so safe as a part of a path.
func isDigest(s string) bool {
	return len(s) == len(algorithm)+2*sha256.Size && s[:len(algorithm)] == algorithm && isHex(s[len(algorithm):])
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}

func hexOf(digest string) string { return digest[len(algorithm):] }

func configPath(id string) string    { return configDir + "/" + hexOf(id) }
func layerPath(diffID string) string { return layerDir + "/" + hexOf(diffID) + ".tar.zst" }
func rootfsPath(chain string) string { return rootfsDir + "/" + hexOf(chain) + ".erofs" }
