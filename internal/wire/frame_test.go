package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

// raw is a frame as its bytes, of any announced length.
func raw(k Kind, announced uint32, payload string) string {
	return string(binary.BigEndian.AppendUint32([]byte{byte(k)}, announced)) + payload
}

func frame(k Kind, payload string) string { return raw(k, uint32(len(payload)), payload) }

// socketPair is two ends of a Unix socket.
func socketPair(t *testing.T) (client, server *net.UnixConn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.UnixConn), s.(*net.UnixConn)
}

var payloads = []string{"", "x", strings.Repeat("small", 200), strings.Repeat("vector", 2000), strings.Repeat("m", MaxFrame)}

// TestRoundTrip sends frames of each size class through a buffer and through
// a socket, where header and payload leave by other ways.
func TestRoundTrip(t *testing.T) {
	check := func(name string, r io.Reader) {
		t.Helper()
		rd := NewReader(r)
		for _, want := range payloads {
			k, n, err := rd.Header()
			if err != nil || k != KindData || n != len(want) {
				t.Fatalf("%s: header %q of %d bytes, %v; want %d bytes", name, k, n, err, len(want))
			}
			got, err := rd.Payload()
			if err != nil || string(got) != want {
				t.Fatalf("%s: a payload of %d bytes came as %d, %v", name, len(want), len(got), err)
			}
		}
		if _, _, err := rd.Header(); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
	write := func(w *Writer) error {
		for _, p := range payloads {
			if err := w.Frame(KindData, []byte(p)); err != nil {
				return err
			}
		}
		return nil
	}
	var buf bytes.Buffer
	if err := write(NewWriter(&buf)); err != nil {
		t.Fatal(err)
	}
	check("buffer", iotest.HalfReader(&buf))
	c, s := socketPair(t)
	failed := make(chan error, 1)
	go func() { failed <- write(NewWriter(c)); c.Close() }()
	check("socket", s)
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// TestLimits: what is too long is refused on both sides, and the reader does
// so before it has read any of it.
func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		kind Kind
		n    uint32
		ok   bool
	}{
		{KindData, MaxFrame, true},
		{KindData, MaxFrame + 1, false},
		{KindRequest, MaxRequest, true},
		{KindRequest, MaxRequest + 1, false},
		{KindExit, MaxRequest, false},
		{KindData, 1<<32 - 1, false},
		{'?', MaxFrame, true},
	} {
		_, _, err := NewReader(strings.NewReader(raw(tt.kind, tt.n, ""))).Header()
		if (err == nil) != tt.ok {
			t.Errorf("reading %q of %d bytes: %v", tt.kind, tt.n, err)
		}
		if tt.n > 2*MaxRequest {
			continue
		}
		for name, write := range map[string]func(*Writer) error{
			"Frame":   func(w *Writer) error { return w.Frame(tt.kind, make([]byte, tt.n)) },
			"Queue":   func(w *Writer) error { return w.Queue(tt.kind, make([]byte, tt.n)) },
			"Content": func(w *Writer) error { return w.Content(tt.kind, bytes.NewReader(make([]byte, tt.n)), 0, int(tt.n)) },
		} {
			var buf bytes.Buffer
			if err := write(NewWriter(&buf)); (err == nil) != tt.ok {
				t.Errorf("%s of %q, %d bytes: %v", name, tt.kind, tt.n, err)
			} else if err != nil && buf.Len() > 0 {
				t.Errorf("%s of %q, %d bytes: refused, and %d bytes sent", name, tt.kind, tt.n, buf.Len())
			}
		}
	}
}

// TestCut: a stream that ends between frames has ended, one that ends inside
// is broken, however it is read.
func TestCut(t *testing.T) {
	whole := frame(KindStdout, "hello") + frame(KindExit, `{"code":0}`)
	first := len(frame(KindStdout, "hello"))
	ways := map[string]func(*Reader) error{
		"Payload": func(r *Reader) error { _, err := r.Payload(); return err },
		"Read":    func(r *Reader) error { _, err := io.Copy(io.Discard, r); return err },
		"skipped": func(r *Reader) error { return nil },
	}
	for name, read := range ways {
		for n := range len(whole) + 1 {
			r := NewReader(iotest.OneByteReader(strings.NewReader(whole[:n])))
			var err error
			for err == nil {
				if _, _, err = r.Header(); err == nil {
					err = read(r)
				}
			}
			want := io.ErrUnexpectedEOF
			if n == 0 || n == first || n == len(whole) {
				want = io.EOF
			}
			if !errors.Is(err, want) {
				t.Errorf("%s, cut at %d: %v, want %v", name, n, err, want)
			}
		}
	}
}

// TestAnnouncedIsNotAllocated: a peer that announces a megabyte and sends
// nothing costs nothing.
func TestAnnouncedIsNotAllocated(t *testing.T) {
	const streams = 64
	in := raw(KindRequest, MaxRequest, "{")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range streams {
		r := NewReader(strings.NewReader(in))
		r.Header()
		if _, err := r.Payload(); err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / streams; got > 128<<10 {
		t.Errorf("%d bytes allocated for an announcement", got)
	}
}

// TestFramesDoNotMix has many goroutines write on one connection.
func TestFramesDoNotMix(t *testing.T) {
	c, s := socketPair(t)
	w := NewWriter(c)
	var wg sync.WaitGroup
	const writers, each = 8, 50
	for i := range writers {
		wg.Go(func() {
			p := bytes.Repeat([]byte{byte('a' + i)}, 10+i*1500)
			for n := range each {
				send := w.Frame
				if n%2 == 0 {
					send = w.Queue
				}
				if err := send(KindData, p); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { wg.Wait(); w.Flush(); c.Close() }()
	r := NewReader(s)
	frames := 0
	for {
		_, n, err := r.Header()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		p, err := r.Payload()
		if err != nil {
			t.Fatal(err)
		}
		if i := int(p[0] - 'a'); n != 10+i*1500 || strings.Trim(string(p), string(p[0])) != "" {
			t.Fatal("two frames are mixed")
		}
		frames++
	}
	if frames != writers*each {
		t.Errorf("%d frames of %d arrived", frames, writers*each)
	}
}

// TestQueueKeepsOrder: what waits leaves before what comes after it.
func TestQueueKeepsOrder(t *testing.T) {
	var buf bytes.Buffer
	w := NewWriter(&buf)
	w.Queue(KindEntry, []byte("1"))
	if buf.Len() > 0 {
		t.Fatal("a queued frame did not wait")
	}
	w.Queue(KindEntry, []byte("2"))
	w.Frame(KindReply, []byte("3"))
	w.Queue(KindEntry, []byte("4"))
	w.Content(KindData, strings.NewReader("5"), 0, 1)
	w.Queue(KindEntry, []byte("6"))
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := frame(KindEntry, "1") + frame(KindEntry, "2") + frame(KindReply, "3") + frame(KindEntry, "4") + frame(KindData, "5") + frame(KindEntry, "6")
	if buf.String() != want {
		t.Errorf("%q, want %q", buf.String(), want)
	}
	buf.Reset()
	for range queueSize {
		w.Queue(KindEntry, []byte("many"))
	}
	if n := queueSize * (HeaderSize + 4); n-buf.Len() > queueSize {
		t.Errorf("%d bytes wait", n-buf.Len())
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(frame(KindStdout, "hello")+frame(KindExit, "{}")), uint8(2))
	f.Add([]byte(raw(KindData, MaxFrame+1, "x")), uint8(0))
	f.Add([]byte(raw(KindRequest, MaxRequest, "{}")), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, way uint8) {
		collect := func(src io.Reader) (out []byte, last error) {
			r := NewReader(src)
			for {
				k, n, err := r.Header()
				if err != nil {
					return out, err
				}
				out = append(out, byte(k))
				switch way % 3 {
				case 0:
					var p []byte
					if p, err = r.Payload(); err == nil && len(p) != n {
						t.Fatalf("%d bytes of %d", len(p), n)
					}
					out = append(out, p...)
				case 1:
					var p []byte
					p, err = io.ReadAll(r)
					out = append(out, p...)
				}
				if err != nil {
					return out, err
				}
			}
		}
		a, err1 := collect(bytes.NewReader(in))
		b, err2 := collect(iotest.OneByteReader(bytes.NewReader(in)))
		if !errors.Is(err1, err2) && err1.Error() != err2.Error() {
			t.Fatalf("how the bytes arrive changes the error: %v / %v", err1, err2)
		}
		// Of a payload that is cut, how much was seen may differ.
		if err1 == io.EOF && !bytes.Equal(a, b) {
			t.Fatal("how the bytes arrive changes what is read")
		}
		if len(a) > len(in) {
			t.Fatal("more came out than went in")
		}
	})
}
