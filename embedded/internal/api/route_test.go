//go:build linux

package api

import "testing"

func TestRoutes(t *testing.T) {
	for _, c := range []struct{ method, path, pattern, arg string }{
		{"GET", "/_ping", "/_ping", ""},
		{"GET", "/v1.41/_ping", "/_ping", ""},
		{"GET", "/version", "/version", ""},
		{"GET", "/v1.41/version", "/version", ""},
		{"POST", "/containers/create", "/containers/create", ""},
		{"POST", "/v1.24/containers/a/b/start", "/containers/*/start", "a/b"},
		{"GET", "/images/docker.io/library/x:1/json", "/images/*/json", "docker.io/library/x:1"},
		{"GET", "/images/get", "/images/get", ""},
		{"GET", "/images/json", "/images/json", ""},
		{"GET", "/images/json/json", "/images/*/json", "json"},
		{"DELETE", "/containers/x", "/containers/*", "x"},
		{"DELETE", "/containers/", "", ""},
		{"POST", "/containers//start", "", ""},
		{"POST", "/containers/start", "", ""},
		{"GET", "/networks", "/networks", ""},
		{"POST", "/networks", "/networks/", ""},
		{"GET", "/networks/x", "/networks/", ""},
		{"GET", "/networksx", "", ""},
		{"PUT", "/swarm/init", "/swarm/", ""},
		{"GET", "/vx/_ping", "", ""},
		{"GET", "/v/_ping", "", ""},
		{"GET", "/v1.41", "", ""},
		{"GET", "", "", ""},
	} {
		pattern, arg := "", ""
		for i := range routes {
			if a, ok := routes[i].match(c.method, unversioned(c.path)); ok {
				pattern, arg = routes[i].pattern, a
				break
			}
		}
		if pattern != c.pattern || arg != c.arg {
			t.Errorf("%s %s: %q of %q, want %q of %q", c.method, c.path, arg, pattern, c.arg, c.pattern)
		}
	}
}
