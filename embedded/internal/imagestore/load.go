package imagestore

import (
	"context"
	"io"
	"time"
)

// A Loaded image is one that Load found in an archive.
type Loaded struct {
	ID    string
	Names []string // as Docker shows them; none if the archive has none
}

// Load reads an archive of images as docker save and podman save (both its
// formats) write it, or an OCI layout in a tar, plain or compressed with gzip or
// zstd. It is read once, as a stream; layers go to the disk, memory does not grow
// with them. All images become visible at once, or, after an error, none: one
// is ErrInvalid if the archive is damaged, cut short, foreign or hostile. A
// name that another image had is moved to the new one.
func (s *Store) Load(ctx context.Context, r io.Reader) ([]Loaded, error) {
	g, err := s.stage()
	if err != nil {
		return nil, err
	}
	defer g.Close()
	a, err := g.readArchive(ctx, r)
	if err != nil {
		return nil, err
	}
	images, err := a.images()
	if err != nil {
		return nil, invalidf("image archive: %w", err)
	}
	if len(images) == 0 {
		return nil, invalidf("image archive: no image in it")
	}
	if err := s.exclusive(ctx, func(x *index) error {
		for _, img := range images {
			if err := g.publish(x, img, ""); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	var list []Loaded
	for _, img := range images {
		list = append(list, Loaded{img.id, shortNames(img.names)})
	}
	return list, nil
}

// publish moves what is staged of an image into the store, and into the index,
// which the caller writes.
func (g *stage) publish(x *index, img *foundImage, parent string) error {
	rec := x.Images[img.id]
	if rec == nil {
		rec = &record{Parent: parent, Loaded: time.Now().UTC()}
		for _, l := range img.layers {
			rec.Layers = append(rec.Layers, l.layer)
		}
		x.Images[img.id] = rec
	}
	for _, l := range img.layers {
		if l.file == "" {
			continue // the parent's
		}
		// A layer that is there already may be a damaged one.
		if err := g.s.root.Rename(g.name+"/"+l.file, layerPath(l.DiffID)); err != nil {
			return err
		}
		l.file = ""
	}
	if err := g.publishConfig(img); err != nil {
		return err
	}
	for _, name := range img.names {
		x.Names[name] = img.id
	}
	return nil
}

func (g *stage) publishConfig(img *foundImage) error {
	file := "config-" + hexOf(img.id)
	if err := g.write(file, img.raw); err != nil {
		return err
	}
	return g.s.root.Rename(g.name+"/"+file, configPath(img.id))
}
