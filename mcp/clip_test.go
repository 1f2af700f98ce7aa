package mcp

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestClip: what is kept and what is missing add up, characters stay whole, and
// nothing that is cut looks whole, however the output came.
func TestClip(t *testing.T) {
	for _, unit := range []string{"x", "ä", "€", "\U0001f600"} {
		for n := range 120 {
			text := strings.Repeat(unit, n)
			for _, step := range []int{1, 7, 1000} {
				c := &clip{max: 60}
				for i := 0; i < len(text); i += step {
					c.write([]byte(text[i:min(len(text), i+step)]))
				}
				head, tail, missing := c.parts()
				if int64(len(head)+len(tail))+missing != int64(len(text)) || !strings.HasPrefix(text, string(head)) || !strings.HasSuffix(text, string(tail)) {
					t.Fatalf("%d of %q by %d: %d, %d, %d missing", n, unit, step, len(head), len(tail), missing)
				}
				s, m := c.text(func(from int64) string { return fmt.Sprintf("from %d", from) })
				if m != missing || !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) {
					t.Fatalf("%d of %q by %d: %q", n, unit, step, s)
				}
				if whole := len(text) <= 60; whole != (missing == 0) || whole && s != text || !whole && !strings.Contains(s, fmt.Sprintf("%d of %d bytes are left out here; from %d", missing, len(text), len(head))) {
					t.Fatalf("%d of %q by %d: %q, %d missing", n, unit, step, s, missing)
				}
			}
		}
	}
	// What was lost on the way is missing, too.
	c := &clip{max: 60}
	c.write([]byte("begin"))
	c.skip(1000)
	c.write([]byte("end"))
	if s, missing := c.text(func(int64) string { return "" }); missing != 1000 || !strings.HasPrefix(s, "begin\n[... 1000 of 1008") || !strings.HasSuffix(s, "end") {
		t.Errorf("%q, %d", s, missing)
	}
}
