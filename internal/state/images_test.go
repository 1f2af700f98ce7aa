package state

import (
	"os"
	"path/filepath"
	"testing"
)

func TestImages(t *testing.T) {
	d := dir(t)
	if all, err := d.Images(); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	a := Image{Engine: "/e.sock", ID: "sha256:1", Name: "pocketdock/a:latest"}
	b := a
	b.ID, b.Project = "sha256:2", "p"
	for _, i := range []Image{a, b, b} {
		if err := d.KeepImage(i); err != nil {
			t.Fatal(err)
		}
	}
	if m := mode(t, d.imageFile(a)); m != 0o600 {
		t.Errorf("mode %o, want 600", m)
	}
	// What is no record of ours: damaged, of another name, a link.
	text, err := os.ReadFile(d.imageFile(a))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"0123456789abcdef": string(text), "0123456789abcdee": "{", "x": "{}"} {
		if err := os.WriteFile(filepath.Join(d.images(), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(d.imageFile(a), filepath.Join(d.images(), "0123456789abcded")); err != nil {
		t.Fatal(err)
	}
	if all, err := d.Images(); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
	for range 2 {
		if err := d.ForgetImage(a); err != nil {
			t.Error(err)
		}
	}
	if all, err := d.Images(); err != nil || len(all) != 1 || all[0] != b {
		t.Errorf("%v, %v", all, err)
	}
}
