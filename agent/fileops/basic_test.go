//go:build linux

package fileops

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// awkward are names that have broken file tools.
var awkward = []string{
	"plain", "with space", "new\nline", "\xff\xfe invalid \x80", "tab\t", "ünïcödé", "-rf", "*", "quote\"'", "back\\slash",
	strings.Repeat("n", 255), "\x01", "...", " ", "a:b=c",
}

func TestStat(t *testing.T) {
	dir := workDir(t)
	must0(t, os.Mkdir(dir+"/links", 0o755))
	for _, name := range awkward {
		path := filepath.Join(dir, name)
		must0(t, os.WriteFile(path, []byte(name), 0o640))
		must0(t, os.Chown(path, 1000, 1000))
		must0(t, unix.UtimesNano(path, []unix.Timespec{{Sec: 1, Nsec: 2}, {Sec: 1234567890, Nsec: 123456789}}))
		st := do(t, wire.OpStat, wire.File{Path: wire.Path(path)}, user).succeed(t).reply.Stat
		if string(st.Path) != path || st.Size != int64(len(name)) || st.Mode != unix.S_IFREG|0o640 ||
			st.MTime != 1234567890123456789 || st.UID != 1000 || st.GID != 1000 || st.Nlink != 1 || st.Inode == 0 {
			t.Errorf("%q: %+v", name, st)
		}
		target := strings.Repeat("t", 1000) + name
		link := filepath.Join(dir, "links", name)
		must0(t, os.Symlink(target, link))
		st = do(t, wire.OpStat, wire.File{Path: wire.Path(link), NoFollow: true}, user).succeed(t).reply.Stat
		if string(st.Target) != target {
			t.Errorf("link target %q", st.Target)
		}
		do(t, wire.OpStat, wire.File{Path: wire.Path(link)}, user).fail(t, wire.CodeInvalid, link) // ENAMETOOLONG
	}
	do(t, wire.OpStat, wire.File{Path: at(dir, "missing")}, user).fail(t, wire.CodeNotFound, dir+"/missing")
	do(t, wire.OpStat, wire.File{Path: at(dir, "plain/x")}, user).fail(t, wire.CodeNotDir, dir+"/plain/x")
	must0(t, os.Symlink("plain", filepath.Join(dir, "link")))
	st := do(t, wire.OpStat, wire.File{Path: at(dir, "link")}, user).succeed(t).reply.Stat
	if st.Size != 5 || st.Target != "" {
		t.Errorf("through a link: %+v", st)
	}
	must0(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	do(t, wire.OpStat, wire.File{Path: at(dir, "loop")}, user).fail(t, wire.CodeInvalid, dir+"/loop")
}

func paths(o outcome) []string {
	var got []string
	for _, e := range o.entries {
		got = append(got, string(e.Stat.Path))
	}
	return got
}

func TestReadDir(t *testing.T) {
	dir := workDir(t)
	must0(t, os.MkdirAll(filepath.Join(dir, "b/c/d"), 0o755))
	for _, f := range []string{"a.txt", "b/x.txt", "b/y.go", "b/c/z.txt", "b/c/d/deep.txt", "z"} {
		must0(t, os.WriteFile(filepath.Join(dir, f), nil, 0o644))
	}
	must0(t, os.Symlink("b", filepath.Join(dir, "link")))
	for name, test := range map[string]struct {
		file wire.File
		want []string
	}{
		"depth 0":      {wire.File{}, []string{"a.txt", "b", "link", "z"}},
		"depth 1":      {wire.File{Depth: 1}, []string{"a.txt", "b", "link", "z"}},
		"depth 2":      {wire.File{Depth: 2}, []string{"a.txt", "b", "b/c", "b/x.txt", "b/y.go", "link", "z"}},
		"all":          {wire.File{Depth: -1}, []string{"a.txt", "b", "b/c", "b/c/d", "b/c/d/deep.txt", "b/c/z.txt", "b/x.txt", "b/y.go", "link", "z"}},
		"glob":         {wire.File{Glob: "*.txt"}, []string{"a.txt"}},
		"glob, all":    {wire.File{Depth: -1, Glob: "*.txt"}, []string{"a.txt", "b/c/d/deep.txt", "b/c/z.txt", "b/x.txt"}},
		"glob of none": {wire.File{Depth: -1, Glob: "*.c"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			test.file.Path = at(dir)
			if got := paths(do(t, wire.OpReadDir, test.file, user).succeed(t)); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	o := do(t, wire.OpReadDir, wire.File{Path: at(dir, "link")}, user).succeed(t)
	if got := paths(o); !slices.Equal(got, []string{"c", "x.txt", "y.go"}) {
		t.Errorf("through a link: %q", got)
	}
	do(t, wire.OpReadDir, wire.File{Path: at(dir, "link"), NoFollow: true}, user).fail(t, wire.CodeNotDir, dir+"/link")
	do(t, wire.OpReadDir, wire.File{Path: at(dir, "z")}, user).fail(t, wire.CodeNotDir, dir+"/z")
	do(t, wire.OpReadDir, wire.File{Path: at(dir, "none")}, user).fail(t, wire.CodeNotFound, dir+"/none")
	do(t, wire.OpReadDir, wire.File{Path: at(dir), Glob: "["}, user).fail(t, wire.CodeInvalid, dir)
}

func TestReadDirNamesAreExact(t *testing.T) {
	dir := workDir(t)
	for _, name := range awkward {
		must0(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	want := slices.Clone(awkward)
	slices.Sort(want)
	if got := paths(do(t, wire.OpReadDir, wire.File{Path: at(dir)}, user).succeed(t)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What the user may not look into is told after what they may see.
func TestReadDirReportsWhatItCannotRead(t *testing.T) {
	dir := workDir(t)
	must0(t, os.Mkdir(filepath.Join(dir, "closed"), 0o700))
	must0(t, os.WriteFile(filepath.Join(dir, "z"), nil, 0o644))
	o := do(t, wire.OpReadDir, wire.File{Path: at(dir), Depth: -1}, user)
	if got := paths(o); !slices.Equal(got, []string{"closed", "z"}) {
		t.Errorf("entries %q", got)
	}
	o.fail(t, wire.CodePermission, dir+"/closed")
}

func TestReadDirOfManyEntries(t *testing.T) {
	dir := workDir(t)
	const n = 20_000
	for i := range n {
		fd, err := unix.Open(fmt.Sprintf("%s/%06d", dir, i), unix.O_CREAT|unix.O_WRONLY, 0o644)
		must0(t, err)
		unix.Close(fd)
	}
	got := paths(do(t, wire.OpReadDir, wire.File{Path: at(dir)}, user).succeed(t))
	if len(got) != n || !slices.IsSorted(got) {
		t.Errorf("%d entries, sorted: %v", len(got), slices.IsSorted(got))
	}
}

// Deeper than there are descriptors for levels that are kept open, and than
// PATH_MAX: listing, archiving and removing go by descriptors.
func TestDeepTree(t *testing.T) {
	dir := workDir(t)
	const depth = 1500 // of "dir/": 6,000 bytes
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	must0(t, err)
	for range depth {
		must0(t, unix.Mkdirat(fd, "dir", 0o755))
		must0(t, unix.Fchownat(fd, "dir", 1000, 1000, 0))
		below, err := unix.Openat(fd, "dir", unix.O_PATH|unix.O_DIRECTORY, 0)
		must0(t, err)
		unix.Close(fd)
		fd = below
	}
	unix.Close(fd)
	if got := len(do(t, wire.OpReadDir, wire.File{Path: at(dir), Depth: -1}, user).succeed(t).entries); got != depth {
		t.Errorf("%d entries, want %d", got, depth)
	}
	if o := do(t, wire.OpTarOut, wire.File{Path: at(dir)}, user).succeed(t); len(o.data) < depth*512 {
		t.Errorf("archive of %d bytes", len(o.data))
	}
	do(t, wire.OpChmod, wire.File{Path: at(dir), Recursive: true, Mode: mode(0o700)}, user).succeed(t)
	do(t, wire.OpRemove, wire.File{Path: at(dir, "dir"), Recursive: true}, user).succeed(t)
	if left := namesIn(t, dir); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func TestMkdir(t *testing.T) {
	dir := workDir(t)
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	made := do(t, wire.OpMkdir, wire.File{Path: at(dir, "a")}, user).succeed(t).reply.Stat
	if made.Mode != unix.S_IFDIR|0o755 || made.UID != 1000 || made.GID != 1000 {
		t.Errorf("%+v", made)
	}
	do(t, wire.OpMkdir, wire.File{Path: at(dir, "a")}, user).fail(t, wire.CodeExists, dir+"/a")
	do(t, wire.OpMkdir, wire.File{Path: at(dir, "x/y")}, user).fail(t, wire.CodeNotFound, dir+"/x/y")
	deep := do(t, wire.OpMkdir, wire.File{Path: at(dir, "x/y/z") + "//", Parents: true, Mode: mode(0o1700)}, user).succeed(t).reply.Stat
	if deep.Mode != unix.S_IFDIR|0o1700 {
		t.Errorf("mode %o", deep.Mode)
	}
	if st := statOf(t, dir+"/x/y"); st.Mode != unix.S_IFDIR|0o755 || st.Uid != 1000 {
		t.Errorf("parent: mode %o uid %d", st.Mode, st.Uid)
	}
	again := do(t, wire.OpMkdir, wire.File{Path: at(dir, "x/y/z"), Parents: true}, user).succeed(t).reply.Stat
	if again.Mode != unix.S_IFDIR|0o1700 {
		t.Errorf("an existing directory's mode became %o", again.Mode)
	}
	must0(t, os.WriteFile(dir+"/f", nil, 0o644))
	do(t, wire.OpMkdir, wire.File{Path: at(dir, "f"), Parents: true}, user).fail(t, wire.CodeExists, dir+"/f")
	do(t, wire.OpMkdir, wire.File{Path: at(dir, "f/g"), Parents: true}, user).fail(t, wire.CodeNotDir, dir+"/f/g")
	// The group of a set-group-ID directory goes on.
	must0(t, os.Chown(dir+"/a", 1000, 2000))
	must0(t, unix.Chmod(dir+"/a", 0o2755))
	sub := do(t, wire.OpMkdir, wire.File{Path: at(dir, "a/b")}, user).succeed(t).reply.Stat
	if sub.Mode != unix.S_IFDIR|0o2755 || sub.GID != 2000 {
		t.Errorf("in a set-group-ID directory: mode %o gid %d", sub.Mode, sub.GID)
	}
	owned := do(t, wire.OpMkdir, wire.File{Path: at(dir, "o"), Owner: "7:8"}, root).succeed(t).reply.Stat
	if owned.UID != 7 || owned.GID != 8 {
		t.Errorf("owner %d:%d", owned.UID, owned.GID)
	}
	do(t, wire.OpMkdir, wire.File{Path: "/", Parents: true}, user).succeed(t)
}

func TestRemove(t *testing.T) {
	dir := workDir(t)
	fill := func() {
		must0(t, os.MkdirAll(dir+"/tree/sub/empty", 0o777))
		for i := range 3000 { // more than one batch of names
			must0(t, os.WriteFile(fmt.Sprintf("%s/tree/sub/%d", dir, i), nil, 0o644))
		}
		must0(t, os.WriteFile(dir+"/outside", nil, 0o644))
		os.Symlink("../outside", dir+"/tree/link")
		os.Symlink("..", dir+"/tree/up")
		os.Symlink("tree", dir+"/totree")
		o := do(t, wire.OpChown, wire.File{Path: at(dir, "tree"), Owner: "1000:1000", Recursive: true}, root)
		o.succeed(t)
	}
	fill()
	do(t, wire.OpRemove, wire.File{Path: at(dir, "tree")}, user).fail(t, wire.CodeNotEmpty, dir+"/tree")
	do(t, wire.OpRemove, wire.File{Path: at(dir, "tree/sub/empty")}, user).succeed(t)
	do(t, wire.OpRemove, wire.File{Path: at(dir, "tree/sub/1")}, user).succeed(t)
	do(t, wire.OpRemove, wire.File{Path: at(dir, "tree/sub/1")}, user).fail(t, wire.CodeNotFound, dir+"/tree/sub/1")
	do(t, wire.OpRemove, wire.File{Path: at(dir, "none"), Recursive: true}, user).fail(t, wire.CodeNotFound, dir+"/none")
	do(t, wire.OpRemove, wire.File{Path: at(dir, "totree") + "/", Recursive: true}, user).succeed(t) // the link
	do(t, wire.OpRemove, wire.File{Path: at(dir, "tree"), Recursive: true}, user).succeed(t)
	if left := namesIn(t, dir); !slices.Equal(left, []string{"outside"}) {
		t.Errorf("left: %q", left)
	}
	for _, path := range []string{"/", dir + "/.", dir + "/..", "///"} {
		do(t, wire.OpRemove, wire.File{Path: wire.Path(path), Recursive: true}, root).fail(t, wire.CodeInvalid, path)
	}
	fill()
	must0(t, os.Chown(dir+"/tree/sub", 0, 0)) // not the user's to empty
	must0(t, os.Chmod(dir+"/tree/sub", 0o755))
	do(t, wire.OpRemove, wire.File{Path: at(dir, "tree"), Recursive: true}, user).fail(t, wire.CodePermission, dir+"/tree")
}

func TestMove(t *testing.T) {
	dir := workDir(t)
	write := func(name, data string) {
		put(t, wire.OpWrite, wire.File{Path: at(dir, name), Parents: true}, user, []byte(data)).succeed(t)
	}
	write("a", "A")
	write("b", "B")
	write("d/f", "F")
	do(t, wire.OpMove, wire.File{Path: at(dir, "a"), To: at(dir, "b")}, user).fail(t, wire.CodeExists, dir+"/b")
	do(t, wire.OpMove, wire.File{Path: at(dir, "none"), To: at(dir, "b")}, user).fail(t, wire.CodeNotFound, dir+"/none")
	do(t, wire.OpMove, wire.File{Path: at(dir, "a"), To: at(dir, "x/y")}, user).fail(t, wire.CodeNotFound, dir+"/x/y")
	do(t, wire.OpMove, wire.File{Path: at(dir, "a"), To: at(dir, "d"), Replace: true}, user).fail(t, wire.CodeIsDir, dir+"/d")
	do(t, wire.OpMove, wire.File{Path: at(dir, "d"), To: at(dir, "a"), Replace: true}, user).fail(t, wire.CodeNotDir, dir+"/a")
	do(t, wire.OpMove, wire.File{Path: at(dir, "d"), To: at(dir, "d/e")}, user).fail(t, wire.CodeInvalid, dir+"/d/e")
	do(t, wire.OpMove, wire.File{Path: at(dir, "a"), To: at(dir, "b"), Replace: true}, user).succeed(t)
	do(t, wire.OpMove, wire.File{Path: at(dir, "b"), To: at(dir, "x/y/z"), Parents: true}, user).succeed(t)
	do(t, wire.OpMove, wire.File{Path: at(dir, "d"), To: at(dir, "x/d")}, user).succeed(t)
	if got := contentOf(t, dir+"/x/y/z") + contentOf(t, dir+"/x/d/f"); got != "AF" {
		t.Errorf("got %q", got)
	}
	must0(t, os.Mkdir(dir+"/full", 0o777))
	write("full2/g", "G")
	must0(t, os.WriteFile(dir+"/full/h", nil, 0o644))
	do(t, wire.OpMove, wire.File{Path: at(dir, "full2"), To: at(dir, "full"), Replace: true}, user).fail(t, wire.CodeNotEmpty, dir+"/full")
}

// tmpfs mounts a small file system for a test.
func tmpfs(t testing.TB, options string) string {
	t.Helper()
	dir := workDir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0777,"+options); err != nil {
		t.Skip("cannot mount: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// From one file system to another a tree keeps all that it is made of.
func TestMoveAcrossFileSystems(t *testing.T) {
	dir, other := workDir(t), tmpfs(t, "size=32m")
	for _, id := range []Identity{user, root} {
		name := fmt.Sprint("tree", id.UID)
		tree := filepath.Join(dir, name)
		makeTree(t, tree)
		must0(t, os.Chmod(tree+"/closed", 0o755)) // mv(1) cannot empty it either
		before := treeOf(t, tree)
		do(t, wire.OpMove, wire.File{Path: wire.Path(tree), To: at(other, name)}, id).succeed(t)
		if diff := compareTrees(before, treeOf(t, filepath.Join(other, name))); diff != "" {
			t.Error(diff)
		}
		if _, err := os.Lstat(tree); !os.IsNotExist(err) {
			t.Errorf("the source is still there: %v", err)
		}
	}
	must0(t, os.WriteFile(dir+"/f", []byte("f"), 0o644))
	must0(t, os.WriteFile(other+"/f", []byte("g"), 0o644))
	do(t, wire.OpMove, wire.File{Path: at(dir, "f"), To: at(other, "f")}, root).fail(t, wire.CodeExists, other+"/f")
	do(t, wire.OpMove, wire.File{Path: at(dir, "f"), To: at(other, "f"), Replace: true}, root).succeed(t)
	if got := contentOf(t, other+"/f"); got != "f" {
		t.Errorf("got %q", got)
	}
	// What does not fit stays where it is.
	big := make([]byte, 40<<20)
	for i := range big {
		big[i] = 1
	}
	must0(t, os.WriteFile(dir+"/big", big, 0o644))
	do(t, wire.OpMove, wire.File{Path: at(dir, "big"), To: at(other, "big")}, root).fail(t, wire.CodeNoSpace, other+"/big")
	if st := statOf(t, dir+"/big"); st.Size != int64(len(big)) {
		t.Error("the source was harmed")
	}
	if left := namesIn(t, other); !slices.Equal(left, []string{"f", "tree0", "tree1000"}) {
		t.Errorf("left: %q", left)
	}
}

func TestChmod(t *testing.T) {
	dir := workDir(t)
	must0(t, os.MkdirAll(dir+"/tree/sub", 0o777))
	must0(t, os.WriteFile(dir+"/tree/sub/f", nil, 0o600))
	must0(t, os.WriteFile(dir+"/outside", nil, 0o600))
	must0(t, os.Symlink("../outside", dir+"/tree/link"))
	do(t, wire.OpChown, wire.File{Path: at(dir), Owner: "1000:1000", Recursive: true}, root).succeed(t)

	do(t, wire.OpChmod, wire.File{Path: at(dir, "outside")}, user).fail(t, wire.CodeInvalid, dir+"/outside")
	st := do(t, wire.OpChmod, wire.File{Path: at(dir, "outside"), Mode: mode(0o4711)}, user).succeed(t).reply.Stat
	if st.Mode != unix.S_IFREG|0o4711 {
		t.Errorf("mode %o", st.Mode)
	}
	do(t, wire.OpChmod, wire.File{Path: at(dir, "tree/link"), Mode: mode(0o601), NoFollow: true}, user).fail(t, wire.CodeUnsupported, dir+"/tree/link")
	do(t, wire.OpChmod, wire.File{Path: at(dir, "tree/link"), Mode: mode(0o600)}, user).succeed(t)
	if st := statOf(t, dir+"/outside"); st.Mode&permissions != 0o600 {
		t.Errorf("through the link: %o", st.Mode)
	}
	// Closing a tree works upwards, opening it downwards; links stay out.
	for _, m := range []uint32{0o000, 0o750, 0o400, 0o700} {
		do(t, wire.OpChmod, wire.File{Path: at(dir, "tree"), Mode: mode(m), Recursive: true}, user).succeed(t)
		for _, name := range []string{"tree", "tree/sub", "tree/sub/f"} {
			if st := statOf(t, filepath.Join(dir, name)); st.Mode&permissions != m {
				t.Errorf("%s: %o, want %o", name, st.Mode&permissions, m)
			}
		}
	}
	if st := statOf(t, dir+"/outside"); st.Mode&permissions != 0o600 {
		t.Errorf("a recursive chmod followed a link: %o", st.Mode)
	}
}

func TestChown(t *testing.T) {
	dir := workDir(t)
	must0(t, os.MkdirAll(dir+"/tree/sub", 0o777))
	must0(t, os.WriteFile(dir+"/outside", nil, 0o600))
	must0(t, os.Symlink("../../outside", dir+"/tree/sub/link"))
	for name, test := range map[string]struct {
		owner    string
		uid, gid uint32
	}{
		"numbers":       {"12:34", 12, 34},
		"user only":     {"56", 56, 34},
		"group only":    {":78", 56, 78},
		"names":         {"root:daemon", 0, 1},
		"login's group": {"daemon:", 1, 1},
	} {
		if name == "numbers" {
			must0(t, os.Chown(dir+"/tree", 0, 0))
		}
		want := test
		must0(t, os.Chown(dir+"/tree", 56, 34)) // each case starts the same
		st := do(t, wire.OpChown, wire.File{Path: at(dir, "tree"), Owner: test.owner}, root).succeed(t).reply.Stat
		if st.UID != want.uid || st.GID != want.gid {
			t.Errorf("%s: %d:%d", name, st.UID, st.GID)
		}
	}
	for _, bad := range []string{"nobody-of-this-name", "0:no-such-group", ":", "-1", "4294967295", "1:2:3"} {
		do(t, wire.OpChown, wire.File{Path: at(dir, "tree"), Owner: bad}, root).fail(t, wire.CodeInvalid, dir+"/tree")
	}
	do(t, wire.OpChown, wire.File{Path: at(dir, "tree")}, root).fail(t, wire.CodeInvalid, dir+"/tree")
	do(t, wire.OpChown, wire.File{Path: at(dir, "tree"), Owner: "9:9", Recursive: true}, root).succeed(t)
	if st := statOf(t, dir+"/tree/sub/link"); st.Uid != 9 {
		t.Errorf("the link's owner is %d", st.Uid)
	}
	if st := statOf(t, dir+"/outside"); st.Uid != 0 {
		t.Errorf("a recursive chown followed a link: %d", st.Uid)
	}
	// The kernel's rules for a user: a group of theirs, nothing else.
	must0(t, os.Chown(dir+"/tree", 1000, 1000))
	do(t, wire.OpChown, wire.File{Path: at(dir, "tree"), Owner: ":2000"}, user).succeed(t)
	do(t, wire.OpChown, wire.File{Path: at(dir, "tree"), Owner: ":3000"}, user).fail(t, wire.CodePermission, dir+"/tree")
}

func TestSymlink(t *testing.T) {
	dir := workDir(t)
	st := do(t, wire.OpSymlink, wire.File{Path: at(dir, "p/l"), To: "../\xff\n", Parents: true}, user).succeed(t).reply.Stat
	if st.Mode&unix.S_IFMT != unix.S_IFLNK || st.UID != 1000 {
		t.Errorf("%+v", st)
	}
	if got, _ := os.Readlink(dir + "/p/l"); got != "../\xff\n" {
		t.Errorf("target %q", got)
	}
	do(t, wire.OpSymlink, wire.File{Path: at(dir, "p/l"), To: "x"}, user).fail(t, wire.CodeExists, dir+"/p/l")
	do(t, wire.OpSymlink, wire.File{Path: at(dir, "p/l"), To: "x", Replace: true}, user).succeed(t)
	if got, _ := os.Readlink(dir + "/p/l"); got != "x" {
		t.Errorf("target %q", got)
	}
	do(t, wire.OpSymlink, wire.File{Path: at(dir, "p"), To: "x", Replace: true}, user).fail(t, wire.CodeIsDir, dir+"/p")
	do(t, wire.OpSymlink, wire.File{Path: at(dir, "q")}, user).fail(t, wire.CodeInvalid, dir+"/q")
	if left := namesIn(t, dir); !slices.Equal(left, []string{"p"}) {
		t.Errorf("left: %q", left)
	}
}
