package pocketdock

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// The texts are what runc 1.1, crun 1.8 and the engines around them print.
func TestExecRefusal(t *testing.T) {
	for _, tt := range []struct {
		text string
		want error
	}{
		{`OCI runtime exec failed: exec failed: unable to start container process: exec: "nope": executable file not found in $PATH: unknown`, ErrCommandNotFound},
		{`OCI runtime exec failed: exec failed: container_linux.go:380: starting container process caused: exec: "/nope": stat /nope: no such file or directory: unknown`, ErrCommandNotFound},
		{`OCI runtime exec failed: exec failed: unable to start container process: exec: "/etc/passwd": permission denied: unknown`, ErrCommandNotExecutable},
		{`OCI runtime exec failed: exec failed: unable to start container process: exec: "/x": exec format error`, ErrCommandNotExecutable},
		{`OCI runtime exec failed: exec failed: unable to start container process: exec: "/etc": is a directory`, ErrCommandNotExecutable},
		{"executable file `nope` not found in $PATH: No such file or directory: OCI runtime attempted to invoke a command that was not found", ErrCommandNotFound},
		{"open executable: Permission denied: OCI permission denied", ErrCommandNotExecutable},
		// Another failure of the runtime is not about the command.
		{"OCI runtime exec failed: exec failed: cannot exec a stopped container: unknown", nil},
		// What a command itself prints is its own business.
		{"sh: 1: nope: not found\n", nil},
		{"cat: /x: No such file or directory\n", nil},
		{"permission denied", nil},
		{"", nil},
	} {
		if got := execRefusal(tt.text); got != tt.want {
			t.Errorf("%.70q: %v, want %v", tt.text, got, tt.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"plain é 😀", "plain é 😀"},
		{"two\nlines\r\n", "two lines  "},
		{"\x1b[31mred\x1b[0m\a\x7f", " [31mred [0m  "},
		{"\u0085\u009b31m", "  31m"},  // C1 controls: a terminal obeys them, too
		{"abc\u202edcba", "abc dcba"}, // reads backwards
		{"\xff\xfea", "?a"},
	} {
		if got := printable(tt.in); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[2Jb")
	f.Add(strings.Repeat("é", 600))
	f.Fuzz(func(t *testing.T, s string) {
		got := printable(s)
		if len(got) > 1100 || !utf8.ValidString(got) {
			t.Fatalf("%d bytes: %q", len(got), got)
		}
		for _, r := range got {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				t.Fatalf("%q keeps %U", got, r)
			}
		}
	})
}
