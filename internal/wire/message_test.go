package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPathIsBytes: a Linux file name need not be text, and JSON is.
func TestPathIsBytes(t *testing.T) {
	var every []byte
	for b := 255; b > 0; b-- {
		every = append(every, byte(b))
	}
	for _, want := range []Path{"", "/tmp/x", "a\xff\xfeb", "\"\n\\", Path(every)} {
		b, err := json.Marshal(File{Path: want})
		if err != nil {
			t.Fatal(err)
		}
		var got File
		if err := json.Unmarshal(b, &got); err != nil || got.Path != want {
			t.Errorf("%q became %q, %v", want, got.Path, err)
		}
	}
	for _, bad := range []string{`{"path":"***"}`, `{"path":7}`, `{"path":{}}`} {
		var got File
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s is read as %q", bad, got.Path)
		}
	}
}

// TestUnfitJSON: the error names the protocol and stays small whatever the
// peer sent.
func TestUnfitJSON(t *testing.T) {
	huge := strings.Repeat("9", 1<<19)
	for _, payload := range []string{"", "{", "[]", `"x"`, `{"code":"zero"}`, `{"code":` + huge + `}`, `{"code":` + huge, `{"` + huge + `":1} x`} {
		r := NewReader(strings.NewReader(frame(KindExit, payload)))
		if _, _, err := r.Header(); err != nil {
			t.Fatal(err)
		}
		var e Exit
		err := r.JSON(&e)
		if err == nil || !strings.HasPrefix(err.Error(), "agent protocol: ") {
			t.Errorf("%.40q: %v", payload, err)
		}
		if err != nil && len(err.Error()) > 1<<10 {
			t.Errorf("%.40q: an error of %d bytes", payload, len(err.Error()))
		}
	}
}

// TestUnsetMeansNothing pins what a peer that leaves a field out says.
func TestUnsetMeansNothing(t *testing.T) {
	b, err := json.Marshal(Request{Version: Version, Op: OpInfo})
	if err != nil || string(b) != `{"v":1,"op":"info"}` {
		t.Errorf("%s, %v", b, err)
	}
	// A code of 0 is written out: an Exit without one is not success by omission.
	if b, _ := json.Marshal(Exit{}); !bytes.Contains(b, []byte(`"code":0`)) {
		t.Errorf("%s", b)
	}
}

// TestExitWithoutCode: what does not say how a process ended is no exit.
func TestExitWithoutCode(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Exit
		ok   bool
	}{
		{`{}`, Exit{}, false},
		{`null`, Exit{}, false},
		{`{"code":null}`, Exit{}, false},
		{`{"signal":9,"timed_out":true}`, Exit{}, false},
		{`{"code":0}`, Exit{}, true},
		{`{"code":137,"signal":9,"oom":true}`, Exit{Code: 137, Signal: 9, OOM: true}, true},
		{`{"running":true}`, Exit{Running: true}, true},
		{`{"lost":true}`, Exit{Lost: true}, true},
	} {
		var got Exit
		err := json.Unmarshal([]byte(tt.text), &got)
		if (err == nil) != tt.ok || tt.ok && got != tt.want {
			t.Errorf("%s: %+v, %v", tt.text, got, err)
		}
	}
	var p Process
	if err := json.Unmarshal([]byte(`{"id":"x","exit":null}`), &p); err != nil || p.Exit != nil {
		t.Errorf("a process that runs: %+v, %v", p.Exit, err)
	}
}

func TestProof(t *testing.T) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, otherKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	nonce := bytes.Repeat([]byte{7}, NonceSize)
	request := []byte(`{"op":"info"}`)
	proof := Proof(key, nonce, request)
	change := func(b []byte) []byte { c := bytes.Clone(b); c[0]++; return c }
	for _, tt := range []struct {
		name                  string
		pub                   ed25519.PublicKey
		nonce, request, proof []byte
		want                  bool
	}{
		{"the right one", pub, nonce, request, proof, true},
		{"another's key", other, nonce, request, proof, false},
		{"another's signature", pub, nonce, request, Proof(otherKey, nonce, request), false},
		{"another challenge", pub, change(nonce), request, proof, false},
		{"another request", pub, nonce, []byte(`{"op":"run"}`), proof, false},
		{"no request", pub, nonce, nil, proof, false},
		{"a changed signature", pub, nonce, request, change(proof), false},
		{"a short signature", pub, nonce, request, proof[:63], false},
		{"no signature", pub, nonce, request, nil, false},
		{"no key", nil, nonce, request, proof, false},
		{"a short key", pub[:31], nonce, request, proof, false},
		{"a short challenge", pub, nonce[:16], request, Proof(key, nonce[:16], request), false},
		{"a signature of the plain text", pub, nonce, request, ed25519.Sign(key, append(bytes.Clone(nonce), request...)), false},
	} {
		if got := Proven(tt.pub, tt.nonce, tt.request, tt.proof); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestContent sends from a file through a socket, where the kernel does the
// work, and from a reader, where we do; also a source that ends early.
func TestContent(t *testing.T) {
	text := strings.Repeat("0123456789", 20_000)
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, tt := range []struct {
		name    string
		src     Content
		off     int64
		n       int
		missing int
	}{
		{"a file", file, 0, len(text), 0},
		{"the end of a file", file, int64(len(text) - 7), 7, 0},
		{"the middle of a reader", strings.NewReader(text), 5, 100_000, 0},
		{"nothing", file, 3, 0, 0},
		{"a file that shrank", file, int64(len(text) - 10), 150_000, 149_990},
		{"a reader that shrank", strings.NewReader(text), int64(len(text)), 9, 9},
	} {
		c, s := socketPair(t)
		failed := make(chan error, 1)
		go func() {
			w := NewWriter(c)
			err := w.Content(KindData, tt.src, tt.off, tt.n)
			if e := w.Frame(KindEnd, nil); e != nil {
				t.Error(e)
			}
			c.Close()
			failed <- err
		}()
		r := NewReader(s)
		if _, n, err := r.Header(); err != nil || n != tt.n {
			t.Fatalf("%s: %d bytes announced, %v", tt.name, n, err)
		}
		got, err := r.Payload()
		if err != nil {
			t.Fatal(tt.name, err)
		}
		kept := tt.n - tt.missing
		if string(got[:kept]) != text[tt.off:tt.off+int64(kept)] || strings.Trim(string(got[kept:]), "\x00") != "" {
			t.Errorf("%s: other bytes came", tt.name)
		}
		// The frame after it is in its place.
		if k, _, err := r.Header(); err != nil || k != KindEnd {
			t.Errorf("%s: then %q, %v", tt.name, k, err)
		}
		err = <-failed
		short, ok := errors.AsType[*ShortError](err)
		if tt.missing == 0 && err != nil || tt.missing > 0 && (!ok || short.Missing != tt.missing || !errors.Is(err, io.EOF)) {
			t.Errorf("%s: %v, want %d missing", tt.name, err, tt.missing)
		}
	}
}
