package imagestore

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestSave: an archive has each layer once, is the same each time, and brings
// back what was saved.
func TestSave(t *testing.T) {
	s := openStore(t)
	base, top := layerOf(t, "a=1"), layerOf(t, "b=1")
	a := load(t, s, dockerArchive(t, "box:1", "a", base, base))
	b := load(t, s, dockerArchive(t, "registry.example:5000/box:2", "b", base, top))
	if err := s.Tag(t.Context(), "box:1", "box:again"); err != nil {
		t.Fatal(err)
	}
	save := func(names ...string) []byte {
		t.Helper()
		var buf bytes.Buffer
		if err := s.Save(t.Context(), &buf, names...); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	whole := save("box:1", b, "box:again", "registry.example:5000/box:2")
	if !bytes.Equal(whole, save("box:1", b, "box:again", "registry.example:5000/box:2")) {
		t.Error("another archive at the second time")
	}
	seen := map[string]int{}
	for tr := tar.NewReader(bytes.NewReader(whole)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seen[h.Name]++
	}
	for _, name := range []string{blobName(digestOf(base)), blobName(digestOf(top)), blobName(a), blobName(b), "oci-layout", "index.json", "manifest.json", "repositories"} {
		if seen[name] != 1 {
			t.Errorf("%s is there %d times", name, seen[name])
		}
	}
	for _, kind := range []string{dockerManifest, ociIndex} {
		other := openStore(t)
		list, err := other.Load(t.Context(), bytes.NewReader(without(t, whole, kind)))
		if err != nil {
			t.Fatalf("without %s: %v", kind, err)
		}
		for name, id := range map[string]string{"box:1": a, "box:again": a, "registry.example:5000/box:2": b} {
			if img, err := other.Get(t.Context(), name); err != nil || img.ID != id {
				t.Errorf("without %s: %s: %v, %v (%v)", kind, name, img, err, list)
			}
		}
		sound(t, other)
	}
	if err := s.Save(t.Context(), io.Discard, "box:1", "nothing"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := s.Save(t.Context(), io.Discard); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// without is an archive without one of its files.
func without(t *testing.T, archive []byte, name string) []byte {
	t.Helper()
	var out bytes.Buffer
	tw := tar.NewWriter(&out)
	for tr := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == name {
			continue
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.Copy(tw, tr)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCommit(t *testing.T) {
	s := openStore(t)
	base := layerOf(t, "a=1")
	parent := load(t, s, dockerArchive(t, "box:1", "a comment", base))
	diff := layerOf(t, "b=22", ".wh.a=")
	id, err := s.Commit(t.Context(), CommitOptions{Parent: "box:1", Diff: bytes.NewReader(diff), Config: &v1.Config{User: "me", Labels: map[string]string{"x": "1"}},
		Labels: map[string]string{"y": "2"}, Author: "who", Comment: "why", CreatedBy: "sh", Ref: "snap:1"})
	if err != nil {
		t.Fatal(err)
	}
	img, err := s.Get(t.Context(), "snap:1")
	if err != nil {
		t.Fatal(err)
	}
	c := img.Config
	if img.ID != id || img.Parent != parent || !slices.Equal(img.Layers, []string{digestOf(base), digestOf(diff)}) || img.Size != 3 ||
		c.Config.User != "me" || len(c.Config.Labels) != 2 || c.Author != "who" || len(c.History) != 1 || c.History[0].Comment != "why" || c.History[0].CreatedBy != "sh" ||
		c.Architecture != "amd64" || !bytes.Contains(img.Raw, []byte(`"x-unknown":7`)) || img.Created.IsZero() {
		t.Errorf("got %+v\n%s", img, img.Raw)
	}
	// What is not said is the parent's, and the parent may go.
	id, err = s.Commit(t.Context(), CommitOptions{Parent: parent, Diff: bytes.NewReader(layerOf(t))})
	if err != nil {
		t.Fatal(err)
	}
	if img, err = s.Get(t.Context(), id); err != nil || img.Config.Config.User != "sandbox" || len(img.Names) != 0 {
		t.Errorf("got %+v, %v", img, err)
	}
	if _, _, err := s.Remove(t.Context(), "box:1", false); err != nil {
		t.Fatal(err)
	}
	sound(t, s)
	for _, id := range []string{id, "snap:1"} {
		if err := s.Rootfs(t.Context(), id, filepath.Join(t.TempDir(), "root")); err != nil {
			t.Error(err)
		}
	}
	for _, test := range []struct {
		o    CommitOptions
		want error
	}{
		{CommitOptions{Parent: "nothing", Diff: bytes.NewReader(diff)}, ErrNotFound},
		{CommitOptions{Parent: id, Diff: bytes.NewReader(diff), Ref: "Bad"}, ErrInvalid},
		{CommitOptions{Parent: id, Diff: strings.NewReader("no tar")}, ErrInvalid},
		{CommitOptions{Parent: id, Diff: bytes.NewReader(diff[:700])}, nil},
	} {
		if got, err := s.Commit(t.Context(), test.o); test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%+v: %s, %v", test.o, got, err)
		}
	}
}
