package project

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"unicode/utf8"

	"github.com/pocketdock/pocketdock"
)

// TestStrings: every byte at every place of a word is escaped or not as the
// table says, and reads as what it was.
func TestStrings(t *testing.T) {
	for c := range 256 {
		for at := range 17 {
			for _, around := range []byte{'a', 0x7e, ' ', '!', '\n'} {
				s := bytes.Repeat([]byte{around}, 24)
				s[at] = byte(c)
				checkString(t, s)
			}
		}
	}
	const odd = "ab \"\\\n\x00\x1f\x7f\x80\xc2\x9b\xe2\x80\xae\xff~"
	for range 20000 {
		s := make([]byte, rand.IntN(40))
		for i := range s {
			s[i] = odd[rand.IntN(len(odd))]
		}
		checkString(t, s)
	}
}

func checkString(t *testing.T, s []byte) {
	t.Helper()
	n := 0
	for n < len(s) && safeByte[s[n]] {
		n++
	}
	if got := safePrefix(s); got != n {
		t.Fatalf("%q: %d bytes need no escape, not %d", s, n, got)
	}
	control := 0
	for _, c := range s {
		if c < 0x20 && c != '\n' && c != '\t' && c != '\r' {
			control++
		}
	}
	if text := control <= len(s)/8+8 && utf8.Valid(s); isText(s) != text {
		t.Fatalf("%q: text %v", s, !text)
	}
	l, ok := parseLine(bytes.TrimSuffix(appendOutput(nil, 1, pocketdock.Stdout, s), []byte("\n")))
	if !ok || l.Out != nil && *l.Out != string(s) || l.Out == nil && !bytes.Equal(l.Out64, s) {
		t.Fatalf("%q: %+v", s, l)
	}
	var text string
	if err := json.Unmarshal(appendString(nil, s), &text); err != nil || utf8.Valid(s) && text != string(s) {
		t.Fatalf("%q: %q, %v", s, text, err)
	}
}
