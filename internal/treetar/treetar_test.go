package treetar

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// stream is a tar stream of headers; regular files contain their name.
func stream(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(h.Name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestNothingEscapes: streams that try to write outside of their directory.
func TestNothingEscapes(t *testing.T) {
	file := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name} }
	sym := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
	}
	hard := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}
	}
	dir := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name} }
	for name, headers := range map[string][]tar.Header{
		"parent":           {file("../victim")},
		"inner parent":     {file("a/../../victim")},
		"absolute":         {file("/victim")},
		"through a link":   {sym("up", ".."), file("up/victim")},
		"absolute link":    {sym("abs", "/"), file("abs/victim")},
		"link chain":       {sym("a", "b"), sym("b", ".."), file("a/victim")},
		"hard link out":    {hard("h", "../secret")},
		"hard link up":     {sym("up", ".."), hard("h", "up/secret")},
		"hard to symlink":  {sym("s", "../victim"), hard("h", "s"), file("h")},
		"dir over link":    {sym("d", ".."), dir("d"), file("d/victim")},
		"dir mode by link": {dir("d"), sym("d", "..")},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			target := filepath.Join(top, "target")
			if err := os.WriteFile(filepath.Join(top, "secret"), []byte("secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			err := Unpack(bytes.NewReader(stream(t, headers...)), target, Top{Mode: 0o755}, nil)
			if _, e := os.Lstat(filepath.Join(top, "victim")); e == nil {
				t.Fatalf("it wrote outside (error %v)", err)
			}
			if _, e := os.Lstat("/victim"); e == nil {
				t.Fatal("it wrote to the root")
			}
			if b, e := os.ReadFile(filepath.Join(target, "h")); e == nil && string(b) == "secret" {
				t.Fatal("it linked a file from outside")
			}
		})
	}
}

func TestCutStream(t *testing.T) {
	whole := stream(t, tar.Header{Typeflag: tar.TypeReg, Name: "a-file-with-a-name"})
	for _, n := range []int{1, 100, 511, 513, 520, 529} {
		dir := t.TempDir()
		if err := Unpack(bytes.NewReader(whole[:n]), dir, Top{}, nil); err == nil {
			t.Errorf("cut at %d: no error", n)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || info.Size() != int64(len("a-file-with-a-name")) {
				t.Errorf("cut at %d: left %s, %v", n, e.Name(), err)
			}
		}
	}
}

func TestFileThatShrinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	w := writerFunc(func(p []byte) (int, error) {
		if len(p) > 64<<10 { // its content, no header
			return len(p), os.Truncate(filepath.Join(dir, "f"), 10)
		}
		return len(p), nil
	})
	if err := Pack(w, dir, Options{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestReplaces(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		err := Unpack(bytes.NewReader(stream(t,
			tar.Header{Typeflag: tar.TypeDir, Name: "ro", Mode: 0o555},
			tar.Header{Typeflag: tar.TypeReg, Name: "ro/f", Mode: 0o444},
			tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "ro"},
		)), dir, Top{}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "ro")); err != nil || info.Mode() != fs.ModeDir|0o555 {
		t.Errorf("%v, %v", info, err)
	}
	os.Chmod(filepath.Join(dir, "ro"), 0o755) // for the removal
}

func FuzzUnpack(f *testing.F) {
	f.Add(stream(f, tar.Header{Typeflag: tar.TypeReg, Name: "a/b"}, tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: ".."}))
	f.Add([]byte("not a tar stream"))
	f.Fuzz(func(t *testing.T, in []byte) {
		top := t.TempDir()
		Unpack(bytes.NewReader(in), filepath.Join(top, "target"), Top{Mode: 0o755}, nil)
		entries, err := os.ReadDir(top)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != "target" {
				t.Fatalf("outside: %s", e.Name())
			}
		}
	})
}

// TestForeignHoles: what GNU tar says about holes is not believed, as a few
// bytes could stand for a file of any size.
func TestForeignHoles(t *testing.T) {
	// The writer refuses these records, so another name takes their place.
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: 0o644, Size: 512, PAXRecords: map[string]string{
		"ABC.sparse.major": "1", "ABC.sparse.minor": "0", "ABC.sparse.realsize": "1048576", "ABC.sparse.name": "f"}})
	if err != nil {
		t.Fatal(err)
	}
	noData := append([]byte("0\n"), make([]byte, 510)...) // a map without an entry
	if _, err := w.Write(noData); err != nil {
		t.Fatal(err)
	}
	w.Close()
	b := bytes.ReplaceAll(buf.Bytes(), []byte("ABC.sparse."), []byte("GNU.sparse."))
	if h, err := tar.NewReader(bytes.NewReader(b)).Next(); err != nil || h.Size != 1<<20 {
		t.Fatalf("not what this test is about: %+v, %v", h, err)
	}
	dir := t.TempDir()
	if err := Unpack(bytes.NewReader(b), dir, Top{}, nil); err == nil {
		t.Error("no error")
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("left %v, %v", list, err)
	}
}
