package mcp

import "testing"

// TestHostPath: which directory a path is in, by its name alone; that links do
// not lead out is the root's.
func TestHostPath(t *testing.T) {
	s := &Server{dirs: []*hostDir{{path: "/a", readOnly: true}, {path: "/a/b"}, {path: "/c"}}}
	for _, tc := range []struct {
		path  string
		write bool
		dir   string // empty: an error
		rel   string
	}{
		{"/a/x", false, "/a", "x"}, {"/a/x", true, "", ""}, {"/a/b/x", true, "/a/b", "x"}, {"/a/b", true, "/a/b", "."},
		{"/a/bx", false, "/a", "bx"}, {"/a/b/../../c/x", true, "/c", "x"}, {"/c/../d", true, "", ""}, {"/", false, "", ""},
		{"x/y", false, "/a", "x/y"}, {"b/x", true, "", ""}, {"../c/x", false, "", ""}, {"..", false, "", ""}, {"", false, "", ""},
		{"/c/x\x00", true, "", ""}, {"/cx", true, "", ""}, {"./x", false, "/a", "x"},
	} {
		d, rel, err := s.hostPath(tc.path, tc.write)
		if (err != nil) != (tc.dir == "") || err == nil && (d.path != tc.dir || rel != tc.rel) {
			t.Errorf("%+v: %v, %q, %v", tc, d, rel, err)
		}
	}
}
