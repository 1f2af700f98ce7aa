package pocketdock

import (
	"errors"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestResolve(t *testing.T) {
	for _, tt := range []struct {
		name string
		cmd  Command
		argv []string // nil: an error
		says string   // part of the error
	}{
		{"a program", Argv("echo", "a b", ""), []string{"echo", "a b", ""}, ""},
		{"a shell line", Shell("echo $HOME"), []string{"/bin/sh", "-c", "echo $HOME"}, ""},
		{"bytes that are not text", Argv("echo", "\xff\n"), []string{"echo", "\xff\n"}, ""},
		{"nothing", Command{}, nil, "set one of"},
		{"two forms", Command{Args: []string{"x"}, Shell: "y"}, nil, "set one of"},
		{"three forms", Command{Args: []string{"x"}, Shell: "y", Lang: "sh", Code: "z"}, nil, "set one of"},
		{"no program", Argv(""), nil, "empty"},
		{"a zero byte", Argv("echo", "a\x00b"), nil, "zero byte"},
		{"a zero byte in a shell line", Shell("a\x00b"), nil, "zero byte"},
		{"code without a language", Command{Code: "x"}, nil, "Lang"},
		{"a language that is none", Code("cobol", "x"), nil, "python"},
		{"a language is not a path", Code("../sh", "x"), nil, "../sh"},
		{"a bad variable", Command{Args: []string{"x"}, Env: map[string]string{"A=": "b"}}, nil, "A="},
		{"negative grace", Command{Args: []string{"x"}, Grace: -1}, nil, "negative"},
		{"negative soft timeout", Command{Args: []string{"x"}, SoftTimeout: -1}, nil, "negative"},
	} {
		s, src, err := tt.cmd.resolve()
		if tt.argv == nil {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v, want ErrInvalid with %q", tt.name, err, tt.says)
			}
			continue
		}
		if err != nil || src != nil || !slices.Equal(s.Argv, tt.argv) {
			t.Errorf("%s: %+v, %v, %v; want %q", tt.name, s, src, err, tt.argv)
		}
	}
}

// TestResolveCode puts source text in a file of its own, whatever it contains.
func TestResolveCode(t *testing.T) {
	seen := map[string]bool{}
	for _, lang := range Languages() {
		text := "print('a\x00b')\n"
		cmd := Code(lang, text)
		s, src, err := cmd.resolve()
		if err != nil {
			t.Fatal(lang, err)
		}
		if src.text != text || path.Dir(src.path) != src.dir || s.Argv[len(s.Argv)-1] != src.path {
			t.Errorf("%s: %q runs %+v", lang, s.Argv, src)
		}
		if seen[src.dir] {
			t.Errorf("%s: directory %s is another one's", lang, src.dir)
		}
		seen[src.dir] = true
	}
	// Resolving must not change what the next one gets.
	one, two := Code("go", ""), Code("go", "")
	a, _, _ := one.resolve()
	b, _, _ := two.resolve()
	if a.Argv[len(a.Argv)-1] == b.Argv[len(b.Argv)-1] {
		t.Error("two commands share an argument list")
	}
}

func TestResolveOptions(t *testing.T) {
	cmd := Command{
		Args: []string{"x"}, Env: map[string]string{"B": "2", "A": "1"}, Dir: "/d", User: "u",
		Stdin: strings.NewReader(""), Terminal: &TerminalSize{Rows: 70000, Cols: -1}, Grace: 1500 * time.Millisecond,
		SoftTimeout: 2 * time.Second, Rlimits: map[string][2]int64{"nproc": {1, 2}, "core": {0, -1}},
		Capabilities: []string{"CHOWN"}, LogLimit: 7,
	}
	s, _, err := cmd.resolve()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Env, []string{"A=1", "B=2"}) || s.Dir != "/d" || s.User != "u" || !s.Stdin {
		t.Errorf("%+v", s)
	}
	if s.TTY == nil || s.TTY.Rows != 65535 || s.TTY.Cols != 0 {
		t.Errorf("a size that does not fit became %+v", s.TTY)
	}
	if s.GraceMS != 1500 || s.SoftMS != 2000 || s.LogLimit != 7 || len(s.Caps) != 1 {
		t.Errorf("%+v", s)
	}
	if len(s.Rlimits) != 2 || s.Rlimits[0].Name != "core" || s.Rlimits[0].Hard != -1 || s.Rlimits[1].Soft != 1 {
		t.Errorf("rlimits %+v", s.Rlimits)
	}
}
