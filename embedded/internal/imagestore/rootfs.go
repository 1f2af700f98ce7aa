package imagestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pocketdock/pocketdock/embedded/internal/rootfs"
)

// Rootfs makes link, a path in an existing directory on the store's file
// system, a name of the image's root file system: one file, an EROFS image,
// made when it is first asked for and shared by all containers of all images
// with these layers. The caller must not write to it. Being a hard link, it
// stays when the image is removed; to remove it gives its space back.
//
// gVisor mounts it by itself, as any user, with these annotations of the OCI
// spec. root.path has to be an empty directory, and without
// root.readonly the overlay takes what is written:
//
//	dev.gvisor.spec.rootfs.type    = erofs
//	dev.gvisor.spec.rootfs.source  = link, an absolute path
//	dev.gvisor.spec.rootfs.overlay = memory, or dir=/a/directory
//
// Owners, modes, times, hard links and device numbers are the image's.
// Extended attributes, which gVisor cannot read from EROFS, are left out.
func (s *Store) Rootfs(ctx context.Context, name, link string) error {
	link, err := filepath.Abs(link)
	if err != nil {
		return err
	}
	var id string
	var rec *record
	err = s.shared(ctx, func(x *index) error {
		if id, _, err = x.find(name); err != nil {
			return err
		}
		rec = x.Images[id]
		return s.linkRootfs(rec, link)
	})
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// One at a time: two that need the same would make it twice.
	l, err := s.lock(ctx, buildFile, true)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := s.buildRootfs(ctx, rec, link); err != nil {
		return fmt.Errorf("unpack image %s: %w", shortID(id), err)
	}
	return nil
}

func (s *Store) linkRootfs(rec *record, link string) error {
	return os.Link(filepath.Join(s.dir, filepath.FromSlash(rootfsPath(rec.chain()))), link)
}

func (s *Store) buildRootfs(ctx context.Context, rec *record, link string) error {
	var layers []*layerReader
	made := false // by another meanwhile
	err := s.shared(ctx, func(*index) (err error) {
		if err = s.linkRootfs(rec, link); errors.Is(err, fs.ErrNotExist) {
			layers, err = s.openLayers(rec)
			return err
		}
		made = err == nil
		return err
	})
	if err != nil || made {
		return err
	}
	defer closeLayers(layers)
	g, err := s.stage()
	if err != nil {
		return err
	}
	defer g.Close()
	const file = "rootfs"
	if err := g.unpack(ctx, file, layers, rec.chain()); err != nil {
		return err
	}
	// Should the image have been removed meanwhile, the sweep at the end takes
	// the store's name of the file, and the caller has his.
	return s.exclusive(ctx, func(*index) error {
		if err := g.move(file, rootfsPath(rec.chain())); err != nil {
			return err
		}
		return s.linkRootfs(rec, link)
	})
}

// unpack makes a root file system of layers.
func (g *stage) unpack(ctx context.Context, file string, layers []*layerReader, chain string) error {
	f, err := g.dir.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o400)
	if err != nil {
		return err
	}
	defer f.Close()
	tree := rootfs.New(f)
	for _, l := range layers {
		if err := l.read(func(r io.Reader) error { return tree.Apply(ctx, r) }); err != nil {
			return err
		}
	}
	if err := tree.Finish(uuid(chain)); err != nil {
		return err
	}
	// Its name says what is in it, and nobody looks again.
	return errors.Join(f.Sync(), f.Close())
}
