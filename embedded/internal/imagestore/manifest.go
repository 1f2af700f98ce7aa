package imagestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A foundImage is one of an archive.
type foundImage struct {
	id     string
	raw    []byte
	layers []*stagedLayer
	names  []string // in full
}

// Files that say what is in an archive.
const (
	dockerManifest = "manifest.json"
	dockerNames    = "repositories"
	ociIndex       = "index.json"
	ociLayout      = "oci-layout"
)

// Annotations that say a name in an OCI index.
const (
	containerdName = "io.containerd.image.name" // in full
	ociRefName     = "org.opencontainers.image.ref.name"
)

// images are what an archive has. Docker since 25 writes both kinds of
// manifests, and its own is what names images as its user does.
func (a *archive) images() ([]*foundImage, error) {
	switch {
	case a.has(dockerManifest):
		return a.dockerImages()
	case a.has(ociIndex):
		return a.ociImages()
	}
	return nil, errors.New("it has neither a manifest.json nor an index.json: it is cut short, or no archive of images")
}

// A manifestEntry is an image in manifest.json, see
// https://github.com/moby/docker-image-spec/blob/main/spec.md.
type manifestEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (a *archive) dockerImages() (list []*foundImage, err error) {
	text, err := a.text(dockerManifest)
	if err != nil {
		return nil, err
	}
	var entries []manifestEntry
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, fmt.Errorf("%s: %w", dockerManifest, err)
	}
	for _, e := range entries {
		m, err := a.get(e.Config)
		if err != nil {
			return nil, err
		}
		if err := checkName(e.Config, m.digest); err != nil {
			return nil, err
		}
		if m.text == nil {
			return nil, fmt.Errorf("%.200q is no JSON", e.Config)
		}
		img := &foundImage{id: m.digest, raw: m.text}
		for _, name := range e.Layers {
			l, err := a.get(name)
			if err != nil {
				return nil, err
			}
			img.layers = append(img.layers, l.layer)
		}
		for _, name := range e.RepoTags {
			full, err := fullName(name)
			if err != nil {
				return nil, err
			}
			img.names = append(img.names, full)
		}
		if err := img.check(); err != nil {
			return nil, err
		}
		list = append(list, img)
	}
	return list, nil
}

// maxManifests is how many manifests of an OCI index are read.
const maxManifests = 1000

func (a *archive) ociImages() (list []*foundImage, err error) {
	text, err := a.text(ociIndex)
	if err != nil {
		return nil, err
	}
	var top v1.IndexManifest
	if err := json.Unmarshal(text, &top); err != nil {
		return nil, fmt.Errorf("%s: %w", ociIndex, err)
	}
	if len(top.Manifests) > maxManifests {
		return nil, fmt.Errorf("%s: more than %d images", ociIndex, maxManifests)
	}
	for _, d := range top.Manifests {
		if isOther(d) {
			continue
		}
		img, err := a.ociImage(d, 0)
		if err != nil {
			return nil, err
		}
		if img.names, err = annotatedName(d.Annotations); err != nil {
			return nil, err
		}
		list = append(list, img)
	}
	return list, nil
}

// isOther reports that a manifest is not meant to run: attestations, which
// builders add.
func isOther(d v1.Descriptor) bool {
	return d.Platform != nil && d.Platform.OS == "unknown"
}

// annotatedName is how an image is called by an index. The usual name there may
// be a tag alone, which names nothing by itself.
func annotatedName(annotations map[string]string) ([]string, error) {
	name := annotations[containerdName]
	if name == "" {
		if name = annotations[ociRefName]; tagPart.MatchString(name) {
			return nil, nil
		}
	}
	if name == "" {
		return nil, nil
	}
	full, err := fullName(name)
	return []string{full}, err
}

// ociImage reads an image's manifest, or that for this processor in an index of
// several.
func (a *archive) ociImage(d v1.Descriptor, depth int) (*foundImage, error) {
	m, err := a.blob(d.Digest.String())
	if err != nil {
		return nil, err
	}
	var doc struct {
		v1.Manifest
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(m.text, &doc); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	if doc.Manifests != nil {
		if depth > 1 || len(doc.Manifests) > maxManifests {
			return nil, fmt.Errorf("index %s: too many images, or indexes in one another", d.Digest)
		}
		for _, sub := range doc.Manifests {
			if p := sub.Platform; p == nil || p.OS == "linux" && p.Architecture == runtime.GOARCH {
				return a.ociImage(sub, depth+1)
			}
		}
		return nil, fmt.Errorf("index %s: no image for linux/%s", d.Digest, runtime.GOARCH)
	}
	config, err := a.blob(doc.Config.Digest.String())
	if err != nil {
		return nil, err
	}
	if config.text == nil {
		return nil, fmt.Errorf("configuration %s is no JSON", doc.Config.Digest)
	}
	img := &foundImage{id: config.digest, raw: config.text}
	for _, ld := range doc.Layers {
		l, err := a.blob(ld.Digest.String())
		if err != nil {
			return nil, err
		}
		img.layers = append(img.layers, l.layer)
	}
	return img, img.check()
}

// check compares the layers with those that the configuration asks for.
func (f *foundImage) check() error {
	c, err := parseConfig(f.raw)
	if err != nil {
		return err
	}
	if len(c.RootFS.DiffIDs) != len(f.layers) {
		return fmt.Errorf("image %s has %d layers, its configuration %d", shortID(f.id), len(f.layers), len(c.RootFS.DiffIDs))
	}
	for i, want := range c.RootFS.DiffIDs {
		switch got := f.layers[i]; {
		case got == nil:
			return fmt.Errorf("image %s: layer %d is no layer", shortID(f.id), i+1)
		case got.DiffID != want.String():
			return fmt.Errorf("image %s: layer %d has the digest %s, not %s", shortID(f.id), i+1, got.DiffID, want)
		}
	}
	return nil
}
