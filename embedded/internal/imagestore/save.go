package imagestore

import (
	"archive/tar"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Save writes images as one tar archive, which docker load and podman load
// read, and which is an OCI layout, too. Layers are uncompressed, those that
// images share are there once. An image that is called by its ID is saved without
// a name. It is streamed: memory does not grow with it, and nobody waits for w.
func (s *Store) Save(ctx context.Context, w io.Writer, names ...string) error {
	if len(names) == 0 {
		return invalidf("no image to save")
	}
	v := &saver{tw: tar.NewWriter(w), layers: map[string]*layerReader{}}
	defer v.close()
	if err := s.shared(ctx, func(x *index) error { return v.open(s, x, names) }); err != nil {
		return err
	}
	if err := v.write(ctx); err != nil {
		return fmt.Errorf("save images: %w", err)
	}
	return nil
}

type saver struct {
	tw     *tar.Writer
	images []*savedImage
	layers map[string]*layerReader // by digest
}

type savedImage struct {
	id     string
	raw    []byte
	names  []string // in full
	layers []layer
}

// open finds the images and opens their files, so that they can be written
// when they have been removed.
func (v *saver) open(s *Store, x *index, names []string) error {
	byID := map[string]*savedImage{}
	for _, name := range names {
		id, full, err := x.find(name)
		if err != nil {
			return err
		}
		img := byID[id]
		if img == nil {
			img = &savedImage{id: id, layers: x.Images[id].Layers}
			if img.raw, err = s.readConfig(id); err != nil {
				return err
			}
			if err := v.openLayers(s, x.Images[id]); err != nil {
				return err
			}
			byID[id] = img
			v.images = append(v.images, img)
		}
		if full != "" && !slices.Contains(img.names, full) {
			img.names = append(img.names, full)
		}
	}
	return nil
}

func (v *saver) openLayers(s *Store, rec *record) error {
	missing := &record{}
	for _, l := range rec.Layers {
		if v.layers[l.DiffID] == nil && !slices.Contains(missing.Layers, l) {
			missing.Layers = append(missing.Layers, l)
		}
	}
	list, err := s.openLayers(missing)
	for _, l := range list {
		v.layers[l.DiffID] = l
	}
	return err
}

func (v *saver) close() { closeLayers(slices.Collect(maps.Values(v.layers))) }

func (v *saver) write(ctx context.Context) error {
	if err := v.file(ociLayout, []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	if err := v.dirs("blobs/", "blobs/sha256/"); err != nil {
		return err
	}
	for _, digest := range slices.Sorted(maps.Keys(v.layers)) {
		if err := v.layer(ctx, v.layers[digest]); err != nil {
			return err
		}
	}
	top := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	var entries []manifestEntry
	repositories := map[string]map[string]string{}
	for _, img := range v.images {
		list, err := v.image(img)
		if err != nil {
			return err
		}
		top.Manifests = append(top.Manifests, list...)
		entries = append(entries, img.entry())
		for _, name := range img.names {
			repo, tag := splitTag(shortName(name))
			if repositories[repo] == nil {
				repositories[repo] = map[string]string{}
			}
			repositories[repo][tag] = hexOf(img.top())
		}
	}
	for _, f := range []struct {
		name string
		data any
	}{{ociIndex, top}, {dockerManifest, entries}, {dockerNames, repositories}} {
		b, err := json.Marshal(f.data)
		if err == nil {
			err = v.file(f.name, b)
		}
		if err != nil {
			return err
		}
	}
	return v.tw.Close()
}

// image writes an image's configuration and its OCI manifest, and describes it
// once for each of its names.
func (v *saver) image(img *savedImage) ([]v1.Descriptor, error) {
	config, err := describe(img.id, int64(len(img.raw)), types.OCIConfigJSON)
	if err != nil {
		return nil, err
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config, Layers: []v1.Descriptor{}}
	for _, l := range img.layers {
		d, err := describe(l.DiffID, l.Tar, types.OCIUncompressedLayer)
		if err != nil {
			return nil, err
		}
		m.Layers = append(m.Layers, d)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	manifest, err := describe(digestOf(raw), int64(len(raw)), types.OCIManifestSchema1)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(v.file(blobName(img.id), img.raw), v.file(blobName(digestOf(raw)), raw)); err != nil {
		return nil, err
	}
	list := []v1.Descriptor{}
	for _, name := range img.names {
		_, tag := splitTag(name)
		d := manifest
		d.Annotations = map[string]string{containerdName: name, ociRefName: tag}
		list = append(list, d)
	}
	if len(list) == 0 {
		list = append(list, manifest)
	}
	return list, nil
}

func describe(digest string, size int64, kind types.MediaType) (v1.Descriptor, error) {
	h, err := v1.NewHash(digest)
	return v1.Descriptor{MediaType: kind, Size: size, Digest: h}, err
}

func (img *savedImage) entry() manifestEntry {
	e := manifestEntry{Config: blobName(img.id), RepoTags: shortNames(img.names)}
	for _, l := range img.layers {
		e.Layers = append(e.Layers, blobName(l.DiffID))
	}
	return e
}

// top is the digest of an image's newest layer.
func (img *savedImage) top() string {
	if len(img.layers) == 0 {
		return img.id
	}
	return img.layers[len(img.layers)-1].DiffID
}

func blobName(digest string) string { return "blobs/sha256/" + hexOf(digest) }

func (v *saver) layer(ctx context.Context, l *layerReader) error {
	if err := v.header(tar.TypeReg, blobName(l.DiffID), l.Tar); err != nil {
		return err
	}
	return l.read(func(r io.Reader) error {
		_, err := io.Copy(v.tw, stoppable{ctx, r})
		return err
	})
}

func (v *saver) file(name string, b []byte) error {
	if err := v.header(tar.TypeReg, name, int64(len(b))); err != nil {
		return err
	}
	_, err := v.tw.Write(b)
	return err
}

func (v *saver) dirs(names ...string) (err error) {
	for _, name := range names {
		err = cmp.Or(err, v.header(tar.TypeDir, name, 0))
	}
	return err
}

func (v *saver) header(kind byte, name string, size int64) error {
	mode := int64(0o644)
	if kind == tar.TypeDir {
		mode = 0o755
	}
	return v.tw.WriteHeader(&tar.Header{Typeflag: kind, Name: name, Size: size, Mode: mode, ModTime: time.Unix(0, 0)})
}
