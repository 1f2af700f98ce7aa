//go:build linux

package fileops

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// A tarEntry is one entry of a test's archive. Its type is that of a file
// unless link or kind say otherwise.
type tarEntry struct {
	name, link string
	kind       byte
	content    []byte
	size       int64 // announced, with no content: it is the last entry
	mode       int64
	uid, gid   int
}

func tarOf(t testing.TB, entries ...tarEntry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Size: int64(len(e.content)), Mode: e.mode,
			Uid: e.uid, Gid: e.gid, ModTime: time.Unix(1_700_000_000, 0), Format: tar.FormatPAX}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if e.size > 0 {
			h.Size = e.size
		}
		must0(t, w.WriteHeader(h))
		if e.size > 0 {
			return buf.Bytes()
		}
		_, err := w.Write(e.content)
		must0(t, err)
	}
	must0(t, w.Close())
	return buf.Bytes()
}

// A tree that holds everything comes out and goes in the same, into our own
// reader and into the system's tar and back.
func TestTreeRoundTrip(t *testing.T) {
	dir := workDir(t)
	makeTree(t, dir+"/tree")
	before := treeOf(t, dir+"/tree")
	for _, id := range []Identity{user, root} {
		archive := do(t, wire.OpTarOut, wire.File{Path: at(dir, "tree")}, id).succeed(t)
		if !archive.ended || len(archive.data)%512 != 0 {
			t.Fatalf("ended %v, %d bytes", archive.ended, len(archive.data))
		}
		to := fmt.Sprintf("%s/out%d/deep", dir, id.UID)
		put(t, wire.OpTarIn, wire.File{Path: wire.Path(to), Parents: true}, id, archive.data).succeed(t)
		if diff := compareTrees(before, treeOf(t, to+"/tree")); diff != "" {
			t.Error(diff)
		}
		os.Chmod(to+"/tree/closed", 0o755)
		// Once more over what is there.
		put(t, wire.OpTarIn, wire.File{Path: wire.Path(to)}, id, archive.data).succeed(t)
		if diff := compareTrees(before, treeOf(t, to+"/tree")); diff != "" {
			t.Error("again: ", diff)
		}
		os.Chmod(to+"/tree/closed", 0o755)
	}
}

// Other programs read what we write, and we read what they write.
func TestTarOfOthers(t *testing.T) {
	program, err := exec.LookPath("tar")
	if err != nil {
		t.Skip(err)
	}
	dir := workDir(t)
	makeTree(t, dir+"/tree")
	before := treeOf(t, dir+"/tree")
	archive := do(t, wire.OpTarOut, wire.File{Path: at(dir, "tree")}, root).succeed(t).data
	must0(t, os.Mkdir(dir+"/gnu", 0o755))
	cmd := exec.Command(program, "-x", "-p", "--same-owner", "-S", "-C", dir+"/gnu")
	cmd.Stdin = bytes.NewReader(archive)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	after := treeOf(t, dir+"/gnu/tree")
	unsparse := func(tree map[string]string) {
		for name, line := range tree { // whether GNU tar makes holes is its own affair
			line, _, _ = strings.Cut(line, " sparse")
			tree[name] = line
		}
	}
	unsparse(before)
	unsparse(after)
	if diff := compareTrees(before, after); diff != "" {
		t.Error("GNU tar reads: ", diff)
	}
	os.Chmod(dir+"/gnu/tree/closed", 0o755)

	for _, format := range []string{"gnu", "pax"} {
		out, err := exec.Command(program, "-c", "--sparse", "--format="+format, "-C", dir, "tree").Output()
		must0(t, err)
		to := dir + "/from" + format
		put(t, wire.OpTarIn, wire.File{Path: wire.Path(to), Parents: true}, root, out).succeed(t)
		after := treeOf(t, to+"/tree")
		unsparse(after)
		for name, line := range after {
			if format == "gnu" { // it has whole seconds only
				before[name] = cutTime(before[name])
				after[name] = cutTime(line)
			}
		}
		if diff := compareTrees(before, after); diff != "" {
			t.Errorf("we read %s: %s", format, diff)
		}
		before = treeOf(t, dir+"/tree")
		unsparse(before)
		os.Chmod(to+"/tree/closed", 0o755)
	}
}

// cutTime drops nanoseconds.
func cutTime(line string) string {
	before, after, ok := strings.Cut(line, " mtime ")
	if !ok {
		return line
	}
	digits, rest, _ := strings.Cut(after, " ")
	return before + " " + digits[:len(digits)-9] + " " + rest
}

func tarNames(t testing.TB, archive []byte) []string {
	t.Helper()
	var names []string
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return names
		}
		must0(t, err)
		names = append(names, h.Name)
	}
}

func TestTarOutNames(t *testing.T) {
	dir := workDir(t)
	must0(t, os.MkdirAll(dir+"/tree/node_modules/x", 0o755))
	must0(t, os.MkdirAll(dir+"/tree/src/node_modules", 0o755))
	for _, name := range []string{"a.go", "a.o", "src/b.o", "src/b.go"} {
		must0(t, os.WriteFile(dir+"/tree/"+name, []byte(name), 0o644))
	}
	must0(t, os.Symlink("tree", dir+"/link"))
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must0(t, err)
	defer unix.Close(sock)
	must0(t, unix.Bind(sock, &unix.SockaddrUnix{Name: dir + "/tree/socket"}))
	all := []string{"a.go", "a.o", "node_modules/", "node_modules/x/", "src/", "src/b.go", "src/b.o", "src/node_modules/"}
	under := func(prefix string) []string {
		names := []string{prefix + "/"}
		for _, name := range all {
			names = append(names, prefix+"/"+name)
		}
		return names
	}
	for name, test := range map[string]struct {
		file wire.File
		want []string
	}{
		"tree":           {wire.File{Path: at(dir, "tree")}, under("tree")},
		"slash":          {wire.File{Path: at(dir, "tree") + "//"}, under("tree")},
		"contents":       {wire.File{Path: at(dir, "tree"), Contents: true}, all},
		"dot":            {wire.File{Path: wire.Path(dir + "/tree/.")}, all},
		"dots":           {wire.File{Path: wire.Path(dir + "/tree/src/..")}, all},
		"through a link": {wire.File{Path: at(dir, "link")}, under("link")},
		"the link":       {wire.File{Path: at(dir, "link"), NoFollow: true}, []string{"link"}},
		"a file":         {wire.File{Path: at(dir, "tree/a.go")}, []string{"a.go"}},
		"exclude":        {wire.File{Path: at(dir, "tree"), Contents: true, Exclude: []string{"*.o", "src/node_modules", "node_modules/*"}}, []string{"a.go", "node_modules/", "src/", "src/b.go"}},
	} {
		t.Run(name, func(t *testing.T) {
			archive := do(t, wire.OpTarOut, test.file, user).succeed(t).data
			if got := tarNames(t, archive); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	do(t, wire.OpTarOut, wire.File{Path: at(dir, "none")}, user).fail(t, wire.CodeNotFound, dir+"/none")
	do(t, wire.OpTarOut, wire.File{Path: at(dir), Exclude: []string{"[a"}}, user).fail(t, wire.CodeInvalid, dir)
	must0(t, os.WriteFile(dir+"/tree/private", nil, 0o600))
	do(t, wire.OpTarOut, wire.File{Path: at(dir, "tree")}, user).fail(t, wire.CodePermission, dir+"/tree/private")
}

// hostile are archives that try to get out. Each says which entry is to blame.
var hostile = map[string]struct {
	entries []tarEntry
	blame   string
	code    string
}{
	"parent":          {[]tarEntry{{name: "../evil"}}, "../evil", wire.CodeInvalid},
	"parent inside":   {[]tarEntry{{name: "a/../../evil"}}, "a/../../evil", wire.CodeInvalid},
	"absolute":        {[]tarEntry{{name: "/evil"}}, "/evil", wire.CodeInvalid},
	"absolute link":   {[]tarEntry{{name: "l", link: "OUT", kind: tar.TypeSymlink}, {name: "l/evil"}}, "l/evil", wire.CodeInvalid},
	"relative link":   {[]tarEntry{{name: "l", link: "..", kind: tar.TypeSymlink}, {name: "l/evil"}}, "l/evil", wire.CodeInvalid},
	"directory link":  {[]tarEntry{{name: "l", link: "..", kind: tar.TypeSymlink}, {name: "l/", kind: tar.TypeDir, mode: 0o777}}, "l/", wire.CodeInvalid},
	"chain":           {[]tarEntry{{name: "d/", kind: tar.TypeDir, mode: 0o755}, {name: "d/up", link: "..", kind: tar.TypeSymlink}, {name: "l", link: "d/up/..", kind: tar.TypeSymlink}, {name: "l/evil"}}, "l/evil", wire.CodeInvalid},
	"link loop":       {[]tarEntry{{name: "l", link: "l", kind: tar.TypeSymlink}, {name: "l/evil"}}, "l/evil", wire.CodeInvalid},
	"link for a file": {[]tarEntry{{name: "l", link: "OUT/old", kind: tar.TypeSymlink}, {name: "l", content: []byte("evil")}}, "", ""},
	"hard link out":   {[]tarEntry{{name: "h", link: "../outside/old", kind: tar.TypeLink}}, "h", wire.CodeInvalid},
	"absolute hard":   {[]tarEntry{{name: "h", link: "OUT/old", kind: tar.TypeLink}}, "h", wire.CodeInvalid},
	"hard via link":   {[]tarEntry{{name: "l", link: "OUT", kind: tar.TypeSymlink}, {name: "h", link: "l/old", kind: tar.TypeLink}, {name: "h", content: []byte("evil")}}, "h", wire.CodeInvalid},
	"hard to link":    {[]tarEntry{{name: "l", link: "OUT/old", kind: tar.TypeSymlink}, {name: "h", link: "l", kind: tar.TypeLink}, {name: "h", content: []byte("evil")}}, "", ""},
	"hard to nothing": {[]tarEntry{{name: "h", link: "none", kind: tar.TypeLink}}, "h", wire.CodeNotFound},
	"late directory":  {[]tarEntry{{name: "d/", kind: tar.TypeDir, mode: 0o777}, {name: "d", link: "OUT", kind: tar.TypeSymlink}}, "d", wire.CodeIsDir},
	"file for a dir":  {[]tarEntry{{name: "d/", kind: tar.TypeDir, mode: 0o777}, {name: "d", content: []byte("x")}}, "d", wire.CodeIsDir},
	"dir for a file":  {[]tarEntry{{name: "f"}, {name: "f/", kind: tar.TypeDir, mode: 0o755}}, "f/", wire.CodeNotDir},
	"in a file":       {[]tarEntry{{name: "f"}, {name: "f/g"}}, "f/g", wire.CodeNotDir},
	"device":          {[]tarEntry{{name: "null", kind: tar.TypeChar}}, "null", wire.CodeUnsupported},
	"nameless file":   {[]tarEntry{{name: "./."}}, "./.", wire.CodeInvalid},
	"huge":            {[]tarEntry{{name: "f", size: 1 << 50}}, "f", wire.CodeInvalid},
}

func TestTarInOfHostileArchives(t *testing.T) {
	for name, test := range hostile {
		for _, id := range []Identity{user, root} {
			t.Run(fmt.Sprint(name, id.UID), func(t *testing.T) {
				dir := workDir(t)
				outside := dir + "/outside"
				must0(t, os.MkdirAll(outside, 0o777))
				must0(t, os.Mkdir(dir+"/in", 0o777))
				must0(t, os.Chmod(outside, 0o777))
				must0(t, os.Chmod(dir+"/in", 0o777))
				must0(t, os.WriteFile(outside+"/old", []byte("old"), 0o666))
				must0(t, os.Chown(outside+"/old", 1000, 1000))
				entries := slices.Clone(test.entries)
				for i := range entries {
					entries[i].link = strings.Replace(entries[i].link, "OUT", outside, 1)
				}
				o := put(t, wire.OpTarIn, wire.File{Path: at(dir, "in")}, id, tarOf(t, entries...))
				if test.code == "" {
					o.succeed(t)
				} else if o.fail(t, test.code, test.blame); !strings.Contains(o.failure.Message, test.blame) {
					t.Errorf("the message %q does not name %q", o.failure.Message, test.blame)
				}
				if got := namesIn(t, outside); !slices.Equal(got, []string{"old"}) || contentOf(t, outside+"/old") != "old" {
					t.Errorf("outside: %q", got)
				}
				if got := namesIn(t, dir); !slices.Equal(got, []string{"in", "outside"}) {
					t.Errorf("beside: %q", got)
				}
				if st := statOf(t, outside); st.Mode&permissions != 0o777 {
					t.Errorf("mode of outside: %o", st.Mode)
				}
			})
		}
	}
}

func TestTarInFollowsLinksThatStayInside(t *testing.T) {
	dir := workDir(t)
	archive := tarOf(t,
		tarEntry{name: "a/b/c/", kind: tar.TypeDir, mode: 0o755},
		tarEntry{name: "l", link: "a/b", kind: tar.TypeSymlink},
		tarEntry{name: "a/b/up", link: "../../a//./b/c", kind: tar.TypeSymlink},
		tarEntry{name: "l/up/f", content: []byte("f")},
		tarEntry{name: "l/", kind: tar.TypeDir, mode: 0o700},
		tarEntry{name: "made/on/the/way", content: []byte("w")},
		tarEntry{name: "made/", kind: tar.TypeDir, mode: 0o711},
		tarEntry{name: "h", link: "./l/up/f", kind: tar.TypeLink},
		tarEntry{name: "h", link: "l/up/f", kind: tar.TypeLink},
	)
	put(t, wire.OpTarIn, wire.File{Path: at(dir)}, user, archive).succeed(t)
	if got := contentOf(t, dir+"/a/b/c/f") + contentOf(t, dir+"/h") + contentOf(t, dir+"/made/on/the/way"); got != "ffw" {
		t.Errorf("got %q", got)
	}
	if st := statOf(t, dir+"/l"); !isLink(st) {
		t.Error("the link was replaced")
	}
	if st := statOf(t, dir+"/made"); st.Mode&permissions != 0o711 {
		t.Errorf("made: %o", st.Mode)
	}
	if st := statOf(t, dir+"/h"); st.Nlink != 2 {
		t.Errorf("nlink %d", st.Nlink)
	}
	if left := namesIn(t, dir); !slices.Equal(left, []string{"a", "h", "l", "made"}) {
		t.Errorf("left: %q", left)
	}
}

func TestTarInOwners(t *testing.T) {
	dir := workDir(t)
	archive := tarOf(t,
		tarEntry{name: "./", kind: tar.TypeDir, mode: 0o750, uid: 5, gid: 6},
		tarEntry{name: "d/", kind: tar.TypeDir, mode: 0o755, uid: 5, gid: 6},
		tarEntry{name: "d/f", uid: 7, gid: 8, mode: 0o4755},
		tarEntry{name: "d/l", link: "x", kind: tar.TypeSymlink, uid: 9, gid: 10},
		tarEntry{name: "e/g", uid: -1, gid: 3},
	)
	owner := func(name string) string {
		st := statOf(t, dir+name)
		return fmt.Sprintf("%d:%d", st.Uid, st.Gid)
	}
	check := func(want map[string]string) {
		t.Helper()
		for name, w := range want {
			if got := owner(name); got != w {
				t.Errorf("%s belongs to %s, want %s", name, got, w)
			}
		}
	}
	put(t, wire.OpTarIn, wire.File{Path: at(dir, "u"), Parents: true}, user, archive).succeed(t)
	check(map[string]string{"/u": "1000:1000", "/u/d": "1000:1000", "/u/d/f": "1000:1000", "/u/d/l": "1000:1000", "/u/e": "1000:1000", "/u/e/g": "1000:1000"})
	put(t, wire.OpTarIn, wire.File{Path: at(dir, "r"), Parents: true}, root, archive).succeed(t)
	check(map[string]string{"/r": "5:6", "/r/d": "5:6", "/r/d/f": "7:8", "/r/d/l": "9:10", "/r/e": "0:0"})
	if st := statOf(t, dir+"/r"); st.Mode&permissions != 0o750 {
		t.Errorf("mode of what was made: %o", st.Mode)
	}
	if st := statOf(t, dir+"/r/d/f"); st.Mode&permissions != 0o4755 {
		t.Errorf("mode %o", st.Mode)
	}
	put(t, wire.OpTarIn, wire.File{Path: at(dir, "o"), Parents: true, Owner: "1000:2000"}, root, archive).succeed(t)
	check(map[string]string{"/o": "1000:2000", "/o/d": "1000:2000", "/o/d/f": "1000:2000", "/o/d/l": "1000:2000", "/o/e": "1000:2000", "/o/e/g": "1000:2000"})
	// A directory that was there keeps its mode, as the top and as another's.
	must0(t, os.Mkdir(dir+"/r/d/../../top", 0o777))
	must0(t, unix.Chmod(dir+"/top", 0o1777))
	must0(t, os.Mkdir(dir+"/top/d", 0o777))
	must0(t, unix.Chmod(dir+"/top/d", 0o777))
	put(t, wire.OpTarIn, wire.File{Path: at(dir, "top")}, user, archive).succeed(t)
	if a, b := statOf(t, dir+"/top").Mode&permissions, statOf(t, dir+"/top/d").Mode&permissions; a != 0o1777 || b != 0o777 {
		t.Errorf("modes %o, %o", a, b)
	}
}

func TestTarInOfBrokenArchives(t *testing.T) {
	good := tarOf(t, tarEntry{name: "first", content: noise(1000)}, tarEntry{name: "second", content: noise(5000)})
	second := bytes.Index(good, []byte("second"))
	cut := func(at int) []byte { return good[:at] }
	damaged := slices.Clone(good)
	damaged[second+2] ^= 1
	for name, test := range map[string]struct {
		data  []byte
		blame string // in the message; "" for success
		left  []string
	}{
		"empty":              {nil, "", []string{}},
		"only an end":        {make([]byte, 1024), "", []string{}},
		"padded":             {append(slices.Clone(good), make([]byte, 20_000)...), "", []string{"first", "second"}},
		"no end":             {cut(len(good) - 1024), "", []string{"first", "second"}},
		"cut in a header":    {cut(second + 100), "first", []string{"first"}},
		"cut in a content":   {cut(second + 2000), "second", []string{"first"}},
		"damaged header":     {damaged, "first", []string{"first"}},
		"not an archive":     {noise(10_000), "its start", []string{}},
		"trailing rubbish":   {append(slices.Clone(good), noise(1000)...), "", []string{"first", "second"}},
		"compressed archive": {append([]byte{0x1f, 0x8b, 8}, noise(5000)...), "its start", []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := workDir(t)
			o := put(t, wire.OpTarIn, wire.File{Path: at(dir)}, user, test.data)
			if test.blame == "" {
				o.succeed(t)
			} else if o.failure == nil || o.failure.Code != wire.CodeInvalid || !strings.Contains(o.failure.Message, test.blame) {
				t.Errorf("got %+v", o.failure)
			}
			if left := namesIn(t, dir); !slices.Equal(left, test.left) {
				t.Errorf("left: %q", left)
			}
		})
	}
	dir := workDir(t)
	put(t, wire.OpTarIn, wire.File{Path: at(dir, "none")}, user, good).fail(t, wire.CodeNotFound, dir+"/none")
	must0(t, os.WriteFile(dir+"/f", nil, 0o644))
	put(t, wire.OpTarIn, wire.File{Path: at(dir, "f"), Parents: true}, user, good).fail(t, wire.CodeNotDir, dir+"/f")
}

// A file that changes its size while it is archived is cut or filled up, and
// what comes after it is in order.
func TestTarOutOfAChangingFile(t *testing.T) {
	dir := workDir(t)
	must0(t, os.Mkdir(dir+"/tree", 0o755))
	must0(t, os.WriteFile(dir+"/tree/a", noise(64<<20), 0o644))
	must0(t, os.WriteFile(dir+"/tree/b", []byte("b"), 0o644))
	c := start(t, wire.OpTarOut, &wire.File{Path: at(dir, "tree")}, user)
	if _, _, err := c.r.Header(); err != nil {
		t.Fatal(err)
	}
	first, err := c.r.Payload()
	must0(t, err)
	first = bytes.Clone(first)
	must0(t, os.Truncate(dir+"/tree/a", 5<<20+3)) // the rest cannot be in the socket yet
	o := c.finish().succeed(t)
	archive := append(first, o.data...)
	if got := tarNames(t, archive); !slices.Equal(got, []string{"tree/", "tree/a", "tree/b"}) {
		t.Errorf("names %q", got)
	}
}

// TestTree takes 10,000 small files out and in.
func TestTree(t *testing.T) {
	dir := workDir(t)
	for d := range 100 {
		sub := fmt.Sprintf("%s/tree/%03d", dir, d)
		must0(t, os.MkdirAll(sub, 0o755))
		for f := range 100 {
			must0(t, os.WriteFile(fmt.Sprintf("%s/%03d", sub, f), fmt.Appendf(nil, "%d/%d", d, f), 0o644))
		}
	}
	do(t, wire.OpChown, wire.File{Path: at(dir, "tree"), Owner: "1000:1000", Recursive: true}, root).succeed(t)
	begin := time.Now()
	archive := do(t, wire.OpTarOut, wire.File{Path: at(dir, "tree")}, user).succeed(t).data
	out := time.Since(begin)
	begin = time.Now()
	put(t, wire.OpTarIn, wire.File{Path: at(dir, "copy"), Parents: true}, user, archive).succeed(t)
	in := time.Since(begin)
	if diff := compareTrees(treeOf(t, dir+"/tree"), treeOf(t, dir+"/copy/tree")); diff != "" {
		t.Error(diff)
	}
	begin = time.Now()
	do(t, wire.OpRemove, wire.File{Path: at(dir, "copy"), Recursive: true}, user).succeed(t)
	t.Logf("10,000 files: out %v, in %v, removed %v", out, in, time.Since(begin))
}

// stays extracts an archive and fails the test if anything was touched
// outside of the target, or a temporary file was left.
func stays(t *testing.T, id Identity, archive func(outside string) []byte) {
	dir := workDir(t)
	must0(t, os.MkdirAll(dir+"/outside/d", 0o777))
	must0(t, os.Mkdir(dir+"/in", 0o777))
	must0(t, os.WriteFile(dir+"/outside/a", []byte("old"), 0o666))
	for _, p := range []string{"", "/outside", "/outside/a", "/outside/d", "/in"} {
		must0(t, os.Chmod(dir+p, 0o777))
	}
	before := treeOf(t, dir)
	o := put(t, wire.OpTarIn, wire.File{Path: at(dir, "in")}, id, archive(dir+"/outside"))
	if o.failure == nil && o.reply == nil {
		t.Fatal("no answer")
	}
	after := treeOf(t, dir)
	for name := range after {
		if name == "in" || strings.HasPrefix(name, "in/") {
			if strings.Contains(name, temporaryPrefix) {
				t.Errorf("left: %q", name)
			}
			delete(after, name)
		}
	}
	delete(before, "in")
	if diff := compareTrees(before, after); diff != "" {
		t.Error(diff)
	}
}

// Whatever an archive says, nothing is touched outside of the target.
func FuzzTarIn(f *testing.F) {
	needRoot(f)
	for _, test := range hostile {
		f.Add(tarOf(f, test.entries...))
	}
	f.Add(tarOf(f, tarEntry{name: "d/", kind: tar.TypeDir, mode: 0}, tarEntry{name: "d/f", content: []byte("content")}, tarEntry{name: "h", link: "d/f", kind: tar.TypeLink}))
	f.Fuzz(func(t *testing.T, archive []byte) {
		stays(t, user, func(string) []byte { return archive })
	})
}

// The same with archives whose checksums are right, so that every one of them
// is acted on: each four bytes are an entry, of few names, so that they meet.
func FuzzTarInEntries(f *testing.F) {
	needRoot(f)
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	f.Add([]byte{1, 0, 3, 1, 0, 0, 1, 2}) // a link to "..", then a file through it
	f.Add([]byte{1, 0, 12, 1, 0, 1, 1, 2, 3, 0, 1, 0})
	names := []string{"a", "d", "l", "a/d", "d/a", "l/a", "l/d", "d/l", "d/l/a", "./l//a", "l/d/a", "..", "../a", "l/../a", "/a", "d/d/d/a"}
	links := []string{"a", "d", "l", "..", "../outside", "../../outside", "d/..", "d/../..", "l/..", "OUT", "OUT/a", "l/a", "d/l", ".", "/", "../in/d"}
	kinds := []byte{tar.TypeReg, tar.TypeSymlink, tar.TypeDir, tar.TypeLink, tar.TypeSymlink, tar.TypeFifo}
	f.Fuzz(func(t *testing.T, data []byte) {
		id := user
		if len(data)%2 == 1 {
			id = root
		}
		stays(t, id, func(outside string) []byte {
			var entries []tarEntry
			for entry := range slices.Chunk(data[:min(len(data), 80)], 4) {
				if len(entry) < 4 {
					break
				}
				e := tarEntry{kind: kinds[int(entry[0])%len(kinds)], name: names[int(entry[1])%len(names)], mode: 0o755, uid: 3, gid: 4}
				switch e.kind {
				case tar.TypeReg:
					e.content = []byte("evil")
				case tar.TypeDir:
					e.name += "/"
				case tar.TypeSymlink, tar.TypeLink:
					e.link = strings.Replace(links[int(entry[2])%len(links)], "OUT", outside, 1)
				}
				entries = append(entries, e)
			}
			return tarOf(t, entries...)
		})
	})
}
