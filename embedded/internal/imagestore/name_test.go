package imagestore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	digest := strings.Repeat("a", 64)
	for name, want := range map[string][2]string{ // full, short; empty: refused
		"busybox":                       {"docker.io/library/busybox:latest", "busybox:latest"},
		"busybox:1.36":                  {"docker.io/library/busybox:1.36", "busybox:1.36"},
		"b":                             {"docker.io/library/b:latest", "b:latest"},
		"library/busybox":               {"docker.io/library/busybox:latest", "busybox:latest"},
		"docker.io/busybox":             {"docker.io/library/busybox:latest", "busybox:latest"},
		"index.docker.io/a/b":           {"docker.io/a/b:latest", "a/b:latest"},
		"docker.io/library/a/b":         {"docker.io/library/a/b:latest", "library/a/b:latest"},
		"pocketdock/dev:v1":             {"docker.io/pocketdock/dev:v1", "pocketdock/dev:v1"},
		"localhost/dev":                 {"localhost/dev:latest", "localhost/dev:latest"},
		"localhost:5000/dev":            {"localhost:5000/dev:latest", "localhost:5000/dev:latest"},
		"ghcr.io/a/b-c_d.e__f:T.1":      {"ghcr.io/a/b-c_d.e__f:T.1", "ghcr.io/a/b-c_d.e__f:T.1"},
		"[::1]:80/a":                    {"[::1]:80/a:latest", "[::1]:80/a:latest"},
		"":                              {},
		":latest":                       {},
		"a:":                            {},
		"A":                             {},
		"a/B":                           {},
		"a//b":                          {},
		"/a":                            {},
		"a/":                            {},
		"../a":                          {},
		"a/../b":                        {},
		"a:../b":                        {},
		"a b":                           {},
		"a\n":                           {},
		"a\x00":                         {},
		"-a":                            {},
		"a:" + strings.Repeat("t", 129): {},
		strings.Repeat("n", 256):        {},
		digest:                          {},
		"a@sha256:" + digest:            {},
		"http://a/b":                    {},
	} {
		full, err := fullName(name)
		if full != want[0] || (err == nil) != (want[0] != "") || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %q, %v; want %q", name, full, err, want[0])
		}
		if err == nil && shortName(full) != want[1] {
			t.Errorf("%q: shown as %q, not %q", name, shortName(full), want[1])
		}
	}
}

// FuzzName: a full name is its own full name, and so is what is shown of it.
func FuzzName(f *testing.F) {
	f.Add("localhost:5000/a/b:c")
	f.Fuzz(func(t *testing.T, name string) {
		full, err := fullName(name)
		if err != nil {
			return
		}
		for _, again := range []string{full, shortName(full)} {
			if got, err := fullName(again); err != nil || got != full {
				t.Errorf("%q is %q; %q is %q, %v", name, full, again, got, err)
			}
		}
	})
}

func TestGet(t *testing.T) {
	s := openStore(t)
	one := layerOf(t, "a=1")
	a := load(t, s, dockerArchive(t, "box:1", "a", one))
	b := load(t, s, dockerArchive(t, "localhost/team/box:2", "b", one))
	// Enough images that some begin with the same digit.
	for n := range 17 {
		load(t, s, dockerArchive(t, "", fmt.Sprint(n), one))
	}
	for name, want := range map[string]string{
		"box:1": a, "docker.io/library/box:1": a, "team/box:2": b, "localhost/team/box:2": b,
		a: a, hexOf(a): a, a[:30]: a, hexOf(a)[:12]: a, hexOf(b)[:12]: b,
	} {
		if img, err := s.Get(t.Context(), name); err != nil || img.ID != want {
			t.Errorf("%s: %v, %v", name, img, err)
		}
	}
	for name, want := range map[string]error{
		"box": ErrNotFound, "box:2": ErrNotFound, "localhost/box:1": ErrNotFound, "0000000000": ErrNotFound,
		"sha256:" + strings.Repeat("0", 64): ErrNotFound, "Box": ErrInvalid, "": ErrInvalid, "../x": ErrInvalid, "sha256:": ErrInvalid,
	} {
		if img, err := s.Get(t.Context(), name); !errors.Is(err, want) {
			t.Errorf("%q: %v, %v", name, img, err)
		}
	}
	several := 0
	for _, digit := range strings.Split("0123456789abcdef", "") {
		if _, err := s.Get(t.Context(), digit); errors.Is(err, ErrInvalid) {
			several++
		}
	}
	if several == 0 {
		t.Error("19 images, and no digit that several begin with")
	}
}
