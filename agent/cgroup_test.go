//go:build linux

package agent

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRoom: whether some more processes may be made.
func TestRoom(t *testing.T) {
	for _, c := range []struct {
		limit, current string
		n              int64
		want           bool
	}{
		{"512\n", "10\n", 32, true},
		{"512\n", "479\n", 32, true},
		{"512\n", "480\n", 32, false},
		{"512\n", "600\n", 32, false},
		{"max\n", "100000\n", 32, true},
		{"", "", 32, true}, // nobody says
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"pids.max": c.limit, "pids.current": c.current} {
			if text == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		g := &cgroup{pids: dir}
		if got := g.room(c.n); got != c.want {
			t.Errorf("%q of %q, %d more: %v", c.current, c.limit, c.n, got)
		}
	}
}
