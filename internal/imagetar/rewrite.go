package imagetar

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// A Rewritten image is an archive whose newest layer lacks some files. It is
// not held anywhere, but made as it is written.
type Rewritten struct {
	a      *Archive
	top    *filter
	size   int64 // of the new layer
	config []byte
	id     string
}

// Without is the image without what its newest layer has below the given
// absolute paths. Directories that are named stay, with their modes; files
// that are named go. What was deleted there stays deleted, and what older
// layers have there stays. A file that has another name elsewhere, as a hard
// link, is kept under that.
func (a *Archive) Without(paths []string) (*Rewritten, error) {
	last := len(a.layers) - 1
	top, err := newFilter(a.section(a.layers[last]), paths)
	if err != nil {
		return nil, err
	}
	w := &Rewritten{a: a, top: top}
	sum := sha256.New()
	counted := &countingWriter{w: sum}
	if err := top.copyTo(counted); err != nil {
		return nil, err
	}
	w.size = counted.n
	a.diffIDs[last] = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	for _, set := range []struct {
		in    map[string]json.RawMessage
		name  string
		value any
	}{{a.rootFS, "diff_ids", a.diffIDs}, {a.config, "rootfs", a.rootFS}} {
		if set.in[set.name], err = json.Marshal(set.value); err != nil {
			return nil, err
		}
	}
	if w.config, err = json.Marshal(a.config); err != nil {
		return nil, err
	}
	id := sha256.Sum256(w.config)
	w.id = hex.EncodeToString(id[:])
	return w, nil
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// ID is the image's, 64 hexadecimal digits: the SHA-256 of its configuration.
func (w *Rewritten) ID() string { return w.id }

// Write writes the archive. The image has no name in it.
func (w *Rewritten) Write(out io.Writer) error {
	tw := tar.NewWriter(out)
	layers := make([]string, len(w.a.layers))
	for i, s := range w.a.layers {
		layers[i] = fmt.Sprintf("%d/layer.tar", i)
		size := s.size
		if i == len(layers)-1 {
			size = w.size
		}
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: layers[i], Mode: 0o644, Size: size}); err != nil {
			return err
		}
		var err error
		if i == len(layers)-1 {
			err = w.top.copyTo(tw)
		} else {
			_, err = io.Copy(tw, w.a.section(s))
		}
		if err != nil {
			return err
		}
	}
	manifest, err := json.Marshal([]any{map[string]any{"Config": w.id + ".json", "RepoTags": nil, "Layers": layers}})
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{w.id + ".json", w.config}, {"manifest.json", manifest}} {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o644, Size: int64(len(f.data))}); err != nil {
			return err
		}
		if _, err := tw.Write(f.data); err != nil {
			return err
		}
	}
	return tw.Close()
}
