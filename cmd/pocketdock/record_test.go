//go:build unix

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/pocketdock/pocketdock"
)

// TestSuiteShellRecorded: what is done in a shell of a persistent sandbox of
// the project can be read again, and does nothing to the terminal; a shell that
// was left is recorded to its end.
func TestSuiteShellRecorded(t *testing.T) {
	onTerminals(t, func(t *testing.T, p *pane, box *pocketdock.Container) {
		dir, err := os.MkdirTemp("", "pd")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		p.line("cd " + dir + " && pocketdock init && K=$BOX-kept && pocketdock create --persist --image " + testImage + " --name $K; clear; pocketdock shell $K; echo code=$?")
		p.inside(`printf 'safe \033[31mred\033[m\033]0;title\007 \033[2J\033[6nend\n'; exit 3`)
		p.shows(`code=3`)
		p.line("clear; pocketdock logs --history $K; pocketdock logs $K")
		p.shows(`session +exited 3 .* sh`)
		p.shows(`(?m)^==> .* session sh \(exited 3\)`)
		p.shows(`(?m)^safe red end`)
		p.sane("log")

		p.line("clear; pocketdock shell $K")
		p.inside("echo before $((40+2))")
		p.shows(`before 42`)
		p.keys("C-p", "C-q")
		p.shows(`Left running`)
		p.shows(`(?m)^here> $`)
		p.line("clear; pocketdock logs --history --last 1 $K")
		p.shows(`session +running`)
		p.line("clear; pocketdock attach $K $(pocketdock ps -q $K); echo code=$?")
		p.inside("exit 5")
		p.shows(`code=5`)
		p.line("clear; pocketdock logs --history --last 1 $K; pocketdock logs -q --last 1 $K")
		p.shows(`detach +exited 5`)
		p.shows(`(?m)^before 42`)
	})
}

// TestPlainWriter: text, lines and colours come through, however they are cut.
func TestPlainWriter(t *testing.T) {
	for in, want := range map[string]string{
		"plain ü€漢\n\ttab":                "plain ü€漢\n\ttab",
		"a\r\nb\r\n":                      "a\nb\n",
		"\x1b[1;31mred\x1b[0m":            "\x1b[1;31mred\x1b[0m\x1b[m",
		"\x1b]0;title\x07x\x1b[2J\x1b[6n": "x",
		"\x1bP1$r\x1b\\y\x1b(0\x1bc":      "y",
		"bell\x07 \x9b2J":                 "bell\uFFFD \uFFFD2J",
		"\xff\xfe":                        "\uFFFD",
		"\u202eabc":                       "\uFFFDabc",
		"cut\xe2\x82":                     "cut\uFFFD",
		"\x1b[" + strings.Repeat("1", 1000) + "mlong": "long",
	} {
		for _, step := range []int{1, 2, 3, len(in)} {
			var out bytes.Buffer
			p := &plainWriter{w: &out, color: true}
			for rest := []byte(in); len(rest) > 0; {
				n := min(step, len(rest))
				p.Write(rest[:n])
				rest = rest[n:]
			}
			p.end()
			// Bytes that are no text become one mark or several.
			if got := squeeze(out.String()); got != squeeze(want) {
				t.Errorf("%q in pieces of %d: %q, want %q", in, step, got, want)
			}
		}
	}
}

func squeeze(s string) string {
	for strings.Contains(s, "\uFFFD\uFFFD") {
		s = strings.ReplaceAll(s, "\uFFFD\uFFFD", "\uFFFD")
	}
	return s
}

// TestTail keeps the last lines, however the output is cut.
func TestTail(t *testing.T) {
	for _, c := range []struct {
		lines int
		in    []string
		want  string
	}{
		{2, []string{"a\nb\nc\n"}, "b\nc\n"},
		{2, []string{"a\nb\nc"}, "b\nc"},
		{1, []string{"a", "b", "\n", "c", "d\n"}, "cd\n"},
		{3, []string{"a\n", "b\n"}, "a\nb\n"},
		{0, []string{"a\n", "b"}, ""},
		{1, []string{"a\n\n"}, "\n"},
		{2, []string{"x\ny", "\nz\n", "w"}, "z\nw"},
	} {
		tl := tail{lines: c.lines}
		for _, s := range c.in {
			tl.add(piece{data: []byte(s)})
		}
		var got strings.Builder
		for _, pc := range tl.list {
			got.Write(pc.data)
		}
		if got.String() != c.want {
			t.Errorf("last %d lines of %q: %q, want %q", c.lines, c.in, got.String(), c.want)
		}
	}
}

// TestReadSecrets: a value is neither taken from the command line nor repeated.
func TestReadSecrets(t *testing.T) {
	t.Setenv("PD_TEST_SECRET", "v")
	got, err := readSecrets([]string{"PD_TEST_SECRET"})
	if err != nil || got["PD_TEST_SECRET"] != "v" {
		t.Errorf("%q, %v", got, err)
	}
	for _, s := range []string{"A=hunter2", "1hunter2", "", "=@f", "hunter2-x", "A=@/no/such/file", "PD_TEST_NONE"} {
		if _, err := readSecrets([]string{s}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", s, err)
		}
	}
}
