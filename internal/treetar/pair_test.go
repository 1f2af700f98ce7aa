package treetar

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// write makes files; a name that ends in "/" is a directory.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(p, 0o755)
		} else {
			err = os.WriteFile(p, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// list is the names in a directory, recursively.
func list(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && p != dir {
			rel, _ := filepath.Rel(dir, p)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func pack(t testing.TB, dir string, o Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Pack(&b, dir, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestExcluded(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		".gitignore": "*.o\n/build/\n", "a.o": "", "a.c": "", "build/x": "", "src/build/x": "", "src/b.o": "",
		"src/.gitignore": "!keep.o\nlocal\n", "src/keep.o": "", "src/local": "", "local": "", "empty/": "",
		"node_modules/.gitignore": "!*\n", "node_modules/x/y": "",
	})
	for name, tt := range map[string]struct {
		o    Options
		want string
	}{
		"nothing": {Options{}, ".gitignore a.c a.o build build/x empty local node_modules node_modules/.gitignore node_modules/x node_modules/x/y src src/.gitignore src/b.o src/build src/build/x src/keep.o src/local"},
		"files":   {Options{GitIgnore: true}, ".gitignore a.c empty local node_modules node_modules/.gitignore node_modules/x node_modules/x/y src src/.gitignore src/build src/build/x src/keep.o"},
		"option":  {Options{Exclude: []string{"node_modules/", "/src", "*.o", "!/a.o"}}, ".gitignore a.c a.o build build/x empty local"},
		"both":    {Options{GitIgnore: true, Exclude: []string{"node_modules", "!/a.o", "src/build"}}, ".gitignore a.c a.o empty local src src/.gitignore src/keep.o"},
	} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "to")
			if err := Unpack(bytes.NewReader(pack(t, dir, tt.o)), to, Top{Mode: 0o755}, nil); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(list(t, to), " "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			_, files, err := Measure(dir, tt.o)
			if err != nil || int(files) != len(strings.Fields(tt.want))+1 {
				t.Errorf("Measure: %d files, %v", files, err)
			}
		})
	}
}

// TestSparseAndProgress: 1 GiB of holes is a small stream, and progress comes
// to what was measured, on both sides.
func TestSparseAndProgress(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("holes are found on Linux only")
	}
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	write(t, dir, map[string]string{"a": "text", "d/b": "more"})
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "hard")); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 1 << 30
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("middle"), size/2); err != nil {
		t.Fatal(err)
	}
	var packed, unpacked [2]int64
	count := func(n *[2]int64) Moved {
		return func(_ string, bytes int64, done bool) {
			n[0] += bytes
			if done {
				n[1]++
			}
		}
	}
	b := pack(t, dir, Options{Sparse: true, Moved: count(&packed)})
	if len(b) > 100<<10 {
		t.Errorf("the stream has %d bytes", len(b))
	}
	bytesIn, files, err := Measure(dir, Options{})
	if err != nil || bytesIn != size+8 || files != 6 {
		t.Errorf("Measure: %d bytes, %d files, %v", bytesIn, files, err)
	}
	if packed != [2]int64{bytesIn, files} {
		t.Errorf("packed %v", packed)
	}
	if err := Unpack(bytes.NewReader(b), to, Top{Mode: 0o755}, count(&unpacked)); err != nil {
		t.Fatal(err)
	}
	if unpacked != [2]int64{bytesIn, files - 1} { // all but the top
		t.Errorf("unpacked %v", unpacked)
	}
	info, err := os.Stat(filepath.Join(to, "sparse"))
	if err != nil || info.Size() != size || !MayHaveHoles(info) {
		t.Errorf("%v, %v", info, err)
	}
	got := make([]byte, 6)
	g, err := os.Open(filepath.Join(to, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := g.ReadAt(got, size/2); err != nil || string(got) != "middle" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestInterrupted: a stream that fails leaves a new directory not there, an
// old one with whole files only, and nothing of ours.
func TestInterrupted(t *testing.T) {
	var headers []tar.Header
	for i := range 20 {
		headers = append(headers, tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("d/file-%02d", i)})
	}
	whole := stream(t, headers...)
	for _, existing := range []bool{false, true} {
		parent := t.TempDir()
		dir := filepath.Join(parent, "to")
		if existing {
			write(t, dir, map[string]string{"d/file-00": "old", "d/file-19": "old"})
		}
		failed := errors.New("cable pulled")
		r := io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), failingReader{failed})
		if err := Unpack(r, dir, Top{Mode: 0o755}, nil); !errors.Is(err, failed) {
			t.Fatalf("got %v", err)
		}
		names := list(t, parent)
		if !existing {
			if len(names) != 0 {
				t.Errorf("left %q", names)
			}
			continue
		}
		for _, n := range names {
			base := filepath.Base(n)
			if n == "to" || n == "to/d" {
				continue
			}
			b, err := os.ReadFile(filepath.Join(parent, n))
			if err != nil || string(b) != "d/"+base && string(b) != "old" {
				t.Errorf("%s has %q, %v", n, b, err)
			}
		}
		if !slices.Contains(names, "to/d/file-03") {
			t.Errorf("nothing was unpacked: %q", names)
		}
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// TestNewDirectory: its mode and time are those asked for, and what a killed
// transfer left is removed.
func TestNewDirectory(t *testing.T) {
	parent := t.TempDir()
	left := ".pocketdock-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	write(t, parent, map[string]string{left + "/half": "x"})
	when := time.Unix(1_400_000_000, 123_456_789)
	dir := filepath.Join(parent, "above/to")
	if err := os.Mkdir(filepath.Join(parent, "above"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(parent, left), filepath.Join(parent, "above", left)); err != nil {
		t.Fatal(err)
	}
	b := stream(t, tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o777}, tar.Header{Typeflag: tar.TypeReg, Name: "f"})
	if err := Unpack(bytes.NewReader(b), dir, Top{Mode: 0o710, ModTime: when}, nil); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o710 || !info.ModTime().Equal(when) {
		t.Errorf("%v, %v", info, err)
	}
	if got := strings.Join(list(t, parent), " "); got != "above above/to above/to/f" {
		t.Errorf("there is %s", got)
	}
}
