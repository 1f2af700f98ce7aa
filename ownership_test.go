package pocketdock

import "testing"

func TestCallerUser(t *testing.T) {
	rw, ro := Volume{Host: "/a", Container: "/a"}, Volume{Host: "/b", Container: "/b", ReadOnly: true}
	for name, tt := range map[string]struct {
		uid, gid int
		volumes  []Volume
		want     string
	}{
		"a user":              {1001, 1002, []Volume{ro, rw}, "1001:1002"},
		"root":                {0, 0, []Volume{rw}, ""},
		"nothing to write to": {1001, 1002, []Volume{ro}, ""},
		"no volumes":          {1001, 1002, nil, ""},
		"no such numbers":     {-1, -1, []Volume{rw}, ""},
	} {
		if got := callerUser(tt.uid, tt.gid, tt.volumes); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestIsRoot(t *testing.T) {
	for user, want := range map[string]bool{"": true, "root": true, "0": true, "0:1000": true, "root:x": true, "1": false, "rooty": false} {
		if isRoot(user) != want {
			t.Errorf("%q: %v", user, !want)
		}
	}
}
