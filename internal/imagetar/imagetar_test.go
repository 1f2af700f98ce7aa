package imagetar

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// layer is a tar stream of entries written as "name", "name/", "name=content",
// "name>link" (hard) and "name@link" (symbolic).
func layer(t testing.TB, entries ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: e, Mode: 0o644}
		content := ""
		switch {
		case strings.HasSuffix(e, "/"):
			h.Typeflag, h.Mode = tar.TypeDir, 0o1777
		case strings.Contains(e, ">"):
			h.Typeflag = tar.TypeLink
			h.Name, h.Linkname, _ = strings.Cut(e, ">")
		case strings.Contains(e, "@"):
			h.Typeflag = tar.TypeSymlink
			h.Name, h.Linkname, _ = strings.Cut(e, "@")
		case strings.Contains(e, "="):
			h.Name, content, _ = strings.Cut(e, "=")
		}
		h.Size = int64(len(content))
		if strings.Contains(content, "x") {
			h.PAXRecords = map[string]string{"SCHILY.xattr.user.a": "b"}
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(tw, content)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// entries are those of a tar stream, written as layer reads them.
func entries(t testing.TB, data []byte) (list []string) {
	t.Helper()
	tr := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		s := h.Name
		switch {
		case h.Typeflag == tar.TypeLink:
			s += ">" + h.Linkname
		case h.Typeflag == tar.TypeSymlink:
			s += "@" + h.Linkname
		case len(content) > 0:
			s += "=" + string(content)
			if strings.Contains(s, "x") != (h.PAXRecords["SCHILY.xattr.user.a"] == "b") {
				t.Errorf("%s lost its attributes", h.Name)
			}
		}
		list = append(list, s)
	}
}

func TestFilter(t *testing.T) {
	long := strings.Repeat("long/", 40) + "é"
	for _, tt := range []struct {
		name     string
		excluded []string
		in, want []string
	}{
		{"nothing there", []string{"/no"}, []string{"a", "b/", "b/c=1"}, []string{"a", "b/", "b/c=1"}},
		{"a directory's content", []string{"/tmp"}, []string{"tmp/", "tmp/a=1", "tmp/b/", "tmp/b/c", "tmpfile", "usr/", "usr/tmp/", "usr/tmp/x=x"},
			[]string{"tmp/", "tmpfile", "usr/", "usr/tmp/", "usr/tmp/x=x"}},
		{"a file", []string{"/root/.history"}, []string{"root/", "root/.history=1", "root/.history2"}, []string{"root/", "root/.history2"}},
		{"a link of that name", []string{"/tmp"}, []string{"tmp@var/tmp", "a"}, []string{"a"}},
		{"other ways to write it", []string{"/tmp//x/../"}, []string{"./", "./tmp/", "./tmp/a=1", "/tmp/b"}, []string{"./", "./tmp/"}},
		{"what is deleted stays deleted", []string{"/tmp"}, []string{"tmp/", "tmp/.wh.a", "tmp/.wh..wh..opq", "tmp/n/", "tmp/n/.wh..wh..opq", ".wh.b", "c/.wh..wh..opq"},
			[]string{"tmp/", "tmp/.wh.a", "tmp/.wh..wh..opq", ".wh.b", "c/.wh..wh..opq"}},
		{"the directory is deleted", []string{"/tmp"}, []string{".wh.tmp", "a"}, []string{".wh.tmp", "a"}},
		{"links out of it", []string{"/tmp"}, []string{"tmp/", "tmp/a=x", "tmp/b>tmp/a", "v/", "v/l>tmp/a", "v/m>tmp/a", "v/n@/tmp/a"},
			[]string{"tmp/", "v/", "v/l=x", "v/m>v/l", "v/n@/tmp/a"}},
		{"links into it", []string{"/v"}, []string{"tmp/a=1", "v/l>tmp/a", "w>tmp/a"}, []string{"tmp/a=1", "w>tmp/a"}},
		{"long names", []string{"/tmp"}, []string{"tmp/" + long + "=1", long + "=x", "w" + long + ">tmp/" + long}, []string{long + "=x", "w" + long + "=1"}},
		{"all", []string{"/a", "/b"}, []string{"a=1", "b=2"}, nil},
		{"empty", []string{"/a"}, nil, nil},
	} {
		data := layer(t, tt.in...)
		f, err := newFilter(io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), tt.excluded)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var first, second bytes.Buffer
		if err := f.copyTo(&first); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := f.copyTo(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: the second time is another: %v", tt.name, err)
		}
		if got := entries(t, first.Bytes()); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// saved is an archive as an engine writes it. Docker's has a directory per
// layer, Podman's the layers by digest and links.
func saved(t testing.TB, podman bool, layers ...[]byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	put := func(h tar.Header, data []byte) {
		h.Size = int64(len(data))
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		tw.Write(data)
	}
	var names, ids []string
	for i, l := range layers {
		sum := sha256.Sum256(l)
		digest := hex.EncodeToString(sum[:])
		ids = append(ids, "sha256:"+digest)
		name := fmt.Sprintf("%064x/layer.tar", i)
		if podman {
			put(tar.Header{Typeflag: tar.TypeReg, Name: digest + ".tar"}, l)
			put(tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: "../" + digest + ".tar"}, nil)
		} else {
			put(tar.Header{Typeflag: tar.TypeReg, Name: name}, l)
		}
		names = append(names, name)
	}
	config, err := json.Marshal(map[string]any{"rootfs": map[string]any{"type": "layers", "diff_ids": ids}, "unknown": []int{1}, "config": map[string]any{"User": "u"}})
	if err != nil {
		t.Fatal(err)
	}
	put(tar.Header{Typeflag: tar.TypeReg, Name: "abc.json"}, config)
	manifest, err := json.Marshal([]any{map[string]any{"Config": "abc.json", "RepoTags": []string{"a:b"}, "Layers": names}})
	if err != nil {
		t.Fatal(err)
	}
	put(tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json"}, manifest)
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestRewrite(t *testing.T) {
	for _, podman := range []bool{false, true} {
		base, top := layer(t, "tmp/", "tmp/base=1"), layer(t, "tmp/", "tmp/a=1", "kept=2")
		data := saved(t, podman, base, top)
		a, err := Open(bytes.NewReader(data), int64(len(data)))
		if err != nil || a.Layers() != 2 {
			t.Fatalf("%v, %v", a, err)
		}
		w, err := a.Without([]string{"/tmp"})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := w.Write(&out); err != nil {
			t.Fatal(err)
		}
		b, err := Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range [][]string{{"tmp/", "tmp/base=1"}, {"tmp/", "kept=2"}} {
			text, err := io.ReadAll(b.section(b.layers[i]))
			if err != nil {
				t.Fatal(err)
			}
			if got := entries(t, text); !slices.Equal(got, want) {
				t.Errorf("layer %d: %q, want %q", i, got, want)
			}
			if sum := sha256.Sum256(text); b.diffIDs[i] != "sha256:"+hex.EncodeToString(sum[:]) {
				t.Errorf("layer %d: its digest is not that of its bytes", i)
			}
		}
		if string(b.config["unknown"]) != "[1]" || !strings.Contains(string(b.config["config"]), `"User":"u"`) || string(b.rootFS["type"]) != `"layers"` {
			t.Errorf("config %s", b.config)
		}
		config, err := b.file(w.ID() + ".json")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(b.section(config))
		if sum := sha256.Sum256(text); w.ID() != hex.EncodeToString(sum[:]) {
			t.Error("the ID is not the digest of the configuration")
		}
	}
}

// TestOpenNonsense: an archive is an engine's, and may be cut or anything.
func TestOpenNonsense(t *testing.T) {
	whole := saved(t, false, layer(t, "a=1"))
	for name, data := range map[string][]byte{
		"empty": nil, "no archive": bytes.Repeat([]byte("x"), 2048), "cut": whole[:len(whole)/2],
		"no manifest": layer(t, "a=1"), "two images": layer(t, `manifest.json=[{},{}]`), "null": layer(t, "manifest.json=null"),
		"no config":     layer(t, `manifest.json=[{"Config":"c"}]`),
		"no layers":     layer(t, `manifest.json=[{"Config":"c"}]`, `c={"rootfs":{"diff_ids":[]}}`),
		"other layers":  layer(t, `manifest.json=[{"Config":"c","Layers":["l"]}]`, `c={"rootfs":{"diff_ids":["1","2"]}}`),
		"layer missing": layer(t, `manifest.json=[{"Config":"c","Layers":["../../etc/passwd"]}]`, `c={"rootfs":{"diff_ids":["1"]}}`),
	} {
		if _, err := Open(bytes.NewReader(data), int64(len(data))); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	packed := saved(t, false, []byte("\x1f\x8b a compressed layer"))
	a, err := Open(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Without([]string{"/x"}); err == nil {
		t.Error("a layer that is no tar stream: no error")
	}
}

// FuzzFilter: whatever a layer has, what is written of it is a tar stream
// without what is excluded, and the same each time.
func FuzzFilter(f *testing.F) {
	f.Add(layer(f, "tmp/", "tmp/a=x", "v>tmp/a", "tmp/.wh.b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		fl, err := newFilter(io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), []string{"/tmp"})
		if err != nil {
			return
		}
		var out bytes.Buffer
		if fl.copyTo(&out) != nil {
			return
		}
		tr := tar.NewReader(&out)
		for {
			h, err := tr.Next()
			if err != nil {
				if err != io.EOF {
					t.Fatal(err)
				}
				return
			}
			if n := clean(h.Name); strings.HasPrefix(n, "tmp/") && !strings.Contains(n, whiteout) {
				t.Fatalf("%q is there", h.Name)
			}
		}
	})
}
