package imageset

import (
	"archive/tar"
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
)

// Bounds of the archive that an engine made: a layer is one to three entries.
const (
	maxEntries = 100_000
	maxInner   = 8 << 20 // of its manifest and index
)

// checkInner reads the engine's archive to its end and compares the names that
// it would give images with those that the set lists: a set must not bring
// another debian:bookworm-slim, say, without saying so.
func checkInner(r io.Reader, m *Manifest) error {
	in := &inner{tr: tar.NewReader(r)}
	for {
		h, err := in.tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return damaged(err)
		}
		if err := in.entry(h); err != nil {
			return err
		}
	}
	// The padding after the end, and with it the digest.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return damaged(err)
	}
	if !in.manifest {
		return formatf("the images in it have no %s", manifestName)
	}
	return in.compare(m)
}

type inner struct {
	tr       *tar.Reader
	entries  int
	manifest bool
	index    bool
	names    []string // that manifest.json gives
	more     []string // that index.json gives
}

func (in *inner) entry(h *tar.Header) error {
	if in.entries++; in.entries > maxEntries {
		return formatf("the images in it have more than %d entries", maxEntries)
	}
	if !filepath.IsLocal(h.Name) {
		return formatf("the images in it have an entry %.100q", h.Name)
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeSymlink, tar.TypeLink:
		// Docker writes a layer that comes twice as a link to the first.
		if target := filepath.Join(filepath.Dir(h.Name), h.Linkname); filepath.IsAbs(h.Linkname) || !filepath.IsLocal(target) {
			return formatf("the images in it have a link %.100q to %.100q", h.Name, h.Linkname)
		}
	default:
		return formatf("the images in it have an entry %.100q that is no file", h.Name)
	}
	switch filepath.Clean(h.Name) {
	case manifestName:
		return in.readManifest(h)
	case "index.json":
		return in.readIndex(h)
	}
	return nil
}

// readManifest reads docker save's list of images.
func (in *inner) readManifest(h *tar.Header) error {
	if in.manifest || h.Typeflag != tar.TypeReg {
		return formatf("the images in it have several %s", manifestName)
	}
	in.manifest = true
	var list []struct{ RepoTags []string }
	if err := in.document(h, &list); err != nil {
		return err
	}
	for _, i := range list {
		if len(i.RepoTags) == 0 {
			return formatf("an image in it has no name")
		}
		in.names = append(in.names, i.RepoTags...)
	}
	return nil
}

// readIndex reads the names in an OCI layout, which newer Dockers write beside
// the manifest, and go by.
func (in *inner) readIndex(h *tar.Header) error {
	if in.index || h.Typeflag != tar.TypeReg {
		return formatf("the images in it have several index.json")
	}
	in.index = true
	var index struct {
		Manifests []struct{ Annotations map[string]string }
	}
	if err := in.document(h, &index); err != nil {
		return err
	}
	for _, m := range index.Manifests {
		if name := m.Annotations["io.containerd.image.name"]; name != "" {
			in.more = append(in.more, name)
		}
	}
	return nil
}

func (in *inner) document(h *tar.Header, v any) error {
	if h.Size > maxInner {
		return formatf("the images in it have a %.100q of %d bytes", h.Name, h.Size)
	}
	b, err := io.ReadAll(in.tr)
	if err != nil {
		return damaged(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return formatf("the %.100q of the images in it cannot be read: %v", h.Name, err)
	}
	return nil
}

// compare makes sure that the names are those of the set, all and no others.
func (in *inner) compare(m *Manifest) error {
	var listed []string
	for _, i := range m.Images {
		listed = append(listed, canonical(i.Tag))
	}
	var found []string
	for _, name := range append(slices.Clone(in.names), in.more...) {
		if !slices.Contains(listed, canonical(name)) {
			return formatf("it has an image %.100q that it does not list", name)
		}
	}
	for _, name := range in.names {
		found = append(found, canonical(name))
	}
	for _, name := range listed {
		if !slices.Contains(found, name) {
			return formatf("it lists an image %s that it does not have", name)
		}
	}
	return nil
}
