//go:build unix

package main

import (
	"bytes"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

//go:generate go test -count=1 -run ^TestReferenceIsCurrent$ -update .

var update = flag.Bool("update", false, "write the reference of the commands anew")

// Where the reference of the commands is.
const (
	markdownDir = "../../docs/cli"
	manDir      = "../../docs/man"
)

// TestReferenceIsCurrent: the Markdown pages and man pages in docs are what
// the commands say. They are generated here, so that the program does not
// carry what generates them.
func TestReferenceIsCurrent(t *testing.T) {
	for dir, generate := range map[string]func(*cobra.Command, string) error{
		markdownDir: doc.GenMarkdownTree,
		manDir: func(root *cobra.Command, dir string) error {
			day := time.Unix(0, 0).UTC()
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "pocketdock", Manual: "pocketdock", Date: &day}, dir)
		},
	} {
		root, a := newApp()
		root.DisableAutoGenTag = true
		root.Version = "" // the page says how it is asked for, not what it is
		for _, cmd := range root.Commands() {
			cmd.DisableAutoGenTag = true
			a.documentJSON(cmd)
		}
		fresh := t.TempDir()
		if err := generate(root, fresh); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(dir, os.DirFS(fresh)); err != nil {
				t.Fatal(err)
			}
		}
		want, got := pages(t, fresh), pages(t, dir)
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if !bytes.Equal(want[name], got[name]) {
				t.Errorf("%s is not current: go generate ./cmd/pocketdock", filepath.Join(dir, name))
			}
			delete(got, name)
		}
		for name := range got {
			t.Errorf("%s is of no command", filepath.Join(dir, name))
		}
	}
}

func pages(t *testing.T, dir string) map[string][]byte {
	all := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all[name], err = os.ReadFile(filepath.Join(dir, name))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return all
}
