package mcp

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A clip keeps the beginning and the end of an output stream: what a model can
// take of it, and where in it the rest begins.
type clip struct {
	head, tail []byte
	max        int
	n          int64 // bytes that there are, those that were lost included
	lost       int64 // bytes that never came
}

// A third of what is kept is of the beginning: what went wrong is at the end.
func (c *clip) headMax() int { return c.max / 3 }
func (c *clip) tailMax() int { return c.max - c.headMax() }

func (c *clip) write(p []byte) {
	c.n += int64(len(p))
	if room := c.headMax() - len(c.head); room > 0 && c.lost == 0 {
		k := min(room, len(p))
		c.head = append(c.head, p[:k]...)
		p = p[k:]
	}
	c.tail = append(c.tail, p...)
	if over := len(c.tail) - c.tailMax(); over > c.tailMax() {
		c.tail = append(c.tail[:0], c.tail[over:]...)
	}
}

// skip notes bytes that are missing: all before them is as good as missing, too,
// but for the beginning.
func (c *clip) skip(n int64) {
	c.n += n
	c.lost += n
	c.tail = c.tail[:0]
}

// parts are what is kept, on whole characters, and how much is missing between.
func (c *clip) parts() (head, tail []byte, missing int64) {
	head, tail = c.head, c.tail
	if over := len(tail) - c.tailMax(); over > 0 {
		tail = tail[over:]
	}
	if c.n > int64(len(head)+len(tail)) {
		head, tail = head[:len(head)-incomplete(head)], tail[continued(tail):]
	}
	return head, tail, c.n - int64(len(head)+len(tail))
}

// text is the output as text, with a line where something is missing that says
// how much, and how to get it.
func (c *clip) text(how func(from int64) string) (s string, missing int64) {
	head, tail, missing := c.parts()
	if missing == 0 {
		return readable(slices.Concat(head, tail)), 0 // a character may be in both
	}
	var b strings.Builder
	b.WriteString(readable(head))
	if len(head) > 0 && head[len(head)-1] != '\n' {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "[... %d of %d bytes are left out here; %s ...]\n", missing, c.n, how(int64(len(head))))
	b.WriteString(readable(tail))
	return b.String(), missing
}

// readable is output as text: what is not UTF-8 shows as a replacement character.
func readable(p []byte) string { return strings.ToValidUTF8(string(p), "\ufffd") }

// incomplete is how many bytes at the end of p begin a character that is not
// whole.
func incomplete(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if tail := p[len(p)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// continued is how many bytes at the beginning of p end a character.
func continued(p []byte) int {
	n := 0
	for n < len(p) && n < utf8.UTFMax && !utf8.RuneStart(p[n]) {
		n++
	}
	if n == utf8.UTFMax {
		return 0 // not UTF-8
	}
	return n
}
