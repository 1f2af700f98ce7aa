package hostimage

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// stamp is one at a time when all is settled.
func stamp(t *testing.T, root string) string {
	t.Helper()
	s, mounts, err := stampAt(time.Now().Add(time.Hour), root, "amd64", "pocketdock/host", nil)
	if err != nil || s == "" || !slices.Equal(mounts, []string{"/usr"}) {
		t.Fatalf("%q, %q, %v", s, mounts, err)
	}
	return s
}

// TestStamp: whatever changes the image changes the stamp, and nothing else.
func TestStamp(t *testing.T) {
	root := host(t, "usr/bin", "etc/services=aaa", "etc/fonts/x=1", "etc/localtime->UTC", "etc/shadow=s", "!etc/perl/hidden=1",
		"etc/alternatives/ld=1", "etc/alternatives/cc->gcc", "etc/ssl->../srv", "srv/certs/x=1")
	before := stamp(t, root)
	if again := stamp(t, root); again != before {
		t.Error("the same host has two stamps")
	}
	file := func(name string) string { return filepath.Join(root, name) }
	for _, change := range []struct {
		what  string
		same  bool // the image stays
		apply func() error
	}{
		{"a file that is not taken", true, func() error { return os.WriteFile(file("etc/shadow"), []byte("t"), 0o644) }},
		{"a file that not everybody may read", true, func() error { return os.WriteFile(file("etc/perl/hidden"), []byte("t"), 0o600) }},
		{"a program", true, func() error { return os.WriteFile(file("usr/bin/x"), nil, 0o755) }},
		{"a shell", false, func() error { return os.WriteFile(file("usr/bin/bash"), nil, 0o755) }},
		{"a file of the same size and time", false, func() error {
			fi, err := os.Stat(file("etc/services"))
			if err != nil {
				return err
			}
			if err := os.WriteFile(file("etc/services"), []byte("bbb"), 0o644); err != nil {
				return err
			}
			return os.Chtimes(file("etc/services"), fi.ModTime(), fi.ModTime())
		}},
		{"a file more", false, func() error { return os.WriteFile(file("etc/fonts/y"), nil, 0o644) }},
		{"one that may be read now", false, func() error { return os.Chmod(file("etc/perl/hidden"), 0o644) }},
		{"another link", false, func() error {
			return errors.Join(os.Remove(file("etc/localtime")), os.Symlink("CET", file("etc/localtime")))
		}},
		{"another link in a directory", false, func() error {
			return errors.Join(os.Remove(file("etc/alternatives/cc")), os.Symlink("tcc", file("etc/alternatives/cc")))
		}},
		{"what is behind a link", true, func() error { return os.WriteFile(file("srv/certs/x"), []byte("2"), 0o644) }},
		{"a file less", false, func() error { return os.Remove(file("etc/fonts/x")) }},
	} {
		image := make1(t, root).Name
		if err := change.apply(); err != nil {
			t.Fatal(err)
		}
		after := stamp(t, root)
		if same := after == before; same != change.same || same != (make1(t, root).Name == image) {
			t.Errorf("%s: same stamp %v, same image %v", change.what, same, make1(t, root).Name == image)
		}
		before = after
	}
	if other, _, err := stampAt(time.Now().Add(time.Hour), root, "arm64", "pocketdock/host", nil); err != nil || other == before {
		t.Errorf("another processor: %v", err)
	}
}

// TestStampTooFresh: what was changed just now may change again at the same
// time.
func TestStampTooFresh(t *testing.T) {
	s, mounts, err := Stamp(host(t, "usr", "etc/services=a"), "amd64", "pocketdock/host", nil)
	if s != "" || len(mounts) != 1 || err != nil {
		t.Errorf("%q, %q, %v", s, mounts, err)
	}
}

// TestFormat: when this image is another, format is to be another number.
func TestFormat(t *testing.T) {
	const want = "pocketdock/host:056747c08b00"
	img := make1(t, host(t, "usr/bin/bash=x", "usr/lib", "bin->usr/bin", "lib->usr/lib", "etc/services=a", "etc/fonts/x=1", "etc/localtime->UTC"))
	if img.Name != want || format != 2 {
		t.Errorf("%s of format %d", img.Name, format)
	}
}
