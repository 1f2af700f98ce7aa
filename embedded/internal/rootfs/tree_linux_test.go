package rootfs

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// layer is a tar stream of entries: "name=content", "name/", "name>target"
// (hard link), "name@target" (symbolic link).
func layer(t testing.TB, entries ...string) *bytes.Reader {
	t.Helper()
	var headers []*tar.Header
	var contents []string
	for _, e := range entries {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: e, Mode: 0o644}
		content := ""
		switch {
		case strings.Contains(e, "="):
			h.Name, content, _ = strings.Cut(e, "=")
		case strings.Contains(e, ">"):
			h.Typeflag = tar.TypeLink
			h.Name, h.Linkname, _ = strings.Cut(e, ">")
		case strings.Contains(e, "@"):
			h.Typeflag = tar.TypeSymlink
			h.Name, h.Linkname, _ = strings.Cut(e, "@")
		case strings.HasSuffix(e, "/"):
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		h.Size = int64(len(content))
		headers = append(headers, h)
		contents = append(contents, content)
	}
	return stream(t, headers, contents)
}

func stream(t testing.TB, headers []*tar.Header, contents []string) *bytes.Reader {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for i, h := range headers {
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if contents != nil {
			io.WriteString(tw, contents[i])
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(buf.Bytes())
}

// brief is a listing in the form that layer reads, sorted; a further name of
// a file is "name>first", a hard link.
func brief(list map[string]string) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(list)) {
		line := list[name]
		short := strings.TrimPrefix(name, "/")
		switch {
		case name == "/":
			continue
		case strings.HasPrefix(line, "= "):
			short += ">" + strings.TrimPrefix(line, "= /")
		case strings.HasPrefix(line, "4"):
			short += "/"
		case strings.Contains(line, " -> "):
			_, target, _ := strings.Cut(line, " -> ")
			short += "@" + target
		case strings.Contains(line, `"`):
			short += "=" + strings.Split(line, `"`)[1]
		}
		out = append(out, short)
	}
	return out
}

func TestLayers(t *testing.T) {
	for _, test := range []struct {
		name   string
		layers [][]string // separated by spaces in want
		want   string
	}{
		{"one", [][]string{{"a/", "a/b=1", "c@a/b", "d>a/b"}}, "a/ a/b=1 c@a/b d>a/b"},
		{"none", nil, ""},
		{"an empty one", [][]string{{}}, ""},
		{"parents that no entry makes", [][]string{{"a/b/c=1"}}, "a/ a/b/ a/b/c=1"},
		{"spellings of a path", [][]string{{"./", "./a/", "/a/b=1", "a//./c=2", "a/x/../d=3"}}, "a/ a/b=1 a/c=2 a/d=3"},
		{"the newest wins", [][]string{{"a=1", "b=1"}, {"a=2"}}, "a=2 b=1"},
		{"twice in a layer", [][]string{{"a=1", "a=2"}}, "a=2"},
		{"directories merge", [][]string{{"a/", "a/b=1"}, {"a/", "a/c=2"}}, "a/ a/b=1 a/c=2"},
		{"a file in a directory's place", [][]string{{"a/", "a/b=1"}, {"a=2"}}, "a=2"},
		{"a directory in a file's place", [][]string{{"a=1"}, {"a/", "a/b=2"}}, "a/ a/b=2"},
		{"a parent in a file's place", [][]string{{"a=1"}, {"a/b=2"}}, "a/ a/b=2"},
		{"a link in a directory's place", [][]string{{"a/", "a/b=1"}, {"a@c"}}, "a@c"},

		{"whiteout of a file", [][]string{{"a=1", "b=1"}, {".wh.a"}}, "b=1"},
		{"whiteout of a tree", [][]string{{"d/a/b=1", "d/c=1"}, {"d/.wh.a"}}, "d/ d/c=1"},
		{"whiteout of nothing", [][]string{{"a=1"}, {".wh.b", "x/.wh.y"}}, "a=1"},
		{"whiteout in its own layer", [][]string{{"a=1"}, {"a=2", ".wh.a"}}, "a=2"},
		{"whiteout, then again", [][]string{{"a=1"}, {".wh.a"}, {"a=3"}}, "a=3"},
		{"whiteout before the file", [][]string{{"d/a=1"}, {".wh.d", "d/", "d/b=2"}}, "d/ d/b=2"},
		{"whiteout after the file", [][]string{{"d/a=1"}, {"d/", "d/b=2", ".wh.d"}}, "d/ d/b=2"},
		{"whiteout through a link", [][]string{{"usr/lib/a=1", "lib@usr/lib"}, {"lib/.wh.a"}}, "lib@usr/lib usr/ usr/lib/"},
		{"whiteout of a link", [][]string{{"a=1", "b@a"}, {".wh.b"}}, "a=1"},
		{"what aufs notes", [][]string{{"a=1"}, {".wh..wh.plnk/", ".wh..wh.aufs=x", ".wh..wh.orph"}}, "a=1"},
		{"opaque", [][]string{{"d/a=1", "d/e/f=1", "b=1"}, {"d/", "d/.wh..wh..opq", "d/c=2"}}, "b=1 d/ d/c=2"},
		{"opaque, said last", [][]string{{"d/a=1", "d/e/f=1"}, {"d/", "d/e/", "d/e/g=2", "d/c=2", "d/.wh..wh..opq"}}, "d/ d/c=2 d/e/ d/e/g=2"},
		{"opaque, no entry for the directory", [][]string{{"d/a=1"}, {"d/.wh..wh..opq"}}, "d/"},
		{"opaque root", [][]string{{"d/a=1"}, {".wh..wh..opq", "b=2"}}, "b=2"},
		{"opaque in its layer only", [][]string{{"d/a=1"}, {"d/.wh..wh..opq", "d/b=2"}, {"d/c=3"}}, "d/ d/b=2 d/c=3"},

		{"a hard link to a layer below", [][]string{{"a=1"}, {"b>a"}}, "a=1 b>a"},
		{"its first name goes", [][]string{{"a=1", "b>a"}, {".wh.a"}}, "b=1"},
		{"linked, then gone in one layer", [][]string{{"a=1"}, {"b>a", ".wh.a"}}, "b=1"},
		{"gone, then linked: refused below", [][]string{{"a=1"}, {"a=2", "b>a"}}, "a=2 b>a"},
		{"a link to itself", [][]string{{"a=1", "a>a"}}, "a=1"},
		{"three names, one replaced", [][]string{{"a=1", "b>a", "c>b"}, {"b=2"}}, "a=1 b=2 c>a"},
		{"a link to what it replaces", [][]string{{"a/b=1"}, {"a>a/b"}}, "a=1"},
		{"a link to a link", [][]string{{"a@x", "b>a"}}, "a@x b>a"},

		{"through a link", [][]string{{"usr/lib/", "lib@usr/lib"}, {"lib/a=1"}}, "lib@usr/lib usr/ usr/lib/ usr/lib/a=1"},
		{"through an absolute link", [][]string{{"lib@/usr/lib", "lib/a=1"}}, "lib@/usr/lib usr/ usr/lib/ usr/lib/a=1"},
		{"a link out of the root stays in it", [][]string{{"x@../../../../etc", "x/passwd=1"}}, "etc/ etc/passwd=1 x@../../../../etc"},
		{"a link to the root", [][]string{{"x@/", "x/a=1"}}, "a=1 x@/"},
		{"links in links", [][]string{{"a@b", "b@c/../d", "d/", "a/e=1"}}, "a@b b@c/../d c/ d/ d/e=1"},
		{"a link is replaced, not followed", [][]string{{"t=1", "l@t"}, {"l=2"}}, "l=2 t=1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var layers []io.Reader
			for _, l := range test.layers {
				layers = append(layers, layer(t, l...))
			}
			file, err := build(t, layers...)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(brief(read(t, file)), " "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	long := strings.Repeat("x", 256)
	deep := strings.Repeat("d/", 1300)
	for _, test := range []struct {
		layers [][]string
		want   string
	}{
		{[][]string{{"../a=1"}}, "leads out of the image"},
		{[][]string{{"a/../../b=1"}}, "leads out of the image"},
		{[][]string{{"/../../etc/passwd=1"}}, "leads out of the image"},
		{[][]string{{"..=1"}}, "leads out of the image"},
		{[][]string{{"a>../../etc/shadow"}}, "leads out of the image"},
		{[][]string{{"a>/etc/shadow"}}, "there is no directory"},
		{[][]string{{"etc@/../../etc", "a>etc/shadow"}}, "symbolic links on the way"},
		{[][]string{{"d/", "a>d"}}, "which is a directory"},
		{[][]string{{"a=1"}, {".wh.a", "b>a"}}, "which the image does not have"},
		{[][]string{{".wh.."}}, "a whiteout of no file"},
		{[][]string{{".wh..."}}, "a whiteout of no file"},
		{[][]string{{"a/.wh."}}, "a whiteout of no file"},
		{[][]string{{long + "=1"}}, "a name of 256 bytes"},
		{[][]string{{strings.Repeat("d/", 2049) + "x=1"}}, "a path of 4099 bytes"},
		{[][]string{{"a@a", "a/b=1"}}, "symbolic links on the way"},
		{[][]string{{"a@b", "b@a", "a/b=1"}}, "symbolic links on the way"},
		{[][]string{{"l@" + long, "l/b=1"}}, "a name of 256 bytes"},
		{[][]string{{"l@" + strings.Repeat("l/", 2000), "l/b=1"}}, "too long a path"},
		{[][]string{{"l@" + deep, "l/s@" + deep, "l/s/s@" + deep, "l/s/s/s@" + deep, "l/s/s/s/x=1"}}, "directories in one another"},
		{[][]string{{"a@"}}, "leads nowhere"},
		{[][]string{{"a@" + strings.Repeat("x", 4096)}}, "leads nowhere"},
		{[][]string{{".=1"}}, "the root is no directory"},
	} {
		var layers []io.Reader
		for _, l := range test.layers {
			layers = append(layers, layer(t, l...))
		}
		if _, err := build(t, layers...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60q: got %v, want %s", test.layers, err, test.want)
		}
	}
}

func TestAttributes(t *testing.T) {
	when := time.Unix(1700000000, 123456789)
	old := time.Unix(-86400, 0)
	file, err := build(t, stream(t, []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "./", Mode: 0o1777, Uid: 7, ModTime: when, Format: tar.FormatPAX},
		{Typeflag: tar.TypeReg, Name: "su", Mode: 0o104755, Uid: 0, Gid: 42, ModTime: when, Format: tar.FormatPAX},
		{Typeflag: tar.TypeReg, Name: "nobody", Mode: 0o600, Uid: 4294967294, Gid: 4294967295, ModTime: old, Format: tar.FormatPAX},
		{Typeflag: tar.TypeDir, Name: "d", Mode: 0o2750, Uid: 100000, Gid: 1, ModTime: when, Format: tar.FormatPAX},
		{Typeflag: tar.TypeFifo, Name: "fifo", Mode: 0o620},
		{Typeflag: tar.TypeChar, Name: "null", Mode: 0o666, Devmajor: 1, Devminor: 3},
		{Typeflag: tar.TypeBlock, Name: "disk", Mode: 0o660, Devmajor: 259, Devminor: 1000, Gid: 6},
		{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "d", Mode: 0o777, Uid: 5, ModTime: when},
		{Typeflag: tar.TypeReg, Name: "x", Mode: 0o644, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b", "SCHILY.xattr.security.capability": "\x01\x00\x00\x02"}},
	}, nil))
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, file)
	for name, want := range map[string]string{
		"/":       "41777 7:0 1700000000.123456789",
		"/su":     `104755 0:42 1700000000.123456789 ""`,
		"/nobody": `100600 4294967294:4294967295 -86400.0 ""`,
		"/d":      "42750 100000:1 1700000000.123456789",
		"/fifo":   "10620 0:0 0.0",
		"/null":   "20666 0:0 0.0",
		"/disk":   "60660 0:6 0.0",
		"/l":      "120777 5:0 1700000000.0 -> d",
		"/x":      `100644 0:0 0.0 ""`, // no attribute: gVisor would not open it
	} {
		if got[name] != want {
			t.Errorf("%s: got %s, want %s", name, got[name], want)
		}
	}
}

// TestSparse: zeros take no room, whichever way the layer has them.
func TestSparse(t *testing.T) {
	const size = 64 << 20
	file, err := build(t, stream(t, []*tar.Header{{Name: "zeros", Size: size}, {Name: "end", Size: 3}}, []string{string(make([]byte, size)), "end"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, file); got["/zeros"] != fmt.Sprintf("100000 0:0 0.0 %d bytes", size) || !strings.HasSuffix(got["/end"], `"end"`) {
		t.Errorf("got %v", got)
	}
	if used := blocks(t, file); used > 1<<20 {
		t.Errorf("takes %d bytes", used)
	}
}

// TestReplacedDataIsGivenBack: content that a newer layer replaces or
// deletes does not stay in the image.
func TestReplacedDataIsGivenBack(t *testing.T) {
	big := strings.Repeat("x", 16<<20)
	file, err := build(t, layer(t, "a="+big, "d/b="+big, "c="+big, "e>c"), layer(t, "a=1", ".wh.d", ".wh.c"))
	if err != nil {
		t.Fatal(err)
	}
	if used := blocks(t, file); used > 17<<20 {
		t.Errorf("takes %d bytes; one file of 16 MiB is left, under its second name", used)
	}
	if got := read(t, file)["/e"]; !strings.HasSuffix(got, fmt.Sprintf(" %d bytes", len(big))) {
		t.Errorf("the second name: %s", got)
	}
}

func TestLimits(t *testing.T) {
	for _, test := range []struct {
		left limits
		want string
	}{
		{limits{2, 1000, 1000}, "more than 1000000 files"},
		{limits{10, 5, 1000}, "names and attributes of more than 128 MiB"},
		{limits{10, 1000, 5}, "files of more than 256 GiB"},
		{limits{10, 1000, 1000}, ""},
	} {
		f, err := os.Create(t.TempDir() + "/image")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		tree := New(f)
		tree.bounds = test.left
		err = tree.Apply(t.Context(), layer(t, "aaa=111", "bbb=222", "ccc/ddd="))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%+v: %v", test.left, err)
		}
	}
}

// TestCheck: what Check lets pass can be applied, and it adds up sizes.
func TestCheck(t *testing.T) {
	size, err := Check(t.Context(), layer(t, "a=123", "d/", "b>a", "c=4567"))
	if err != nil || size != 7 {
		t.Errorf("got %d, %v", size, err)
	}
	whole, _ := io.ReadAll(layer(t, "a="+strings.Repeat("x", 1000)))
	for _, n := range []int{1, 100, 511, 513, 1000} {
		if _, err := Check(t.Context(), bytes.NewReader(whole[:n])); err == nil || !strings.Contains(err.Error(), "cut short") {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
	if _, err := Check(t.Context(), strings.NewReader(strings.Repeat("no tar at all ", 100))); err == nil {
		t.Error("a text is taken for a layer")
	}
}
