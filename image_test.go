package pocketdock

import (
	"testing"

	"github.com/pocketdock/pocketdock/internal/engine"
)

// TestCLI: what is said to type reaches the engine in use, and no other.
func TestCLI(t *testing.T) {
	for _, tt := range []struct{ name, socket, cli string }{
		{"docker", "/var/run/docker.sock", "docker"},
		{"docker", "/run/docker.sock", "docker"},
		{"docker", "/srv/x.sock", "docker -H unix:///srv/x.sock"},
		{"podman", "/srv/x.sock", "podman --url unix:///srv/x.sock"},
		{"embedded", "embedded:/var/lib/pocketdock/engine", ""},
	} {
		if got := (EngineInfo{Name: tt.name, Socket: tt.socket}).CLI(); got != tt.cli {
			t.Errorf("%s at %s: %q, want %q", tt.name, tt.socket, got, tt.cli)
		}
		want := "pocketdock import FILE"
		if tt.cli != "" {
			want = tt.cli + " pull team/tool:v1, or " + want
		}
		if got := imageHint(&engine.Engine{Name: tt.name, Path: tt.socket}, "team/tool:v1"); got != want {
			t.Errorf("%s at %s: %q, want %q", tt.name, tt.socket, got, want)
		}
	}
}
