package imagestore

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestRemove(t *testing.T) {
	s := openStore(t)
	base, top := layerOf(t, "a=1"), layerOf(t, "b=1")
	a := load(t, s, dockerArchive(t, "box:1", "a", base))
	b := load(t, s, dockerArchive(t, "box:2", "b", base, top))
	if err := s.Tag(t.Context(), "box:1", "other"); err != nil {
		t.Fatal(err)
	}
	remove := func(name string, force bool, untagged, deleted []string, want error) {
		t.Helper()
		u, d, err := s.Remove(t.Context(), name, force)
		if !slices.Equal(u, untagged) || !slices.Equal(d, deleted) || !errors.Is(err, want) {
			t.Errorf("%s: untagged %v, deleted %v, %v", name, u, d, err)
		}
		sound(t, s)
	}
	remove("box:3", false, nil, nil, ErrNotFound)
	remove(a, false, nil, nil, ErrConflict)
	remove("box:1", false, []string{"box:1"}, nil, nil)
	remove("other", false, []string{"other:latest"}, []string{a}, nil)
	if err := s.Rootfs(t.Context(), "box:2", filepath.Join(t.TempDir(), "root")); err != nil {
		t.Errorf("a shared layer: %v", err)
	}
	if err := s.Tag(t.Context(), "box:2", "x:1"); err != nil {
		t.Fatal(err)
	}
	remove(hexOf(b)[:10], true, []string{"box:2", "x:1"}, []string{b}, nil)
	empty(t, s)
	// A dangling image goes by its ID, without force.
	c := load(t, s, dockerArchive(t, "", "c", base))
	remove(c, false, nil, []string{c}, nil)
	empty(t, s)
	if list, err := os.ReadDir(filepath.Join(s.dir, rootfsDir)); err != nil || len(list) != 0 {
		t.Errorf("root file systems are left: %v, %v", list, err)
	}
}

// TestRootfs: it is made once for images with the same layers, and stays with
// whoever has it.
func TestRootfs(t *testing.T) {
	s := openStore(t)
	base := layerOf(t, "a=1")
	load(t, s, dockerArchive(t, "box:1", "a", base))
	load(t, s, dockerArchive(t, "box:2", "b", base))
	load(t, s, dockerArchive(t, "none:1", "no layers"))
	dir := t.TempDir()
	var wg sync.WaitGroup
	for n := range 10 {
		wg.Go(func() {
			if err := s.Rootfs(t.Context(), fmt.Sprintf("box:%d", 1+n%2), filepath.Join(dir, fmt.Sprint(n))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	first, err := os.Stat(filepath.Join(dir, "0"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		if info, err := os.Stat(filepath.Join(dir, fmt.Sprint(n))); err != nil || !os.SameFile(info, first) {
			t.Errorf("%d: not shared, %v", n, err)
		}
	}
	if err := s.Rootfs(t.Context(), "box:1", filepath.Join(dir, "0")); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file that is there already: %v", err)
	}
	if err := s.Rootfs(t.Context(), "box:1", filepath.Join(dir, "missing", "0")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
	if err := s.Rootfs(t.Context(), "none:1", filepath.Join(dir, "none")); err != nil {
		t.Errorf("no layers: %v", err)
	}
	for _, name := range []string{"box:1", "box:2"} {
		if _, _, err := s.Remove(t.Context(), name, false); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "1")); err != nil || info.Size() != first.Size() {
		t.Errorf("after the removal: %v", err)
	}
}

// TestRootfsRefused: what only shows when layers meet is an error then, and
// leaves nothing.
func TestRootfsRefused(t *testing.T) {
	s := openStore(t)
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	if err := errors.Join(tw.WriteHeader(&tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "etc/shadow"}), tw.Close()); err != nil {
		t.Fatal(err)
	}
	load(t, s, dockerArchive(t, "box:1", "", b.Bytes()))
	if err := s.Rootfs(t.Context(), "box:1", filepath.Join(t.TempDir(), "root")); err == nil || !strings.Contains(err.Error(), "hard link") {
		t.Errorf("got %v", err)
	}
	sound(t, s)
}

// TestDamage: files that a power cut has emptied are found, said and replaced.
func TestDamage(t *testing.T) {
	for _, damage := range []func(b []byte) []byte{
		func([]byte) []byte { return nil },
		func(b []byte) []byte { return b[:len(b)/2] },
		func(b []byte) []byte { return damaged(b) },
	} {
		s := openStore(t)
		archive := dockerArchive(t, "box:1", "", layerOf(t, "a="+strings.Repeat("xyz", 1000)))
		id := load(t, s, archive)
		img, err := s.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(s.dir, layerPath(img.Layers[0]))
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, damage(b), 0o600); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"rootfs": s.Rootfs(t.Context(), id, filepath.Join(t.TempDir(), "root")),
			"save":   s.Save(t.Context(), io.Discard, id),
		} {
			if err == nil || !strings.Contains(err.Error(), "is damaged") {
				t.Errorf("%s: %v", what, err)
			}
		}
		load(t, s, archive)
		if err := s.Rootfs(t.Context(), id, filepath.Join(t.TempDir(), "root")); err != nil {
			t.Errorf("loaded again: %v", err)
		}
	}
}

// TestPermissions: the store is the user's alone, also one that was made
// otherwise.
func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes on Windows")
	}
	dir := filepath.Join(t.TempDir(), "images")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	load(t, s, dockerArchive(t, "box:1", "", layerOf(t, "a=1")))
	if err := s.Rootfs(t.Context(), "box:1", filepath.Join(t.TempDir(), "root")); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", name, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestIndexRefused: an index that no version of ours wrote is not used, and
// names no path.
func TestIndexRefused(t *testing.T) {
	for _, text := range []string{"", "{", `{"Version":2}`, `{"Version":1,"Images":{"sha256:../../x":{}}}`, `{"Version":1,"Names":{"a":"sha256:b"}}`,
		`{"Version":1,"Images":{"` + digestOf(nil) + `":null}}`, `{"Version":1,"Images":{"` + digestOf(nil) + `":{"Layers":[{"DiffID":"../x"}]}}}`} {
		s := openStore(t)
		if err := os.WriteFile(filepath.Join(s.dir, indexFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.List(t.Context()); err == nil || !strings.Contains(err.Error(), "to begin anew") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestTogether: several stores of one directory, as several processes have
// them, work at the same time.
func TestTogether(t *testing.T) {
	dir := t.TempDir()
	archives := [][]byte{}
	for n := range 4 {
		archives = append(archives, dockerArchive(t, fmt.Sprintf("box:%d", n), fmt.Sprint(n), layerOf(t, "shared=1"), layerOf(t, fmt.Sprintf("own=%d", n))))
	}
	var wg sync.WaitGroup
	for n, archive := range archives {
		wg.Go(func() {
			s, err := Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for round := range 4 {
				name := fmt.Sprintf("box:%d", n)
				if _, err := s.Load(context.Background(), bytes.NewReader(archive)); err != nil {
					t.Errorf("load: %v", err)
				}
				if err := s.Rootfs(context.Background(), name, filepath.Join(dir, tmpDir, fmt.Sprint(n, "-", round))); err != nil {
					t.Errorf("rootfs: %v", err)
				}
				os.Remove(filepath.Join(dir, tmpDir, fmt.Sprint(n, "-", round)))
				if err := s.Save(context.Background(), io.Discard, name); err != nil {
					t.Errorf("save: %v", err)
				}
				if _, err := s.List(context.Background()); err != nil {
					t.Errorf("list: %v", err)
				}
				if _, _, err := s.Remove(context.Background(), name, false); err != nil {
					t.Errorf("remove: %v", err)
				}
			}
		})
	}
	wg.Wait()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	empty(t, s)
}
