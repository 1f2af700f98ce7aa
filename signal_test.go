package pocketdock

import (
	"errors"
	"strings"
	"testing"
)

func TestParseSignal(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Signal // 0: an error
	}{
		{"TERM", SIGTERM},
		{"SIGTERM", SIGTERM},
		{"sigterm", SIGTERM},
		{"kill", SIGKILL},
		{"9", SIGKILL},
		{"1", SIGHUP},
		{"64", 64},
		{"0", 0},
		{"65", 0},
		{"-9", 0},
		{"", 0},
		{"SIG", 0},
		{"SIGSIGTERM", 0},
		{" TERM", 0},
		{"NOTASIGNAL", 0},
		{"9999999999999999999", 0},
	} {
		got, err := ParseSignal(tt.in)
		if got != tt.want || (err != nil) != (tt.want == 0) || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %d, %v; want %d", tt.in, got, err, tt.want)
		}
	}
}

// TestSignalNames reads every signal's own name back.
func TestSignalNames(t *testing.T) {
	for n := Signal(1); n <= maxSignal; n++ {
		s := n.String()
		if !strings.HasPrefix(s, "SIG") {
			if s == "" || !strings.Contains(s, "signal ") {
				t.Errorf("signal %d is called %q", int(n), s)
			}
			continue
		}
		if got, err := ParseSignal(s); err != nil || got != n {
			t.Errorf("%s: %d, %v; want %d", s, got, err, int(n))
		}
	}
}
