package imageset

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// An entry of a tar archive of a test.
type entry struct {
	name, text, link string
	kind             byte
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(e.text)), Linkname: e.link}
		if e.kind != 0 {
			h.Typeflag = e.kind
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// saved is what an engine's save writes.
func saved(t testing.TB, more ...entry) []byte {
	return archive(t, append([]entry{
		{name: "1234.json", text: "{}"}, {name: "abc/layer.tar", text: noise(100_000)},
		{name: "manifest.json", text: `[{"Config":"1234.json","RepoTags":["localhost/pocketdock/a:latest"],"Layers":["abc/layer.tar"]}]`},
	}, more...)...)
}

// noise does not compress, so that every byte of a stream matters.
func noise(n int) string {
	b := make([]byte, n)
	rand.New(rand.NewSource(1)).Read(b)
	return string(b)
}

const goodManifest = `{"format":"pocketdock image set","version":1,"images":[{"tag":"pocketdock/a:latest","id":"sha256:1"}]}`

// set makes an image set of what an engine saved.
func set(t testing.TB, manifest string, inner []byte) []byte {
	sum := sha256.Sum256(inner)
	return archive(t, entry{name: "manifest.json", text: manifest}, entry{name: "images/000000", text: string(inner)},
		entry{name: "end.json", text: `{"bytes":` + strconv.Itoa(len(inner)) + `,"sha256":"` + hex.EncodeToString(sum[:]) + `"}`})
}

func compressed(t testing.TB, c Compression, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := compress(&out, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func verify(b []byte) error {
	_, err := Verify(context.Background(), bytes.NewReader(b), ImportOptions{})
	return err
}

func TestVerifyGood(t *testing.T) {
	for _, c := range []Compression{None, Gzip, Zstd} {
		b := compressed(t, c, set(t, goodManifest, saved(t)))
		for name, r := range map[string]io.Reader{"whole": bytes.NewReader(b), "bytewise": iotest.OneByteReader(bytes.NewReader(b))} {
			m, err := Verify(t.Context(), r, ImportOptions{})
			if err != nil || len(m.Images) != 1 || m.Images[0].Tag != "pocketdock/a:latest" {
				t.Errorf("%q, %s: %+v, %v", c, name, m, err)
			}
		}
	}
}

// TestVerifyTruncated: a set that is cut anywhere is refused.
func TestVerifyTruncated(t *testing.T) {
	for _, c := range []Compression{None, Gzip, Zstd} {
		b := compressed(t, c, set(t, goodManifest, saved(t)))
		end := len(b)
		if c == None {
			end -= 1024 + 512 // the zeros that end a file and a tar archive say nothing
		}
		for n := 0; n < end; n += max(1, min(997, end-n-40)) {
			if err := verify(b[:n]); !errors.Is(err, ErrFormat) {
				t.Errorf("%q cut at %d of %d: %v", c, n, len(b), err)
			}
		}
	}
}

// TestVerifyDamaged: one bit anywhere in the images is noticed.
func TestVerifyDamaged(t *testing.T) {
	b := set(t, goodManifest, saved(t))
	for _, at := range []int{600, 1600, 3000, 50_000, len(b) - 3000} {
		d := bytes.Clone(b)
		d[at] ^= 4
		if err := verify(d); err == nil {
			t.Errorf("a bit at %d was not noticed", at)
		}
	}
}

// TestVerifyForeign: what is something else, or means harm, is refused with
// its reason.
func TestVerifyForeign(t *testing.T) {
	good := string(saved(t))
	sum := func(s string) string { b := sha256.Sum256([]byte(s)); return hex.EncodeToString(b[:]) }
	end := func(s string) entry {
		return entry{name: "end.json", text: `{"bytes":` + strconv.Itoa(len(s)) + `,"sha256":"` + sum(s) + `"}`}
	}
	head := entry{name: "manifest.json", text: goodManifest}
	piece := func(name, text string) entry { return entry{name: name, text: text} }
	for name, tt := range map[string]struct {
		in   []byte
		says string
	}{
		"nothing":             {nil, "empty"},
		"text":                {[]byte(strings.Repeat("hello world\n", 100)), "no tar archive"},
		"a zip file":          {append([]byte("PK\x03\x04"), make([]byte, 600)...), "no tar archive"},
		"gzip of a text":      {compressed(t, Gzip, []byte(strings.Repeat("hello", 200))), "no tar archive"},
		"an empty archive":    {archive(t), "empty tar"},
		"docker save":         {saved(t), "docker load"},
		"another manifest":    {archive(t, entry{name: "manifest.json", text: `[{"Config":"x"}]`}), "cannot be read"},
		"another format":      {archive(t, entry{name: "manifest.json", text: `{"images":[]}`}), "does not say"},
		"a later version":     {set(t, strings.Replace(goodManifest, `"version":1`, `"version":2`, 1), saved(t)), "update it"},
		"no images":           {set(t, `{"format":"pocketdock image set","version":1}`, saved(t)), "lists 0 images"},
		"an odd name":         {set(t, strings.Replace(goodManifest, "pocketdock/a", "../../x", 1), saved(t)), "not the name"},
		"a name twice":        {set(t, strings.Replace(goodManifest, `"images":[`, `"images":[{"tag":"localhost/pocketdock/a:latest"},`, 1), saved(t)), "twice"},
		"a large manifest":    {set(t, goodManifest+strings.Repeat(" ", maxDocument), saved(t)), "bytes"},
		"a linked manifest":   {archive(t, entry{name: "manifest.json", kind: tar.TypeSymlink, link: "/etc/passwd"}), "begins with"},
		"pieces out of order": {archive(t, head, piece("images/000001", good), end(good)), "where images/000000 should be"},
		"a path":              {archive(t, head, piece("../../etc/cron.d/x", good), end(good)), "where images/000000 should be"},
		"a device":            {archive(t, head, entry{name: "images/000000", kind: tar.TypeChar}, end(good)), "not a file"},
		"an empty piece":      {archive(t, head, piece("images/000000", ""), end(good)), "has 0 bytes"},
		"more after the end":  {archive(t, head, piece("images/000000", good), end(good), piece("images/000001", "x")), "after its end"},
		"another digest":      {archive(t, head, piece("images/000000", good), end(good+"x")), "digest"},
		"no end":              {archive(t, head, piece("images/000000", good)), "cut short"},
		"pieces of no images": {set(t, goodManifest, []byte(strings.Repeat("x", 2048))), "damaged"},
		"an image unlisted":   {set(t, goodManifest, saved(t, entry{name: "index.json", text: `{"manifests":[{"annotations":{"io.containerd.image.name":"docker.io/library/debian:bookworm-slim"}}]}`})), "does not list"},
		"two manifests":       {set(t, goodManifest, saved(t, entry{name: "./manifest.json", text: "[]"})), "several"},
		"an inner path":       {set(t, goodManifest, saved(t, entry{name: "../x", text: "x"})), `entry "../x"`},
		"an inner link":       {set(t, goodManifest, saved(t, entry{name: "x", kind: tar.TypeSymlink, link: "../../etc/shadow"})), "a link"},
		"an inner device":     {set(t, goodManifest, saved(t, entry{name: "x", kind: tar.TypeBlock})), "no file"},
		"a missing image":     {set(t, goodManifest, archive(t, entry{name: "manifest.json", text: `[]`})), "does not have"},
		"a nameless image":    {set(t, goodManifest, archive(t, entry{name: "manifest.json", text: `[{"Config":"x"}]`})), "no name"},
	} {
		err := verify(tt.in)
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tt.says) || len(err.Error()) > 500 {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}

// zeros is a reader of n zero bytes.
func zeros(n int64) io.Reader { return io.LimitReader(zero{}, n) }

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestVerifyBomb: a small stream that becomes large is given up at the bound,
// in constant memory.
func TestVerifyBomb(t *testing.T) {
	for _, c := range []Compression{Gzip, Zstd} {
		var b bytes.Buffer
		z, err := compress(&b, c)
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(z)
		put := func(name string, r io.Reader, n int64) {
			if err := w.WriteHeader(&tar.Header{Name: name, Size: n}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(w, r); err != nil {
				t.Fatal(err)
			}
		}
		put("manifest.json", strings.NewReader(goodManifest), int64(len(goodManifest)))
		for i := range 20 {
			put(fmt.Sprintf(pieceName, i), zeros(pieceSize), pieceSize)
		}
		z.Close()
		_, err = Verify(t.Context(), bytes.NewReader(b.Bytes()), ImportOptions{MaxBytes: 1 << 20})
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", c, err)
		}
	}
}

func TestVerifyCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	boom := errors.New("enough")
	cancel(boom)
	if _, err := Verify(ctx, bytes.NewReader(set(t, goodManifest, saved(t))), ImportOptions{}); !errors.Is(err, boom) || errors.Is(err, ErrFormat) {
		t.Errorf("%v", err)
	}
	if _, err := Verify(t.Context(), iotest.ErrReader(boom), ImportOptions{}); !errors.Is(err, boom) || errors.Is(err, ErrFormat) {
		t.Errorf("%v", err)
	}
}

func TestByName(t *testing.T) {
	for name, want := range map[string]Compression{"a.tar": None, "a.tar.gz": Gzip, "x/a.TGZ": Gzip, "a.b.tar.zst": Zstd} {
		if got, err := ByName(name); got != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"a", "a.zip", "tar", "a.gz", ""} {
		if _, err := ByName(name); err == nil || !strings.Contains(err.Error(), ".tar.zst") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPieces: however the engine's bytes come, what is written verifies.
func TestPieces(t *testing.T) {
	inner := saved(t, entry{name: "big", text: noise(pieceSize + 12345)})
	for _, chunk := range []int{1 << 10, 32 << 10, len(inner)} {
		var b bytes.Buffer
		p := &pieces{tw: tar.NewWriter(&b), sum: sha256.New(), meter: newMeter(nil, Saving, 0), when: time.Unix(0, 0)}
		m := &Manifest{Format: formatName, Version: formatVersion, Images: []Image{{Tag: "pocketdock/a:latest"}}}
		if err := p.document(manifestName, m); err != nil {
			t.Fatal(err)
		}
		for rest := inner; len(rest) > 0; rest = rest[min(chunk, len(rest)):] {
			if _, err := p.Write(rest[:min(chunk, len(rest))]); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.end(); err != nil {
			t.Fatal(err)
		}
		if err := verify(b.Bytes()); err != nil || p.count != 2 {
			t.Errorf("in pieces of %d: %d entries, %v", chunk, p.count, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	b := set(f, goodManifest, archive(f, entry{name: "manifest.json", text: `[{"RepoTags":["pocketdock/a:latest"]}]`}))
	for _, c := range []Compression{None, Gzip, Zstd} {
		f.Add(compressed(f, c, b))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := Verify(t.Context(), bytes.NewReader(in), ImportOptions{MaxBytes: 16 << 20})
		if err == nil && len(m.Images) == 0 {
			t.Error("a set without images is good")
		}
		if err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("%v is not an ErrFormat", err)
		}
	})
}
