//go:build linux

package fileops

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// A watching is a watch that has begun.
type watching struct {
	*client
	last string
}

func startWatch(t *testing.T, f wire.File) *watching {
	t.Helper()
	w := &watching{client: start(t, wire.OpWatch, &f, user)}
	kind, _, err := w.r.Header()
	if err != nil || kind != wire.KindReply {
		var failed wire.Error
		w.r.JSON(&failed)
		t.Fatalf("watch: %q, %v, %+v", byte(kind), err, failed)
	}
	return w
}

// next is the next event, "create path" or "create path/" of a directory.
func (w *watching) next() string {
	w.t.Helper()
	var e wire.Entry
	kind, _, err := w.r.Header()
	if err != nil || kind != wire.KindEntry {
		w.t.Fatalf("instead of an event: %q, %v", byte(kind), err)
	}
	must0(w.t, w.r.JSON(&e))
	s := e.Event.Op + " " + string(e.Event.Path)
	if e.Event.Dir {
		s += "/"
	}
	return s
}

// expect wants these events, in this order. Of one write there may be several.
func (w *watching) expect(events ...string) {
	w.t.Helper()
	for _, want := range events {
		got := w.next()
		for got == w.last && strings.HasPrefix(got, "write") {
			got = w.next()
		}
		if got != want {
			w.t.Fatalf("event %q, want %q", got, want)
		}
		w.last = got
	}
}

func (w *watching) stop() {
	w.t.Helper()
	w.conn.Close()
	if err := <-w.done; err == nil {
		w.t.Error("a closed connection was not reported")
	}
}

func TestWatch(t *testing.T) {
	dir := workDir(t)
	must0(t, os.Mkdir(dir+"/sub", 0o777))
	w := startWatch(t, wire.File{Path: at(dir)})
	must0(t, os.WriteFile(dir+"/f", nil, 0o644))
	w.expect("create f")
	must0(t, os.WriteFile(dir+"/f", []byte("x"), 0o644))
	w.expect("write f")
	must0(t, os.Chmod(dir+"/f", 0o600))
	w.expect("chmod f")
	must0(t, os.Rename(dir+"/f", dir+"/g\n\xff"))
	w.expect("rename f", "create g\n\xff")
	must0(t, os.Mkdir(dir+"/d", 0o755))
	w.expect("create d/")
	must0(t, os.WriteFile(dir+"/d/not-seen", nil, 0o644))
	must0(t, os.WriteFile(dir+"/sub/not-seen", nil, 0o644))
	must0(t, os.Remove(dir+"/g\n\xff"))
	w.expect("remove g\n\xff")
	must0(t, os.Remove(dir+"/d/not-seen"))
	must0(t, os.Remove(dir+"/d"))
	w.expect("remove d/")
	w.stop()
}

func TestWatchOfATree(t *testing.T) {
	dir := workDir(t)
	must0(t, os.MkdirAll(dir+"/a/b/c", 0o777))
	must0(t, os.Symlink("/", dir+"/link")) // not to be followed
	w := startWatch(t, wire.File{Path: at(dir) + "/", Recursive: true})
	must0(t, os.WriteFile(dir+"/a/b/c/f", nil, 0o644))
	w.expect("create a/b/c/f")
	must0(t, os.Rename(dir+"/a/b", dir+"/z"))
	w.expect("rename a/b/", "create z/", "create z/c/", "create z/c/f")
	must0(t, os.WriteFile(dir+"/z/c/f", []byte("x"), 0o644))
	w.expect("write z/c/f")
	// In from outside, with what is in it, and out again.
	other := workDir(t)
	must0(t, os.MkdirAll(other+"/n/m", 0o777))
	must0(t, os.WriteFile(other+"/n/m/f", nil, 0o644))
	must0(t, os.Rename(other+"/n", dir+"/n"))
	w.expect("create n/", "create n/m/", "create n/m/f")
	must0(t, os.Rename(dir+"/n", other+"/n"))
	w.expect("rename n/")
	must0(t, os.WriteFile(other+"/n/m/not-seen", nil, 0o644))
	must0(t, os.RemoveAll(dir+"/z"))
	w.expect("remove z/c/f", "remove z/c/", "remove z/")
	w.stop()
}

// Directories made faster than they can be watched: everything in them is
// reported, once.
func TestWatchMissesNothingInNewDirectories(t *testing.T) {
	dir := workDir(t)
	w := startWatch(t, wire.File{Path: at(dir), Recursive: true})
	want := []string{}
	for i := range 50 {
		path := fmt.Sprintf("d%02d/e/f", i)
		want = append(want, "create "+fmt.Sprintf("d%02d/", i), "create "+fmt.Sprintf("d%02d/e/", i))
		must0(t, os.MkdirAll(filepath.Join(dir, path), 0o777))
		want = append(want, "create "+path+"/")
		for j := range 5 {
			name := fmt.Sprintf("%s/%d", path, j)
			must0(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
			want = append(want, "create "+name)
		}
	}
	got := []string{}
	for range want {
		got = append(got, w.next())
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	// Nothing comes twice: the next event is that of the next change.
	must0(t, os.WriteFile(dir+"/last", nil, 0o644))
	w.expect("create last")
	w.stop()
}

func TestWatchOfAFile(t *testing.T) {
	dir := workDir(t)
	must0(t, os.WriteFile(dir+"/f", nil, 0o644))
	w := startWatch(t, wire.File{Path: at(dir, "f")})
	must0(t, os.WriteFile(dir+"/f", []byte("x"), 0o644))
	w.expect("write ")
	must0(t, os.Remove(dir+"/f"))
	w.expect("chmod ", "remove ") // its link count changed
	w.finish().fail(t, wire.CodeNotFound, dir+"/f")
}

func TestWatchEnds(t *testing.T) {
	dir := workDir(t)
	do(t, wire.OpWatch, wire.File{Path: at(dir, "none")}, user).fail(t, wire.CodeNotFound, dir+"/none")

	must0(t, os.Mkdir(dir+"/d", 0o777))
	w := startWatch(t, wire.File{Path: at(dir, "d"), Recursive: true})
	must0(t, os.Remove(dir+"/d"))
	w.expect("remove ")
	w.finish().fail(t, wire.CodeNotFound, dir+"/d")

	w = startWatch(t, wire.File{Path: at(dir)})
	must0(t, w.w.Frame(wire.KindEnd, nil))
	if o := w.finish(); o.failure != nil {
		t.Errorf("KindEnd: %+v", o.failure)
	}

	before := openFiles(t)
	for range 20 {
		startWatch(t, wire.File{Path: at(dir)}).stop()
	}
	// Each closed test connection stays open in net only until it is collected.
	eventually(t, "descriptors are closed", func() bool { return openFiles(t) <= before })
}

func openFiles(t *testing.T) int { return len(namesIn(t, "/proc/self/fd")) }

// A client that does not read makes the kernel's queue overflow. It is told,
// and the watch goes on, also in directories that were made meanwhile.
func TestWatchOverflow(t *testing.T) {
	dir := workDir(t)
	var limit int
	_, err := fmt.Sscan(contentOf(t, "/proc/sys/fs/inotify/max_queued_events"), &limit)
	must0(t, err)
	w := startWatch(t, wire.File{Path: at(dir), Recursive: true})
	// Alternating, so that the kernel does not merge them; more than its queue
	// and both sockets' buffers hold.
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must0(t, err)
	defer unix.Close(fd)
	for i := range limit + 10_000 {
		name := fmt.Sprint("f", i)
		must0(t, unix.Mknodat(fd, name, unix.S_IFREG|0o600, 0))
		must0(t, unix.Unlinkat(fd, name, 0))
	}
	must0(t, os.Mkdir(dir+"/late", 0o777))
	for w.next() != "overflow " {
	}
	// From here on what is made in the directory is seen, however it is found.
	path := dir + "/late/f"
	seen := make(chan bool)
	go func() {
		for {
			var e wire.Entry
			if kind, _, err := w.r.Header(); err != nil || kind != wire.KindEntry || w.r.JSON(&e) != nil {
				seen <- false
				return
			}
			if e.Event.Op == "write" && e.Event.Path == "late/f" {
				seen <- true
				return
			}
		}
	}()
	for end := time.Now().Add(deadline); ; {
		must0(t, os.WriteFile(path, []byte("x"), 0o644))
		select {
		case ok := <-seen:
			if !ok {
				t.Fatal("the watch ended")
			}
			w.stop()
			return
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatal("the new directory is not watched")
		}
	}
}
