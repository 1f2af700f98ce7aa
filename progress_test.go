package pocketdock

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// read collects a progress stream.
func read(r io.Reader) (text, id string, err error) {
	for ev, e := range progress(r) {
		if e != nil {
			return text, id, e
		}
		text += ev.Text
		if ev.ImageID != "" {
			id = ev.ImageID
		}
	}
	return text, id, nil
}

// The streams are of Docker 20.10 and Podman 4.3.
func TestProgress(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		text, id string
		err      string
	}{
		{"nothing", "", "", "", ""},
		{"Docker", "{\"stream\":\"Step 1/2 : FROM x\"}\r\n{\"stream\":\"\\n\"}\r\n{\"aux\":{\"ID\":\"sha256:1\"}}\r\n", "Step 1/2 : FROM x\n", "sha256:1", ""},
		{"status lines", `{"status":"Loading layer","progressDetail":{"current":1}}` + "\n" + `{"status":"Done"}`, "Loading layer\nDone\n", "", ""},
		{"Docker's failure", `{"stream":"Step 1\n"}{"errorDetail":{"code":1,"message":"The command returned 1"},"error":"The command returned 1"}`, "Step 1\n", "", "The command returned 1"},
		{"Podman's failure", `{"error":"no such stage\n"}`, "", "", "no such stage"},
		{"a failure after success", `{"aux":{"ID":"sha256:1"}}{"error":"disk full"}`, "", "sha256:1", "disk full"},
		{"a web page", "<html>", "", "", "invalid character"},
		{"cut", `{"stream":"a"}{"strea`, "a", "", "unexpected EOF"},
		{"another shape", `{"stream":7}`, "", "", "cannot unmarshal"},
	} {
		for way, r := range map[string]io.Reader{"whole": strings.NewReader(tt.in), "bytewise": iotest.OneByteReader(strings.NewReader(tt.in))} {
			text, id, err := read(r)
			if text != tt.text || id != tt.id || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s, %s: %q, %q, %v; want %q, %q, %q", tt.name, way, text, id, err, tt.text, tt.id, tt.err)
			}
		}
	}
}

// endless repeats a text and counts what was read of it.
type endless struct {
	text string
	n    int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text)
	}
	e.n += n
	return n, nil
}

// TestProgressBounded: a message that does not end is given up after a few
// megabytes, however it is made, and never grows into the error.
func TestProgressBounded(t *testing.T) {
	for _, tt := range []struct{ name, head, repeat string }{
		{"a long text", `{"stream":"`, "x"},
		{"line ends inside a message", `{"stream":`, "\n"},
		{"nothing but line ends", "", "\n"},
		{"many fields", `{`, "\"a\":1,\n"},
	} {
		src := &endless{text: tt.repeat}
		_, _, err := read(io.MultiReader(strings.NewReader(tt.head), src))
		if err == nil || len(err.Error()) > 4<<10 {
			t.Errorf("%s: %.100v", tt.name, err)
		}
		if src.n > 8*maxMessage {
			t.Errorf("%s: %d bytes were read", tt.name, src.n)
		}
	}
	// Many messages are not one long one.
	n := 0
	for range progress(strings.NewReader(strings.Repeat(`{"stream":"x"}`, 200_000))) {
		n++
	}
	if n != 200_000 {
		t.Errorf("%d messages without line ends, want 200000", n)
	}
}

func TestProgressErrorBounded(t *testing.T) {
	_, _, err := read(strings.NewReader(`{"error":"` + strings.Repeat("é", 1<<18) + `"}`))
	if err == nil || len(err.Error()) > 4<<10 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

func TestProgressReadError(t *testing.T) {
	boom := errors.New("boom")
	_, _, err := read(io.MultiReader(strings.NewReader(`{"stream":"x"}`), iotest.ErrReader(boom)))
	if !errors.Is(err, boom) {
		t.Errorf("%v, want the reader's error", err)
	}
}

func FuzzProgress(f *testing.F) {
	f.Add([]byte(`{"stream":"a"}` + "\n" + `{"aux":{"ID":"x"}}`))
	f.Add([]byte(`{"error":"x"}`))
	f.Add([]byte("\n\n{"))
	f.Fuzz(func(t *testing.T, in []byte) {
		a, _, err1 := read(bytes.NewReader(in))
		b, _, err2 := read(iotest.OneByteReader(bytes.NewReader(in)))
		if a != b || (err1 == nil) != (err2 == nil) {
			t.Fatalf("how the bytes arrive changes the result: %q %v / %q %v", a, err1, b, err2)
		}
		if len(a) > 6*len(in)+len(in) {
			t.Fatal("more came out than went in")
		}
	})
}
