package main

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pocketdock/pocketdock"
)

func TestParseDetachKeys(t *testing.T) {
	for s, want := range map[string][]byte{"": nil, "ctrl-p,ctrl-q": {16, 17}, "ctrl-],q": {29, 'q'}, "CTRL-A": {1}, "ctrl-@": {0}, "~,.": {'~', '.'}} {
		if got, err := parseDetachKeys(s); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{",", "ctrl-1", "ctrl-", "ab", "ctrl-pp", "é", " "} {
		if got, err := parseDetachKeys(s); !errors.Is(err, pocketdock.ErrInvalid) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

// TestKeyScanner: whatever the pieces, nothing of the input is lost but the
// keys themselves.
func TestKeyScanner(t *testing.T) {
	for _, tt := range []struct {
		keys, in, out string
		detach        bool
		held          string
	}{
		{"pq", "hello", "hello", false, ""},
		{"pq", "apq", "a", true, ""},
		{"pq", "apqrest", "a", true, ""},
		{"pq", "ap", "a", false, "p"},
		{"pq", "ppq", "p", true, ""},
		{"pq", "pp", "p", false, "p"},
		{"pq", "pxq", "pxq", false, ""},
		{"aab", "aaab", "a", true, ""},
		{"aab", "aaxaa", "aax", false, "aa"},
		{"abac", "ababac", "ab", true, ""},
		{"", "pq", "pq", false, ""},
	} {
		for cut := range len(tt.in) + 1 {
			k := keyScanner{keys: detachKeys(tt.keys)}
			var out []byte
			detach := false
			for _, piece := range []string{tt.in[:cut], tt.in[cut:]} {
				if detach {
					break
				}
				o, d := k.next([]byte(piece))
				out, detach = append(out, slices.Clone(o)...), d
			}
			if string(out) != tt.out || detach != tt.detach || k.holds() != (tt.held != "") || string(k.release()) != tt.held {
				t.Errorf("%q in %q cut at %d: %q, %v", tt.keys, tt.in, cut, out, detach)
			}

			// What was released in between is given once, and counts.
			k, out, detach = keyScanner{keys: detachKeys(tt.keys)}, nil, false
			for _, piece := range []string{tt.in[:cut], tt.in[cut:]} {
				if detach {
					break
				}
				o, d := k.next([]byte(piece))
				out, detach = append(out, o...), d
				if !detach {
					out = append(out, k.release()...)
				}
			}
			want := tt.out + tt.held
			if detach != tt.detach || !strings.HasPrefix(string(out), tt.out) || !detach && string(out) != want {
				t.Errorf("%q in %q cut at %d, released: %q, %v", tt.keys, tt.in, cut, out, detach)
			}
		}
	}
}

func TestModes(t *testing.T) {
	for _, tt := range []struct {
		output, undo, redo string
		alternate          bool
	}{
		{"plain text", "", "", false},
		{"\x1b[31mred\x1b[0m", "", "", false},
		{"\x1b[?1049h\x1b[?1h\x1b=\x1b[?25l", "\x1b[?1l\x1b[?25h\x1b[?1049l\x1b>\x1b[0m", "\x1b[?1h\x1b[?25l\x1b[?1049h\x1b=\x1b[0m", true},
		{"\x1b[?1049h\x1b[?2004h\x1b[?1049l", "\x1b[?2004l\x1b[0m", "\x1b[?2004h\x1b[0m", false},
		{"\x1b[?1000;1006h", "\x1b[?1000l\x1b[?1006l\x1b[0m", "\x1b[?1000h\x1b[?1006h\x1b[0m", false},
		{"\x1b[?7l\x1b[?7h", "", "", false},
		{"\x1b]0;a title [?1049h\x07", "", "", false},
		{"\x1b]0;a title \x1b\\\x1b[?25l", "\x1b[?25h\x1b[0m", "\x1b[?25l\x1b[0m", false},
		{"\x1b[?25l\x1bc", "", "", false},
		{"\x1b[?99999999999999999999h\x1b[?12h\x1b[?25\x1b[?x;h", "", "", false},
	} {
		for cut := range len(tt.output) + 1 {
			var m modes
			m.observe([]byte(tt.output[:cut]))
			m.observe([]byte(tt.output[cut:]))
			if m.undo() != tt.undo || m.redo() != tt.redo || m.alternate() != tt.alternate {
				t.Errorf("%q cut at %d: undo %q, redo %q", tt.output, cut, m.undo(), m.redo())
			}
		}
	}
}

// TestRecap: what somebody sees who comes back has no questions to the
// terminal in it, whose answers would be typed into the program.
func TestRecap(t *testing.T) {
	for _, tt := range []struct {
		output string
		lines  int
		want   string
	}{
		{"one\ntwo\nthree", 1, "three"},
		{"one\ntwo\nthree", 2, "two\nthree"},
		{"one", 5, "one"},
		{"", 5, ""},
		{"a\x1b[6n\x1b[c\x1b[?2004h\x1b[1mb\x1b[0m\x1b[2J\x1b[H\x1b]52;c;eA==\x07c", 5, "a\x1b[1mb\x1b[0mc"},
	} {
		if got := string(recap([]byte(tt.output), tt.lines)); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.output, got, tt.want)
		}
	}
}

// FuzzSplitter: text and sequences are what came in, in order, less what never
// ended or was too long.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte("a\x1b[31mb\x1b]0;t\x07c\x1bP1\x1b\\d\x1b"), 3)
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		cut = min(max(cut, 0), len(p))
		var s splitter
		var got []byte
		each := func(part []byte, control bool) {
			if control != (len(part) > 0 && part[0] == 0x1b) {
				t.Errorf("%q, control %v", part, control)
			}
			got = append(got, part...)
		}
		s.feed(p[:cut], each)
		s.feed(p[cut:], each)
		if len(p) < maxSequence && s.in == ground && !bytes.Equal(got, p) {
			t.Errorf("%q became %q", p, got)
		}
		if len(s.seq) > maxSequence {
			t.Errorf("%d bytes held", len(s.seq))
		}
	})
}

// typedTo is a command that keeps what is typed into it.
type typedTo struct{ strings.Builder }

func (*typedTo) Chunks() iter.Seq[pocketdock.Chunk] { return nil }

func (*typedTo) Result() (*pocketdock.Result, error) { return nil, nil }

func (*typedTo) Resize(pocketdock.TerminalSize) error { return nil }

func (*typedTo) CloseInput() error { return nil }

// TestSlowKeys: the first of the detach keys alone reaches the command soon, and
// the second still leaves it when it comes seconds later, but not much later.
func TestSlowKeys(t *testing.T) {
	for _, tt := range []struct {
		pause  time.Duration // between the keys
		next   string
		early  string // what the command has just before the second key
		all    string
		detach bool
	}{
		{100 * time.Millisecond, "\x11", "", "", true},
		{700 * time.Millisecond, "\x11", "\x10", "\x10", true},
		{2500 * time.Millisecond, "\x11", "\x10", "\x10", true},
		{10 * time.Second, "\x11", "\x10", "\x10\x11", false},
		{time.Second, "x", "\x10", "\x10x", false},
		{time.Second, "\x10", "\x10", "\x10\x10", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			in, done := make(chan []byte), make(chan struct{})
			var cmd typedTo
			result := make(chan bool)
			go func() { result <- forward(&cmd, in, detachKeys{0x10, 0x11}, done) }()
			in <- []byte{0x10}
			time.Sleep(tt.pause)
			synctest.Wait()
			if cmd.String() != tt.early {
				t.Errorf("%v: %q before the second key, want %q", tt.pause, cmd.String(), tt.early)
			}
			in <- []byte(tt.next)
			if !tt.detach {
				time.Sleep(time.Minute)
				close(done)
			}
			if detach := <-result; detach != tt.detach || cmd.String() != tt.all {
				t.Errorf("%v, then %q: %q, left: %v", tt.pause, tt.next, cmd.String(), detach)
			}
		})
	}
}

// TestUnheardKeys: of what is typed to a command without input only Ctrl-C, or
// the detach keys, do something: they leave it.
func TestUnheardKeys(t *testing.T) {
	for typed, leaves := range map[string]bool{"": false, "abc\r": false, "\x03": true, "x\x03": true, "ab\x10\x11": true} {
		in := make(chan []byte, 1)
		in <- []byte(typed)
		close(in)
		var cmd typedTo
		if left := forward(unheard{&cmd}, in, detachKeys{0x10, 0x11}, nil); left != leaves || cmd.String() != "" {
			t.Errorf("%q: left %v, %q arrived", typed, left, cmd.String())
		}
	}
}
