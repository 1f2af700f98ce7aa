package frames

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
)

func frame(stream byte, payload string) []byte {
	b := []byte{stream, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(b[4:], uint32(len(payload)))
	return append(b, payload...)
}

// collect reads everything and returns both streams and the final error.
func collect(r io.Reader) (out, errs []byte, err error) {
	fr := NewReader(r)
	for {
		s, p, err := fr.Next()
		if err == io.EOF {
			return out, errs, nil
		}
		if err != nil {
			return out, errs, err
		}
		if s == Stderr {
			errs = append(errs, p...)
		} else {
			out = append(out, p...)
		}
	}
}

func TestStreamsApart(t *testing.T) {
	big := make([]byte, 3*bufferSize+17)
	rand.Read(big)
	var in []byte
	in = append(in, frame(0, "zero ")...)
	in = append(in, frame(1, "")...)
	in = append(in, frame(1, "one ")...)
	in = append(in, frame(2, "two")...)
	in = append(in, frame(1, string(big))...)
	want := "zero one " + string(big)
	for name, r := range map[string]io.Reader{
		"whole":    bytes.NewReader(in),
		"bytewise": iotest.OneByteReader(bytes.NewReader(in)),
		"halves":   iotest.HalfReader(bytes.NewReader(in)),
		"data+EOF": iotest.DataErrReader(bytes.NewReader(in)),
	} {
		out, errs, err := collect(r)
		if err != nil || string(out) != want || string(errs) != "two" {
			t.Errorf("%s: %d bytes out, %q err, error %v", name, len(out), errs, err)
		}
	}
}

// TestCutAnywhere cuts a stream at each byte: only a cut between frames reads
// as an end.
func TestCutAnywhere(t *testing.T) {
	a, b := frame(1, "hello"), frame(2, "x")
	in := append(append([]byte{}, a...), b...)
	for n := range len(in) + 1 {
		_, _, err := collect(bytes.NewReader(in[:n]))
		clean := n == 0 || n == len(a) || n == len(in)
		if clean && err != nil {
			t.Errorf("cut at %d: %v", n, err)
		}
		if !clean && !errors.Is(err, ErrTruncated) {
			t.Errorf("cut at %d: got %v, want ErrTruncated", n, err)
		}
	}
}

// TestPartialFrameDelivered shows that output is there before its frame is
// complete, and that a huge announced size costs nothing.
func TestPartialFrameDelivered(t *testing.T) {
	pr, pw := io.Pipe()
	defer pw.Close()
	go pw.Write([]byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 'h', 'i'})
	fr := NewReader(pr)
	var got []byte
	for len(got) < 2 {
		_, p, err := fr.Next()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p...)
	}
	if string(got) != "hi" {
		t.Fatalf("got %q", got)
	}
	pw.CloseWithError(io.EOF)
	if _, _, err := fr.Next(); !errors.Is(err, ErrTruncated) {
		t.Fatalf("got %v, want ErrTruncated", err)
	}
}

func TestBadHeader(t *testing.T) {
	for _, in := range []string{"HTTP/1.1 500 x", "\x03\x00\x00\x00\x00\x00\x00\x01a", "\x01\x00\x01\x00\x00\x00\x00\x01a"} {
		if _, _, err := collect(bytes.NewReader([]byte(in))); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
}

func TestReadError(t *testing.T) {
	boom := errors.New("boom")
	_, _, err := collect(io.MultiReader(bytes.NewReader(frame(1, "a")[:4]), iotest.ErrReader(boom)))
	if !errors.Is(err, boom) {
		t.Fatalf("got %v, want the reader's error", err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(""))
	f.Add(frame(1, "hello"))
	f.Add(append(frame(2, "e"), frame(1, "o")...))
	f.Add([]byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		o1, e1, err1 := collect(bytes.NewReader(in))
		o2, e2, err2 := collect(iotest.OneByteReader(bytes.NewReader(in)))
		if !bytes.Equal(o1, o2) || !bytes.Equal(e1, e2) || (err1 == nil) != (err2 == nil) {
			t.Fatalf("how the bytes arrive changes the result: %v / %v", err1, err2)
		}
		if len(o1)+len(e1) > len(in) {
			t.Fatal("more output than input")
		}
	})
}

// repeat is an endless stream of one frame.
type repeat struct {
	frame []byte
	off   int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m := copy(p[n:], r.frame[r.off:])
		r.off = (r.off + m) % len(r.frame)
		n += m
	}
	return n, nil
}

// BenchmarkDemux reads frames of one size; the bytes counted are payload.
func BenchmarkDemux(b *testing.B) {
	for _, size := range []int{1, 64, 1 << 10, 32 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			// A block of whole frames, so that what is measured is the demultiplexer.
			block := bytes.Repeat(frame(1, string(make([]byte, size))), max(1, (1<<20)/(size+headerSize)))
			fr := NewReader(&repeat{frame: block})
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				for left := size; left > 0; {
					_, p, err := fr.Next()
					if err != nil {
						b.Fatal(err)
					}
					left -= len(p)
				}
			}
		})
	}
}
