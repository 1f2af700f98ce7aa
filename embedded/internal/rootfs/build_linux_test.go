package rootfs

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/pocketdock/pocketdock/embedded/internal/erofstest"
)

func read(t testing.TB, file string) map[string]string {
	t.Helper()
	return erofstest.List(t, file)
}

// build applies layers to an image in a file.
func build(t testing.TB, layers ...io.Reader) (string, error) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tree := New(f)
	for _, l := range layers {
		if err := tree.Apply(t.Context(), l); err != nil {
			return "", err
		}
	}
	return f.Name(), tree.Finish([16]byte{1})
}
