// Package imagetar rewrites the newest layer of a saved image: an engine's
// commit cannot leave files out, a layer can. The archive is the one of docker
// save and podman save, described in
// https://github.com/moby/docker-image-spec/blob/main/spec.md.
package imagetar

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
)

// Bounds on what is held in memory: an archive's files, and the bytes of one
// that is read whole. Real ones have hundreds, and some kilobytes.
const (
	maxFiles = 100_000
	maxText  = 8 << 20
)

// An Archive is a saved image, in a file.
type Archive struct {
	r       io.ReaderAt
	files   map[string]span
	links   map[string]string
	layers  []span
	config  map[string]json.RawMessage
	rootFS  map[string]json.RawMessage
	diffIDs []string
}

type span struct{ off, size int64 }

func (a *Archive) section(s span) *io.SectionReader { return io.NewSectionReader(a.r, s.off, s.size) }

// Open reads the table of contents of an archive of one image.
func Open(r io.ReaderAt, size int64) (*Archive, error) {
	a := &Archive{r: r, files: map[string]span{}, links: map[string]string{}}
	if err := a.index(size); err != nil {
		return nil, fmt.Errorf("saved image: %w", err)
	}
	if err := a.describe(); err != nil {
		return nil, fmt.Errorf("saved image: %w", err)
	}
	return a, nil
}

// Layers is how many the image has.
func (a *Archive) Layers() int { return len(a.layers) }

func (a *Archive) index(size int64) error {
	sr := io.NewSectionReader(a.r, 0, size)
	tr := tar.NewReader(sr)
	for range maxFiles {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			// The reader reads headers to the byte, and seeks over files.
			off, err := sr.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			a.files[name] = span{off, h.Size}
		case tar.TypeSymlink: // of layers that are there already
			a.links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			a.links[name] = path.Clean(h.Linkname)
		}
	}
	return fmt.Errorf("more than %d files", maxFiles)
}

// file finds a file, through one link.
func (a *Archive) file(name string) (span, error) {
	name = path.Clean(name)
	if to, ok := a.links[name]; ok {
		name = to
	}
	s, ok := a.files[name]
	if !ok {
		return s, fmt.Errorf("it has no %s", name)
	}
	return s, nil
}

// text decodes a JSON file.
func (a *Archive) text(name string, v any) error {
	s, err := a.file(name)
	if err != nil {
		return err
	}
	if s.size > maxText {
		return fmt.Errorf("%s has %d bytes, more than %d", name, s.size, maxText)
	}
	b, err := io.ReadAll(a.section(s))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (a *Archive) describe() error {
	var manifest []struct {
		Config string
		Layers []string
	}
	if err := a.text("manifest.json", &manifest); err != nil {
		return err
	}
	if len(manifest) != 1 {
		return fmt.Errorf("%d images in the archive, want one", len(manifest))
	}
	if err := a.text(manifest[0].Config, &a.config); err != nil {
		return err
	}
	if err := json.Unmarshal(a.config["rootfs"], &a.rootFS); err != nil {
		return fmt.Errorf("rootfs: %w", err)
	}
	if err := json.Unmarshal(a.rootFS["diff_ids"], &a.diffIDs); err != nil {
		return fmt.Errorf("diff_ids: %w", err)
	}
	if len(a.diffIDs) != len(manifest[0].Layers) || len(a.diffIDs) == 0 {
		return errors.New("its layers and their list do not agree")
	}
	for _, name := range manifest[0].Layers {
		s, err := a.file(name)
		if err != nil {
			return err
		}
		a.layers = append(a.layers, s)
	}
	return nil
}
