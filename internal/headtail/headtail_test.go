package headtail

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// keep writes parts into a buffer of max bytes.
func keep(max int64, parts ...string) *Buffer {
	b := New(max)
	for _, p := range parts {
		if n, err := b.Write([]byte(p)); n != len(p) || err != nil {
			panic(fmt.Sprint("Write returned ", n, err))
		}
	}
	return b
}

// marked is what Bytes shows when dropped bytes are missing between head and tail.
func marked(head string, dropped int, tail string) string {
	return fmt.Sprintf("%s\n[... %d bytes dropped ...]\n%s", head, dropped, tail)
}

func TestBoundaries(t *testing.T) {
	for _, tt := range []struct {
		name    string
		max     int64
		parts   []string
		want    string
		dropped int64
	}{
		{"nothing into nothing", 0, nil, "", 0},
		{"something into nothing", 0, []string{"ab", "c"}, marked("", 3, ""), 3},
		{"one of one", 1, []string{"a"}, "a", 0},
		{"one keeps the first", 1, []string{"abc"}, marked("a", 2, ""), 2},
		{"two keep both ends", 2, []string{"abc"}, marked("a", 1, "c"), 1},
		{"three: the head has the odd byte", 3, []string{"abcd"}, marked("ab", 1, "d"), 1},
		{"exactly full, at once", 6, []string{"abcdef"}, "abcdef", 0},
		{"exactly full, in pieces", 6, []string{"ab", "cd", "ef"}, "abcdef", 0},
		{"one over", 6, []string{"abcdefg"}, marked("abc", 1, "efg"), 1},
		{"the ring wraps inside a write", 6, []string{"abcdef", "gh"}, marked("abc", 2, "fgh"), 2},
		{"a write larger than the ring", 6, []string{"abcdef", "0123456789"}, marked("abc", 10, "789"), 10},
		{"a write of the ring's size", 6, []string{"abcdefg", "xyz"}, marked("abc", 4, "xyz"), 4},
		{"an empty write", 6, []string{"abcdefg", ""}, marked("abc", 1, "efg"), 1},
	} {
		b := keep(tt.max, tt.parts...)
		if got := string(b.Bytes()); got != tt.want || b.Dropped() != tt.dropped {
			t.Errorf("%s: %q with %d dropped, want %q with %d", tt.name, got, b.Dropped(), tt.want, tt.dropped)
		}
	}
}

// TestWholeCharacters cuts text of characters of each width at every place:
// what is kept is whole characters of the text, and the count is exact.
func TestWholeCharacters(t *testing.T) {
	for _, char := range []string{"a", "é", "€", "😀"} {
		text := strings.Repeat(char, 40)
		for max := range int64(len(text)) {
			b := keep(max, text)
			got := string(b.Bytes())
			if !utf8.ValidString(got) {
				t.Fatalf("%q, max %d: a character is split: %q", char, max, got)
			}
			head, tail := halves(t, got)
			if want := int64(len(text) - len(head) - len(tail)); b.Dropped() != want {
				t.Fatalf("%q, max %d: %d bytes counted as dropped, %d are missing", char, max, b.Dropped(), want)
			}
			if lost := max - int64(len(head)+len(tail)); lost > 2*(utf8.UTFMax-1) {
				t.Fatalf("%q, max %d: %d bytes of the room are not used", char, max, lost)
			}
		}
	}
}

// halves splits what Bytes returned at its mark.
func halves(t *testing.T, s string) (head, tail string) {
	t.Helper()
	head, rest, ok := strings.Cut(s, "\n[... ")
	_, tail, ok2 := strings.Cut(rest, " bytes dropped ...]\n")
	if !ok || !ok2 {
		t.Fatalf("no mark in %q", s)
	}
	return head, tail
}

// TestBytesTwice shows that reading changes nothing.
func TestBytesTwice(t *testing.T) {
	b := keep(6, "abcdefgh")
	first := bytes.Clone(b.Bytes())
	b.Write([]byte("i"))
	if got, want := string(b.Bytes()), marked("abc", 3, "ghi"); got != want {
		t.Errorf("after another write: %q, want %q", got, want)
	}
	if want := marked("abc", 2, "fgh"); string(first) != want {
		t.Errorf("first: %q, want %q", first, want)
	}
}

// naive is the same in the plainest way: all bytes, then the two ends. Letters
// of one byte are used, so that no cut moves.
func naive(max int64, all []byte) (want []byte, dropped int64) {
	if int64(len(all)) <= max {
		return all, 0
	}
	half := max / 2
	head, tail := all[:max-half], all[int64(len(all))-half:]
	dropped = int64(len(all)) - max
	return []byte(marked(string(head), int(dropped), string(tail))), dropped
}

func TestAgainstNaive(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		max := r.Int64N(40)
		b := New(max)
		var all []byte
		for range r.IntN(12) {
			p := make([]byte, r.IntN(30))
			for i := range p {
				p[i] = 'a' + byte(r.IntN(26))
			}
			all = append(all, p...)
			b.Write(p)
			want, dropped := naive(max, all)
			if !bytes.Equal(b.Bytes(), want) || b.Dropped() != dropped {
				t.Fatalf("seed %d, max %d, %q: %q (%d dropped), want %q (%d)", seed, max, all, b.Bytes(), b.Dropped(), want, dropped)
			}
		}
	}
}

// FuzzBytes writes anything in two pieces: nothing is invented, the count is
// right, memory stays within the bound.
func FuzzBytes(f *testing.F) {
	f.Add([]byte("hello"), 2, uint8(3))
	f.Add([]byte("a€b😀c"), 4, uint8(5))
	f.Fuzz(func(t *testing.T, all []byte, cut int, room uint8) {
		if cut < 0 || cut > len(all) {
			return
		}
		max := int64(room)
		b := keep(max, string(all[:cut]), string(all[cut:]))
		if int64(len(b.head)+len(b.tail)) > max {
			t.Fatalf("%d bytes are kept, %d allowed", len(b.head)+len(b.tail), max)
		}
		got := b.Bytes()
		if b.Dropped() == 0 {
			if !bytes.Equal(got, all) {
				t.Fatalf("nothing dropped, and %q became %q", all, got)
			}
			return
		}
		mark := fmt.Sprintf("\n[... %d bytes dropped ...]\n", b.Dropped())
		// The input may contain the mark itself: try each place.
		for i := 0; ; i++ {
			j := bytes.Index(got[i:], []byte(mark))
			if j < 0 {
				t.Fatalf("%q is not a beginning and an end of %q", got, all)
			}
			i += j
			head, tail := got[:i], got[i+len(mark):]
			if bytes.HasPrefix(all, head) && bytes.HasSuffix(all, tail) && int64(len(head)+len(tail)) == int64(len(all))-b.Dropped() {
				return
			}
		}
	})
}
