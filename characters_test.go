package pocketdock

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/pocketdock/pocketdock/internal/wire"
)

func TestIncomplete(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int
	}{
		{"", 0},
		{"a", 0},
		{"é", 0},
		{"😀", 0},
		{"a\xc3", 1},
		{"\xe2", 1},
		{"\xe2\x82", 2},
		{"\xf0", 1},
		{"\xf0\x9f", 2},
		{"\xf0\x9f\x98", 3},
		// Not the beginning of any character: nothing to wait for.
		{"\xff", 0},
		{"\x80", 0},
		{"\x80\x80\x80\x80", 0},
		{"\xc0", 0},
		{"\xed\xa0", 0},     // half of a surrogate
		{"\xe2\x82\xac", 0}, // whole
		{"\xe2a", 0},
	} {
		if got := incomplete([]byte(tt.in)); got != tt.want {
			t.Errorf("%q: %d, want %d", tt.in, got, tt.want)
		}
	}
}

// script is a procStream that tells these events and then an error.
type script struct {
	procStream
	events []event
	err    error
	closed int
}

func (s *script) next() (event, error) {
	if len(s.events) == 0 {
		return event{}, s.err
	}
	ev := s.events[0]
	s.events = s.events[1:]
	return ev, nil
}

func (s *script) close() error { s.closed++; return nil }

func out(s string) event  { return event{stream: wire.KindStdout, data: []byte(s)} }
func errs(s string) event { return event{stream: wire.KindStderr, data: []byte(s)} }
func exited() event       { return event{exit: &wire.Exit{}} }

type chunk struct {
	stream OutputStream
	data   string
	lost   int64
}

func chunks(s *Stream) (list []chunk) {
	for c := range s.Chunks() {
		list = append(list, chunk{c.Stream, string(c.Data), c.Lost})
	}
	return list
}

func TestCharactersHeldBack(t *testing.T) {
	gap := event{gap: &wire.Gap{From: 10, To: 15}}
	for _, tt := range []struct {
		name   string
		events []event
		want   []chunk
	}{
		{"whole", []event{out("a€"), exited()}, []chunk{{Stdout, "a€", 0}}},
		{"split", []event{out("a\xe2"), out("\x82"), out("\xacb"), exited()}, []chunk{{Stdout, "a", 0}, {Stdout, "€b", 0}}},
		{"streams apart", []event{out("\xe2\x82"), errs("\xc3"), out("\xac"), errs("\xa9"), exited()},
			[]chunk{{Stdout, "€", 0}, {Stderr, "é", 0}}},
		{"never completed", []event{out("a\xf0\x9f"), exited()}, []chunk{{Stdout, "a", 0}, {Stdout, "\xf0\x9f", 0}}},
		{"not UTF-8", []event{out("\xff"), out("\xfe\x80"), exited()}, []chunk{{Stdout, "\xff", 0}, {Stdout, "\xfe\x80", 0}}},
		{"begun and not gone on with", []event{out("\xe2"), out("ab"), exited()}, []chunk{{Stdout, "\xe2ab", 0}}},
		// What came before a gap is told before it: the bytes after it are other ones.
		{"a gap inside", []event{out("a\xe2"), gap, out("b"), exited()},
			[]chunk{{Stdout, "a", 0}, {Stdout, "\xe2", 0}, {Stdout, "", 5}, {Stdout, "b", 0}}},
		{"a gap of the other stream", []event{errs("\xc3"), gap, errs("\xa9"), exited()},
			[]chunk{{Stdout, "", 5}, {Stderr, "é", 0}}},
	} {
		s := &Stream{ps: &script{events: tt.events}, cancel: func() {}}
		if got := chunks(s); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// TestBrokenStreamKeepsOutput: what came before an error is told, then the
// error; the stream is released once.
func TestBrokenStreamKeepsOutput(t *testing.T) {
	boom := errors.New("boom")
	ps := &script{events: []event{out("a\xe2")}, err: boom}
	s := &Stream{ps: ps, cancel: func() {}}
	if got := chunks(s); !slices.Equal(got, []chunk{{Stdout, "a", 0}, {Stdout, "\xe2", 0}}) {
		t.Errorf("%+v", got)
	}
	if r, err := s.Result(); !errors.Is(err, boom) || r != nil {
		t.Errorf("result %v, %v", r, err)
	}
	s.Close()
	s.Close()
	if ps.closed != 1 {
		t.Errorf("closed %d times", ps.closed)
	}
}

// FuzzCharacters splits bytes anywhere: all of them come, in order, and the
// chunks of a text are whole characters.
func FuzzCharacters(f *testing.F) {
	f.Add([]byte("a€b😀é"), []byte{1, 2, 1})
	f.Add([]byte("\xf0\x9f\xff\x98"), []byte{1})
	f.Fuzz(func(t *testing.T, all, cuts []byte) {
		ps := &script{err: io.ErrUnexpectedEOF}
		rest := all
		for _, n := range cuts {
			n := min(int(n), len(rest))
			if n > 0 {
				ps.events = append(ps.events, event{stream: wire.KindStdout, data: bytes.Clone(rest[:n])})
			}
			rest = rest[n:]
		}
		if len(rest) > 0 {
			ps.events = append(ps.events, event{stream: wire.KindStdout, data: rest})
		}
		s := &Stream{ps: ps, cancel: func() {}}
		var got []byte
		for c := range s.Chunks() {
			got = append(got, c.Data...)
			if utf8.Valid(all) && !utf8.Valid(c.Data) {
				t.Fatalf("chunk %q splits a character", c.Data)
			}
		}
		if !bytes.Equal(got, all) {
			t.Fatalf("%q became %q", all, got)
		}
	})
}
