package state

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRemoveClosed: directories that nobody may enter are removed all the
// same. (Root may enter them; the suite runs as an ordinary user, too.)
func TestRemoveClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "box")
	for _, name := range []string{"a/b/c", "d", "e/f"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a/b/c", "a/b", "a", "d", "e/f"} {
		if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveAll(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Error("it is still there")
	}
	if info, err := os.Stat(outside); err != nil || info.Mode().Perm() == 0 {
		t.Errorf("the link's target: %v, %v", info, err)
	}
}
