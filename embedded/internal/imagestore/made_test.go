package imagestore

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// openStore opens a store of a test.
func openStore(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "images"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// layerOf is a layer of entries written as "name=content", "name/" and
// "name@link" (symbolic).
func layerOf(t testing.TB, entries ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Typeflag: tar.TypeReg, Mode: 0o644}
		var content string
		if name, link, ok := strings.Cut(e, "@"); ok {
			h.Typeflag, h.Name, h.Linkname = tar.TypeSymlink, name, link
		} else if h.Name, content, ok = strings.Cut(e, "="); !ok && strings.HasSuffix(e, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		h.Size = int64(len(content))
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(tw, content)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// configOf is a configuration of an image with these layers. What is in it
// beyond that has to survive.
func configOf(t testing.TB, comment string, layers ...[]byte) []byte {
	t.Helper()
	ids := []string{}
	for _, l := range layers {
		ids = append(ids, digestOf(l))
	}
	b, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05Z", "comment": comment, "x-unknown": 7,
		"config": map[string]any{"User": "sandbox", "Cmd": []string{"sh"}, "Labels": map[string]string{"a": "b"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A file of an archive that a test makes. A link has no data.
type file struct {
	name string
	data []byte
	link string
}

func archiveOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data))}
		if f.link != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		tw.Write(f.data)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// dockerArchive is an image as docker save writes it.
func dockerArchive(t testing.TB, name, comment string, layers ...[]byte) []byte {
	t.Helper()
	config := configOf(t, comment, layers...)
	e := manifestEntry{Config: hexOf(digestOf(config)) + ".json", RepoTags: []string{name}}
	if name == "" {
		e.RepoTags = nil
	}
	var files []file
	for i, l := range layers {
		e.Layers = append(e.Layers, fmt.Sprintf("%d/layer.tar", i))
		files = append(files, file{name: e.Layers[i], data: l})
	}
	return archiveOf(t, append(files, file{name: e.Config, data: config}, file{name: dockerManifest, data: asJSON(t, []manifestEntry{e})})...)
}

func asJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// load loads an archive that has to be good, of one image.
func load(t testing.TB, s *Store, archive []byte) string {
	t.Helper()
	list, err := s.Load(t.Context(), bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 {
		t.Fatalf("loaded %+v", list)
	}
	return list[0].ID
}
