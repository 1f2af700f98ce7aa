// Package headtail keeps the beginning and the end of a stream of any length
// in bounded memory.
package headtail

import (
	"fmt"
	"unicode/utf8"
)

// A Buffer is a writer that keeps at most a given number of bytes, half from
// the beginning and half from the end.
type Buffer struct {
	half int64  // bytes of the tail; the head may have one more
	max  int64  // bytes in all
	head []byte // until full
	tail []byte // a ring once it has half bytes
	next int64  // where the ring is written next
	n    int64  // written in all
}

// New keeps up to max bytes.
func New(max int64) *Buffer { return &Buffer{half: max / 2, max: max} }

// Write never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	n := len(p)
	b.n += int64(n)
	if room := b.max - b.half - int64(len(b.head)); room > 0 {
		k := min(room, int64(len(p)))
		b.head = append(b.head, p[:k]...)
		p = p[k:]
	}
	if room := b.half - int64(len(b.tail)); room > 0 {
		k := min(room, int64(len(p)))
		b.tail = append(b.tail, p[:k]...)
		p = p[k:]
	}
	if len(p) == 0 || b.half == 0 {
		return n, nil
	}
	if over := int64(len(p)) - b.half; over > 0 {
		// Only the last half bytes of p survive.
		b.next = (b.next + over) % b.half
		p = p[over:]
	}
	k := int64(copy(b.tail[b.next:], p))
	copy(b.tail, p[k:])
	b.next = (b.next + int64(len(p))) % b.half
	return n, nil
}

// cut is where the kept bytes end and begin again, on whole characters.
func (b *Buffer) cut() (head, tail []byte) {
	tail = append(append(make([]byte, 0, len(b.tail)), b.tail[b.next:]...), b.tail[:b.next]...)
	head = b.head
	for n := 1; n < utf8.UTFMax && n <= len(head); n++ {
		if t := head[len(head)-n:]; utf8.RuneStart(t[0]) {
			if !utf8.FullRune(t) {
				head = head[:len(head)-n]
			}
			break
		}
	}
	// The rest of a character has at most three bytes; more are not UTF-8.
	n := 0
	for n < len(tail) && n < utf8.UTFMax && !utf8.RuneStart(tail[n]) {
		n++
	}
	if n < utf8.UTFMax {
		tail = tail[n:]
	}
	return head, tail
}

// Dropped is how many bytes of what was written are not in Bytes.
func (b *Buffer) Dropped() int64 {
	if b.n <= b.max {
		return 0
	}
	head, tail := b.cut()
	return b.n - int64(len(head)+len(tail))
}

// Bytes is what was written, or its beginning and end with a line between
// that says how many bytes are missing.
func (b *Buffer) Bytes() []byte {
	if b.n <= b.max {
		if len(b.tail) == 0 {
			return b.head
		}
		return append(b.head[:len(b.head):len(b.head)], b.tail...)
	}
	head, tail := b.cut()
	mark := fmt.Sprintf("\n[... %d bytes dropped ...]\n", b.n-int64(len(head)+len(tail)))
	out := make([]byte, 0, len(head)+len(mark)+len(tail))
	return append(append(append(out, head...), mark...), tail...)
}
