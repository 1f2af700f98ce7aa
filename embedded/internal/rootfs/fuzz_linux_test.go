package rootfs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"testing"
)

// FuzzLayers: whatever two layers are, they are refused or make an image that
// gVisor reads from one end to the other.
func FuzzLayers(f *testing.F) {
	for _, seed := range [][]string{
		{"a/", "a/b=1", "c@a/b", "d>a/b"},
		{"a/.wh.b", "a/.wh..wh..opq", "c/e=2", "d=3"},
		{"x@../..", "x/y/z=1", "q>x/y/z"},
		{".wh.x", "a>c", "a/b/c/d/e/f="},
	} {
		b := make([]byte, layer(f, seed...).Len())
		layer(f, seed...).Read(b)
		f.Add(b, b)
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		name := t.TempDir() + "/image"
		out, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		tree := New(out)
		tree.bounds = limits{1000, 1 << 20, 1 << 20}
		for _, l := range [][]byte{a, b} {
			if err := tree.Apply(t.Context(), bytes.NewReader(l)); err != nil {
				return
			}
		}
		if err := tree.Finish([16]byte{}); err != nil {
			t.Fatal(err)
		}
		read(t, name)
	})
}

// FuzzEntries makes layers of bytes, so that entries meet one another more
// often than in mutated archives: each three are an entry's type, its path and
// what a link leads to. Every file that is left has a content that some entry
// had: nothing was given back to the disk that is still in use.
func FuzzEntries(f *testing.F) {
	f.Add([]byte("\x00\x03\x00\x02\x04\x03\x06\x00\x00\x04\x03\x00\x05\x03\x00\x00\x03\x00"))
	f.Add([]byte("\x00\x01\x00\x02\x02\x01\x02\x03\x02\x06\x00\x00\x04\x01\x00\x00\x02\x00"))
	f.Add([]byte("\x03\x01\x05\x00\x04\x00\x06\x00\x00\x05\x05\x00\x02\x00\x04"))
	paths := []string{"a", "b", "a/b", "a/b/c", "b/c", "c/a/b", "a/../b", ".", "c", "b/a"}
	f.Fuzz(func(t *testing.T, b []byte) {
		var layers []io.Reader
		var entries []string
		for n := 0; n+2 < len(b) && n < 300; n += 3 {
			name, link := paths[int(b[n+1])%len(paths)], paths[int(b[n+2])%len(paths)]
			dir, base := path.Split(name)
			switch b[n] % 7 {
			case 0:
				entries = append(entries, fmt.Sprintf("%s=content %d", name, n))
			case 1:
				entries = append(entries, name+"/")
			case 2:
				entries = append(entries, name+">"+link)
			case 3:
				entries = append(entries, name+"@"+link)
			case 4:
				entries = append(entries, dir+".wh."+base+"=")
			case 5:
				entries = append(entries, name+"/.wh..wh..opq=")
			case 6:
				layers = append(layers, layer(t, entries...))
				entries = nil
			}
		}
		file, err := build(t, append(layers, layer(t, entries...))...)
		if err != nil {
			return
		}
		for name, line := range read(t, file) {
			if strings.HasPrefix(line, "100") && !strings.Contains(line, `"content `) {
				t.Errorf("%s: %s", name, line)
			}
		}
	})
}
