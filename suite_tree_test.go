package pocketdock_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// smallFiles makes n small files in a hundred directories.
func smallFiles(t testing.TB, dir string, n int) {
	t.Helper()
	for i := range n {
		d := filepath.Join(dir, fmt.Sprintf("d%02d/e%d", i%100/10, i%10))
		if i < 100 {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(d, fmt.Sprintf("file-%05d", i)), fmt.Appendf(nil, "content of %d", i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSuiteManyFiles(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	trees := map[string]string{} // what a tree of a way is like
	dir := t.TempDir()
	for way, n := range map[string]int{socketWay: n, bridgeWay: n / 10} {
		smallFiles(t, filepath.Join(dir, way), n)
		trees[way] = describe(t, filepath.Join(dir, way))
	}
	onEach(t, []string{socketWay, bridgeWay}, func(t *testing.T, box *pocketdock.Container) {
		ctx := t.Context()
		way := t.Name()[strings.LastIndexByte(t.Name(), '/')+1:]
		src, want := filepath.Join(dir, way), trees[way]
		back := filepath.Join(t.TempDir(), "back")
		for range 2 { // into a new directory, and over an existing one
			if err := box.Push(ctx, src, "/tmp/many", pocketdock.TransferOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := box.Pull(ctx, "/tmp/many", back, pocketdock.TransferOptions{}); err != nil {
				t.Fatal(err)
			}
			if describe(t, back) != want {
				t.Error("the tree came back as another")
			}
		}
		if err := box.Remove(ctx, "/tmp/many", pocketdock.FileOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// TestSuiteSparse: ten gigabytes with one megabyte of data move in the time of
// that, by every way in and out, and stay sparse.
func TestSuiteSparse(t *testing.T) {
	const size, data = 10 << 30, 1 << 20
	dir := t.TempDir()
	host := filepath.Join(dir, "tree", "sparse")
	if err := os.Mkdir(filepath.Dir(host), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(host)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(patternBlock[:data], size/2); err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, path string) {
		t.Helper()
		g, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		info, err := g.Stat()
		if err != nil || info.Size() != size || onDisk(info) > 2*data {
			t.Errorf("%s: %d bytes, %d on disk, %v", path, info.Size(), onDisk(info), err)
		}
		got := make([]byte, data)
		if _, err := g.ReadAt(got, size/2); err != nil || string(got) != string(patternBlock[:data]) {
			t.Errorf("%s has other content, %v", path, err)
		}
	}
	onEach(t, []string{socketWay, bridgeWay}, func(t *testing.T, box *pocketdock.Container) {
		embeddedLacks(t, "files with holes that can be found")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		inside := func(path string) {
			t.Helper()
			out := mustRun(t, box, pocketdock.Shell("stat -c '%s %b' "+path))
			var bytes, blocks int64
			if _, err := fmt.Sscan(string(out.Stdout), &bytes, &blocks); err != nil || bytes != size || blocks*512 > 2*data {
				t.Errorf("%s inside: %s", path, out.Stdout)
			}
		}
		back := t.TempDir()
		var last pocketdock.Progress
		opts := pocketdock.TransferOptions{Progress: func(p pocketdock.Progress) { last = p }}
		moved := func(what string, files, total int64) {
			t.Helper()
			if last.Bytes != size || last.Files != files || last.TotalBytes != total {
				t.Errorf("%s: progress %+v", what, last)
			}
			last = pocketdock.Progress{}
		}
		if err := box.Push(ctx, host, "/tmp/holes/file", opts); err != nil {
			t.Fatal(err)
		}
		moved("push", 1, size)
		inside("/tmp/holes/file")
		if err := box.Pull(ctx, "/tmp/holes/file", filepath.Join(back, "file"), opts); err != nil {
			t.Fatal(err)
		}
		moved("pull", 1, size)
		check(t, filepath.Join(back, "file"))

		if err := box.Push(ctx, filepath.Dir(host), "/tmp/holes/tree", opts); err != nil {
			t.Fatal(err)
		}
		moved("push of a tree", 2, size)
		inside("/tmp/holes/tree/sparse")
		if err := box.Pull(ctx, "/tmp/holes/tree", filepath.Join(back, "tree"), opts); err != nil {
			t.Fatal(err)
		}
		moved("pull of a tree", 1, 0)
		check(t, filepath.Join(back, "tree", "sparse"))

		in, err := os.Open(host)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		if err := box.CopyIn(ctx, "/tmp/holes/copied", in, pocketdock.FileOptions{}); err != nil {
			t.Fatal(err)
		}
		inside("/tmp/holes/copied")
		if err := box.Remove(ctx, "/tmp/holes", pocketdock.FileOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// TestSuiteSparseInPlace: a file that cannot be replaced, only written, gets
// the content with its holes as zeros.
func TestSuiteSparseInPlace(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		dir := t.TempDir()
		mounted, source := filepath.Join(dir, "mounted"), filepath.Join(dir, "source")
		if err := os.WriteFile(mounted, []byte("old"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(mounted, 0o666); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(source)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(1 << 20); err != nil {
			t.Fatal(err)
		}
		box := create(t, e, busybox, pocketdock.CreateOptions{Volumes: []pocketdock.Volume{{Host: mounted, Container: "/data"}}})
		if err := box.Push(t.Context(), source, "/data", pocketdock.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(mounted); err != nil || info.Size() != 1<<20 {
			t.Errorf("%v, %v", info, err)
		}
	})
}

func TestSuitePushExclude(t *testing.T) {
	src := t.TempDir()
	for name, text := range map[string]string{
		".gitignore": "*.log\n!keep.log\n", "a.log": "", "keep.log": "", "src/.gitignore": "gen/\n", "src/gen/x": "", "src/a.go": "",
		".git/config": "", "node_modules/m/index.js": "",
	} {
		p := filepath.Join(src, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		ctx := t.Context()
		var last pocketdock.Progress
		o := pocketdock.TransferOptions{GitIgnore: true, Exclude: []string{"node_modules/", "/.git"},
			Progress: func(p pocketdock.Progress) { last = p }}
		if err := box.Push(ctx, src, "/tmp/chosen", o); err != nil {
			t.Fatal(err)
		}
		list, err := box.ListFiles(ctx, "/tmp/chosen", pocketdock.FilesOptions{Depth: -1})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range list {
			names = append(names, f.Path)
		}
		if got := strings.Join(names, " "); got != ".gitignore keep.log src src/.gitignore src/a.go" {
			t.Errorf("pushed %s", got)
		}
		if last.Files != 6 || last.TotalFiles != 6 {
			t.Errorf("progress %+v", last)
		}
		if err := box.Remove(ctx, "/tmp/chosen", pocketdock.FileOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// TestSuitePullTop: a new directory of this host is as that of the sandbox.
func TestSuitePullTop(t *testing.T) {
	onEach(t, []string{socketWay}, func(t *testing.T, box *pocketdock.Container) {
		mustRun(t, box, pocketdock.Shell("mkdir -p /tmp/top && chmod 710 /tmp/top && touch -d @1400000000 /tmp/top"))
		to := filepath.Join(t.TempDir(), "a/b/top")
		if err := box.Pull(t.Context(), "/tmp/top", to, pocketdock.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(to)
		if err != nil || info.Mode() != fs.ModeDir|0o710 || info.ModTime().Unix() != 1_400_000_000 {
			t.Errorf("%v %v, %v", info.Mode(), info.ModTime(), err)
		}
		mustRun(t, box, pocketdock.Argv("rm", "-r", "/tmp/top"))
	})
}
