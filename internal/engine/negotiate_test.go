package engine

import (
	"strings"
	"testing"
)

func TestAtLeast(t *testing.T) {
	for _, tt := range []struct {
		have, want string
		yes        bool
	}{
		{"4.3.1", "4.3", true}, {"4.3", "4.3", true}, {"5.0.0-rc1", "4.3", true}, {"4.10.2", "4.3", true},
		{"4.2.1", "4.3", false}, {"3.4.4", "4.3", false}, {"", "4.3", false},
	} {
		if got := (&Engine{Version: tt.have}).AtLeast(tt.want); got != tt.yes {
			t.Errorf("%s at least %s: %v", tt.have, tt.want, got)
		}
	}
}

func TestNegotiate(t *testing.T) {
	for _, tt := range []struct {
		name     string
		min, max string
		want     string
		refusal  string // part of the error
	}{
		{"Docker 20.10", "1.12", "1.41", "1.41", ""},
		{"Podman 4.3", "1.24", "1.41", "1.41", ""},
		{"an engine that serves ours and newer", "1.24", "1.52", "1.41", ""},
		{"one that no longer serves ours", "1.44", "1.52", "1.44", ""},
		{"its oldest is our newest", "1.52", "1.60", "1.52", ""},
		{"exactly ours", "1.41", "1.41", "1.41", ""},
		{"no oldest version given", "", "1.43", "1.41", ""},
		{"an old engine", "1.12", "1.40", "", "update the engine"},
		{"older by number, newer by text", "1.9", "1.9", "", "update the engine"},
		{"a future engine", "1.53", "1.60", "", "update pocketdock"},
		{"not an engine", "", "", "", "does not say"},
		{"nonsense", "x", "y", "", "update the engine"},
	} {
		got, err := negotiate(tt.min, tt.max)
		if got != tt.want || (err == nil) != (tt.refusal == "") {
			t.Errorf("%s: %q, %v; want %q, error with %q", tt.name, got, err, tt.want, tt.refusal)
		}
		if err != nil && !strings.Contains(err.Error(), tt.refusal) {
			t.Errorf("%s: %v; want an error with %q", tt.name, err, tt.refusal)
		}
	}
}

func TestCompareAPI(t *testing.T) {
	ascending := []string{"", "1.0", "1.9", "1.10", "1.41", "1.100", "2.0", "2.1"}
	for i, a := range ascending {
		for j, b := range ascending {
			got := compareAPI(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("compareAPI(%q, %q) = %d", a, b, got)
			}
		}
	}
}
