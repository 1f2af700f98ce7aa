package imagestore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// An Image is what the store knows of one.
type Image struct {
	ID      string   // "sha256:…"
	Names   []string // as Docker shows them, "busybox:latest"; none for a dangling image
	Parent  string   // the ID of what it was committed from, which may be gone; or empty
	Created time.Time
	Loaded  time.Time     // or committed, here
	Size    int64         // bytes of the layers' files, layers shared with other images included
	Layers  []string      // digests of the uncompressed layers, the lowest first
	Config  v1.ConfigFile // what to run, for which processor, and its history
	Raw     []byte        // that file as it is; the ID is its digest
}

// maxConfig is the largest image configuration, in bytes. Docker's limit for
// a manifest is half of it.
const maxConfig = 8 << 20

// List is all images, the newest first.
func (s *Store) List(ctx context.Context) (list []*Image, err error) {
	err = s.shared(ctx, func(x *index) error {
		for id := range x.Images {
			img, err := s.image(x, id)
			if err != nil {
				return err
			}
			list = append(list, img)
		}
		return nil
	})
	slices.SortFunc(list, func(a, b *Image) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	return list, err
}

// Get finds an image by one of its names, its ID, or the first digits of that
// if no other has the same. A name without a registry may be one that Podman
// has as localhost/NAME.
func (s *Store) Get(ctx context.Context, name string) (img *Image, err error) {
	err = s.shared(ctx, func(x *index) error {
		id, _, err := x.find(name)
		if err == nil {
			img, err = s.image(x, id)
		}
		return err
	})
	return img, err
}

// find is an image's ID by what it may be called; full is its name, if it was
// called by that.
func (x *index) find(name string) (id, full string, err error) {
	if isDigest(name) {
		if x.Images[name] == nil {
			return "", "", notFound(name)
		}
		return name, "", nil
	}
	digits := strings.TrimPrefix(name, algorithm)
	if len(digits) == 64 && isHex(digits) {
		if id := algorithm + digits; x.Images[id] != nil {
			return id, "", nil
		}
	}
	full, nameErr := fullName(name)
	if nameErr == nil {
		if id := x.Names[full]; id != "" {
			return id, full, nil
		}
		if local, ok := localName(full); ok && x.Names[local] != "" {
			return x.Names[local], local, nil
		}
	}
	if !isHex(digits) {
		if nameErr != nil {
			return "", "", nameErr
		}
		return "", "", notFound(name)
	}
	for have := range x.Images {
		if !strings.HasPrefix(hexOf(have), digits) {
			continue
		}
		if id != "" {
			return "", "", invalidf("image %s: several images have an ID that begins with this", name)
		}
		id = have
	}
	if id == "" {
		return "", "", notFound(name)
	}
	return id, "", nil
}

// names are those of an image, in full, sorted.
func (x *index) names(id string) (list []string) {
	for name, of := range x.Names {
		if of == id {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

func (s *Store) image(x *index, id string) (*Image, error) {
	raw, err := s.readConfig(id)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", id, err)
	}
	r := x.Images[id]
	img := &Image{ID: id, Parent: r.Parent, Loaded: r.Loaded, Raw: raw}
	if err := json.Unmarshal(raw, &img.Config); err != nil {
		return nil, fmt.Errorf("image %s: its configuration: %w", id, err)
	}
	img.Created = img.Config.Created.Time
	for _, name := range x.names(id) {
		img.Names = append(img.Names, shortName(name))
	}
	for _, l := range r.Layers {
		img.Layers = append(img.Layers, l.DiffID)
		img.Size += l.Size
	}
	return img, nil
}

func (s *Store) readConfig(id string) ([]byte, error) {
	f, err := s.root.Open(configPath(id))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return nil, err
	}
	if digestOf(raw) != id {
		return nil, fmt.Errorf("%s is damaged; remove the image and load it again", f.Name())
	}
	return raw, nil
}

// parseConfig reads an image's configuration as far as it has to make sense.
func parseConfig(raw []byte) (*v1.ConfigFile, error) {
	if len(raw) > maxConfig {
		return nil, fmt.Errorf("a configuration of %d bytes", len(raw))
	}
	c, err := v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("its configuration: %w", err)
	}
	if c.OS != "" && c.OS != "linux" {
		return nil, fmt.Errorf("an image for %.40q; sandboxes are Linux", c.OS)
	}
	if len(c.RootFS.DiffIDs) > maxLayers {
		return nil, fmt.Errorf("%d layers, %d are possible", len(c.RootFS.DiffIDs), maxLayers)
	}
	for _, d := range c.RootFS.DiffIDs {
		if !isDigest(d.String()) {
			return nil, fmt.Errorf("a layer of the digest %.100q", d.String())
		}
	}
	return c, nil
}

// maxLayers of an image; Docker's overlay has 128.
const maxLayers = 512

// Tag gives an image another name. An image that had it keeps its other names,
// or is dangling from now on.
func (s *Store) Tag(ctx context.Context, name, as string) error {
	full, err := fullName(as)
	if err != nil {
		return err
	}
	return s.exclusive(ctx, func(x *index) error {
		id, _, err := x.find(name)
		if err == nil {
			x.Names[full] = id
		}
		return err
	})
}
