package imagestore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk: a full disk is said as such, and leaves the store as it was.
func TestFullDisk(t *testing.T) {
	skip := t.Skipf
	if os.Getenv("CI") != "" {
		skip = t.Fatalf
	}
	if os.Getuid() != 0 {
		skip("only root may mount")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		skip("this machine cannot mount a small file system: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	s, err := Open(filepath.Join(dir, "images"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var big bytes.Buffer
	if err := benchLayer(&big, 4<<20); err != nil {
		t.Fatal(err)
	}
	_, err = s.Load(t.Context(), bytes.NewReader(dockerArchive(t, "big:1", "", big.Bytes())))
	if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrInvalid) {
		t.Errorf("load: %v", err)
	}
	empty(t, s)
	// Compressed it has room, unpacked it has not.
	load(t, s, dockerArchive(t, "box:1", "", layerOf(t, "a="+strings.Repeat("some text ", 300_000))))
	if err := s.Rootfs(t.Context(), "box:1", filepath.Join(dir, "root")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("rootfs: %v", err)
	}
	sound(t, s)
	if _, err := s.Commit(t.Context(), CommitOptions{Parent: "box:1", Diff: bytes.NewReader(big.Bytes())}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("commit: %v", err)
	}
	sound(t, s)
	if _, _, err := s.Remove(t.Context(), "box:1", false); err != nil {
		t.Errorf("remove: %v", err)
	}
	empty(t, s)
}
