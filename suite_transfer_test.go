package pocketdock_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// makeTree makes files of every kind that a tree may have.
func makeTree(t *testing.T, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "a/b/empty"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "a/file"), []byte("content"), 0o640))
	must(os.WriteFile(filepath.Join(dir, "a/b/run"), []byte("#!/bin/sh\n"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "new\nline \xff"), []byte("x"), 0o600))
	must(os.Mkdir(filepath.Join(dir, "dir\xff"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "dir\xff/f"), []byte("y"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "zero"), nil, 0o644))
	must(os.Symlink("a/file", filepath.Join(dir, "link")))
	must(os.Symlink("/etc/passwd", filepath.Join(dir, "outside")))
	must(os.Link(filepath.Join(dir, "a/file"), filepath.Join(dir, "hard")))
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	must(err)
	must(sparse.Truncate(32 << 20))
	_, err = sparse.WriteAt([]byte("end"), 32<<20-3)
	must(err)
	must(sparse.Close())
	must(os.Chmod(filepath.Join(dir, "a/b/empty"), 0o700))
	when := time.Unix(1_500_000_000, 123_456_789)
	must(os.Chtimes(filepath.Join(dir, "a/b/empty"), when, when))
	must(os.Chtimes(filepath.Join(dir, "a/file"), when, when.Add(5*time.Second)))
}

// describe is what a tree contains.
func describe(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		fmt.Fprintf(&b, "%q %v", rel, info.Mode())
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %d %x %d", info.Size(), sha256.Sum256(data), info.ModTime().UnixNano())
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " -> %s", target)
		case rel == "a/b/empty":
			fmt.Fprintf(&b, " %d", info.ModTime().UnixNano())
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSuitePushPull(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		ctx := t.Context()
		src, back := filepath.Join(t.TempDir(), "src"), filepath.Join(t.TempDir(), "back")
		makeTree(t, src)
		var moved pocketdock.Progress
		if err := box.Push(ctx, src, "/tmp/pushed", pocketdock.TransferOptions{Progress: func(p pocketdock.Progress) { moved = p }}); err != nil {
			t.Fatal(err)
		}
		if moved.Bytes < 32<<20 || moved.Bytes != moved.TotalBytes || moved.Files != moved.TotalFiles || moved.Files != 14 {
			t.Errorf("progress at the end: %+v", moved)
		}
		if err := box.Pull(ctx, "/tmp/pushed", back, pocketdock.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		if got, want := describe(t, back), describe(t, src); got != want {
			t.Errorf("came back as\n%s\nwant\n%s", got, want)
		}
		a, err := os.Stat(filepath.Join(back, "hard"))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.Stat(filepath.Join(back, "a/file")); err != nil || !os.SameFile(a, b) {
			t.Errorf("the hard link is not one: %v", err)
		}
		// One file.
		one := filepath.Join(t.TempDir(), "one")
		if err := box.Push(ctx, filepath.Join(src, "a/b/run"), "/tmp/one/run", pocketdock.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := box.Pull(ctx, "/tmp/one/run", one, pocketdock.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(one); err != nil || info.Mode() != 0o755 || info.Size() != 10 {
			t.Errorf("%v, %v", info, err)
		}
		if err := box.Pull(ctx, "/tmp/none", one+"2", pocketdock.TransferOptions{}); !errors.Is(err, pocketdock.ErrFileNotFound) {
			t.Errorf("a missing one: %v", err)
		}
		if _, err := os.Stat(one + "2"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a failed pull left %v", err)
		}
		for _, p := range []string{"/tmp/pushed", "/tmp/one"} {
			if err := box.Remove(ctx, p, pocketdock.FileOptions{}); err != nil {
				t.Error(err)
			}
		}
	})
}
