//go:build linux

package fileops

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock/internal/holes"
	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// noise is n bytes without a block of zeros.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// Content of every size around the limits comes back as it was.
func TestWriteThenRead(t *testing.T) {
	dir := workDir(t)
	for _, size := range []int{0, 1, 5, 4095, 4096, 4097, smallRead, smallRead + 1, bufferSize - 1, bufferSize, bufferSize + 1,
		wire.MaxFrame - 1, wire.MaxFrame, wire.MaxFrame + 1, 3*wire.MaxFrame + 777} {
		data := noise(size)
		f := wire.File{Path: at(dir, "f")}
		st := put(t, wire.OpWrite, f, user, data).succeed(t).reply.Stat
		if st.Size != int64(size) || st.Mode != unix.S_IFREG|0o644 || st.UID != 1000 || st.GID != 1000 {
			t.Errorf("%d bytes: %+v", size, st)
		}
		o := do(t, wire.OpRead, f, user).succeed(t)
		if !bytes.Equal(o.data, data) || !o.ended || o.reply.Stat.Size != int64(size) {
			t.Errorf("%d bytes: read %d, ended %v", size, len(o.data), o.ended)
		}
	}
	if left := namesIn(t, dir); !slices.Equal(left, []string{"f"}) {
		t.Errorf("left: %q", left)
	}
}

func TestReadRanges(t *testing.T) {
	dir := workDir(t)
	data := noise(2*wire.MaxFrame + 100)
	must0(t, os.WriteFile(dir+"/f", data, 0o644))
	size := int64(len(data))
	for _, test := range []struct{ offset, length, from, to int64 }{
		{0, 0, 0, size}, {0, 1, 0, 1}, {1, 1, 1, 2}, {size - 1, 0, size - 1, size}, {size, 0, size, size}, {size + 9, 5, size, size},
		{-1, 0, size - 1, size}, {-10, 4, size - 10, size - 6}, {-size, 0, 0, size}, {-size - 5, 3, 0, 3}, {100, 1 << 62, 100, size},
		{-1 << 63, 0, 0, size}, {1 << 62, 1 << 62, size, size}, {7, wire.MaxFrame + 1, 7, wire.MaxFrame + 8},
	} {
		o := do(t, wire.OpRead, wire.File{Path: at(dir, "f"), Offset: test.offset, Length: test.length}, user).succeed(t)
		if !bytes.Equal(o.data, data[test.from:test.to]) || !o.ended {
			t.Errorf("offset %d length %d: %d bytes", test.offset, test.length, len(o.data))
		}
	}
	do(t, wire.OpRead, wire.File{Path: at(dir, "f"), Length: -1}, user).fail(t, wire.CodeInvalid, dir+"/f")
}

func TestReadWhatIsNoRegularFile(t *testing.T) {
	dir := workDir(t)
	must0(t, unix.Mkfifo(dir+"/fifo", 0o666))
	must0(t, os.Chmod(dir+"/fifo", 0o666))
	must0(t, os.Symlink("/dev/zero", dir+"/link"))
	do(t, wire.OpRead, wire.File{Path: at(dir)}, user).fail(t, wire.CodeIsDir, dir)
	do(t, wire.OpRead, wire.File{Path: at(dir, "none")}, user).fail(t, wire.CodeNotFound, dir+"/none")
	do(t, wire.OpRead, wire.File{Path: at(dir, "fifo")}, user).fail(t, wire.CodeInvalid, dir+"/fifo")
	do(t, wire.OpRead, wire.File{Path: "/dev/zero"}, user).fail(t, wire.CodeInvalid, "/dev/zero")
	do(t, wire.OpRead, wire.File{Path: "/dev/zero", Length: 1, Offset: 1}, user).fail(t, wire.CodeInvalid, "/dev/zero")
	do(t, wire.OpRead, wire.File{Path: at(dir, "link"), Length: 1, NoFollow: true}, user).fail(t, wire.CodeInvalid, dir+"/link")
	if o := do(t, wire.OpRead, wire.File{Path: at(dir, "fifo"), Length: 10}, user).succeed(t); len(o.data) != 0 || !o.ended {
		t.Errorf("an idle FIFO gave %q", o.data)
	}
	if o := do(t, wire.OpRead, wire.File{Path: "/dev/zero", Length: 3_000_000}, user).succeed(t); len(o.data) != 3_000_000 {
		t.Errorf("%d zeros", len(o.data))
	}
	if o := do(t, wire.OpRead, wire.File{Path: "/dev/null", Length: 3}, user).succeed(t); len(o.data) != 0 || !o.ended {
		t.Errorf("/dev/null gave %q", o.data)
	}
	// Files of /proc have no size and are read all the same.
	if o := do(t, wire.OpRead, wire.File{Path: "/proc/self/status"}, user).succeed(t); !strings.Contains(string(o.data), "Pid:") || !o.ended {
		t.Errorf("/proc/self/status: %q", o.data)
	}
	if o := do(t, wire.OpRead, wire.File{Path: "/proc/self/status", Offset: 2, Length: 3}, user).succeed(t); string(o.data) != "me:" {
		t.Errorf("a part of /proc/self/status: %q", o.data)
	}
	// The writing end of a FIFO holds what a reader gets.
	end, err := os.OpenFile(dir+"/fifo", os.O_RDWR, 0)
	must0(t, err)
	defer end.Close()
	end.WriteString("waiting")
	if o := do(t, wire.OpRead, wire.File{Path: at(dir, "fifo"), Length: 100}, user).succeed(t); string(o.data) != "waiting" {
		t.Errorf("the FIFO gave %q", o.data)
	}
}

// A file that is cut while it is read ends the operation with a failure, on a
// stream that is still in order.
func TestReadOfAFileThatShrinks(t *testing.T) {
	dir := workDir(t)
	path := dir + "/f"
	must0(t, os.WriteFile(path, noise(64<<20), 0o644))
	c := start(t, wire.OpRead, &wire.File{Path: wire.Path(path)}, user)
	kind, _, err := c.r.Header()
	if err != nil || kind != wire.KindReply {
		t.Fatalf("%q, %v", byte(kind), err)
	}
	must0(t, os.Truncate(path, 1<<20)) // the socket's buffer holds less than the rest
	o := c.finish()
	if o.failure == nil || o.failure.Code != wire.CodeOther || o.ended {
		t.Fatalf("failure %v, ended %v", o.failure, o.ended)
	}
}

// A client that goes away while content is sent ends the operation, sent by
// the kernel or not.
func TestReadByAClientThatGoesAway(t *testing.T) {
	dir := workDir(t)
	must0(t, os.WriteFile(dir+"/f", noise(16<<20), 0o644))
	for _, f := range []wire.File{{Path: at(dir, "f")}, {Path: "/dev/zero", Length: 1 << 40}} {
		for _, op := range []string{wire.OpRead, wire.OpTarOut} {
			if op == wire.OpTarOut {
				f = wire.File{Path: at(dir)}
			}
			c := start(t, op, &f, user)
			if _, _, err := c.r.Header(); err != nil {
				t.Fatal(err)
			}
			c.conn.Close()
			if err := <-c.done; !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("%s of %s: %v", op, f.Path, err)
			}
		}
	}
}

func TestWriteOptions(t *testing.T) {
	dir := workDir(t)
	write := func(f wire.File, id Identity, data string) outcome {
		return put(t, wire.OpWrite, f, id, []byte(data))
	}
	path := dir + "/f"
	f := wire.Path(path)

	write(wire.File{Path: at(dir, "a/b/c"), Parents: true}, user, "deep").succeed(t)
	if st := statOf(t, dir+"/a/b"); st.Mode != unix.S_IFDIR|0o755 || st.Uid != 1000 {
		t.Errorf("parent: %o, uid %d", st.Mode, st.Uid)
	}
	write(wire.File{Path: at(dir, "no/b")}, user, "").fail(t, wire.CodeNotFound, dir+"/no/b")
	write(wire.File{Path: at(dir)}, user, "").fail(t, wire.CodeIsDir, dir)
	write(wire.File{Path: f + "/"}, user, "").fail(t, wire.CodeIsDir, path+"/")
	write(wire.File{Path: f, Offset: -1}, user, "").fail(t, wire.CodeInvalid, path)

	// Modes: as asked, then kept, without set-user-ID once the content changes.
	write(wire.File{Path: f, Mode: mode(0o4711), ModTime: 1_234_567_890_987_654_321}, user, "one").succeed(t)
	if st := statOf(t, path); st.Mode != unix.S_IFREG|0o4711 || st.Mtim.Nano() != 1_234_567_890_987_654_321 {
		t.Errorf("%o, %d", st.Mode, st.Mtim.Nano())
	}
	before := statOf(t, path).Ino
	write(wire.File{Path: f}, user, "two").succeed(t)
	if st := statOf(t, path); st.Mode != unix.S_IFREG|0o711 || st.Ino == before || contentOf(t, path) != "two" {
		t.Errorf("mode %o, same inode %v", st.Mode, st.Ino == before)
	}
	write(wire.File{Path: f, Exclusive: true}, user, "three").fail(t, wire.CodeExists, path)
	write(wire.File{Path: at(dir, "new"), Exclusive: true}, user, "new").succeed(t)
	write(wire.File{Path: f, Append: true}, user, "+").succeed(t)
	write(wire.File{Path: f, Append: true}, user, "++").succeed(t)
	write(wire.File{Path: at(dir, "appended"), Append: true, Mode: mode(0o600)}, user, "x").succeed(t)
	write(wire.File{Path: f, Offset: 1}, user, "W").succeed(t)
	if got := contentOf(t, path) + contentOf(t, dir+"/appended"); got != "tWo+++x" {
		t.Errorf("content %q", got)
	}
	if st := statOf(t, path); st.Mode&permissions != 0o711 {
		t.Errorf("mode %o after writing in place", st.Mode)
	}
	// As root: the file stays its owner's.
	write(wire.File{Path: f}, root, "of root").succeed(t)
	if st := statOf(t, path); st.Uid != 1000 || st.Gid != 1000 {
		t.Errorf("owner %d:%d", st.Uid, st.Gid)
	}
	write(wire.File{Path: f, Owner: "12:13"}, root, "of 12").succeed(t)
	if st := statOf(t, path); st.Uid != 12 || st.Gid != 13 {
		t.Errorf("owner %d:%d", st.Uid, st.Gid)
	}
	if left := namesIn(t, dir); !slices.Equal(left, []string{"a", "appended", "f", "new"}) {
		t.Errorf("left: %q", left)
	}
}

func TestWriteThroughLinks(t *testing.T) {
	dir := workDir(t)
	must0(t, os.Mkdir(dir+"/d", 0o777))
	must0(t, os.Chown(dir+"/d", 1000, 1000))
	must0(t, os.WriteFile(dir+"/d/f", []byte("old"), 0o644))
	must0(t, os.Chown(dir+"/d/f", 1000, 1000))
	must0(t, os.Symlink("d/f", dir+"/link"))
	must0(t, os.Symlink(dir+"/link", dir+"/d/link2"))
	must0(t, os.Symlink("d/new", dir+"/dangling"))
	must0(t, os.Symlink("loop", dir+"/loop"))
	f := wire.File{Path: at(dir, "d/link2")}
	put(t, wire.OpWrite, f, user, []byte("new")).succeed(t)
	if got := contentOf(t, dir+"/d/f"); got != "new" {
		t.Errorf("content %q", got)
	}
	put(t, wire.OpWrite, wire.File{Path: at(dir, "dangling")}, user, []byte("made")).succeed(t)
	if got := contentOf(t, dir+"/d/new"); got != "made" {
		t.Errorf("content %q", got)
	}
	put(t, wire.OpWrite, wire.File{Path: at(dir, "loop")}, user, nil).fail(t, wire.CodeInvalid, dir+"/loop")
	put(t, wire.OpWrite, wire.File{Path: at(dir, "link"), Exclusive: true}, user, nil).fail(t, wire.CodeExists, dir+"/link")
	put(t, wire.OpWrite, wire.File{Path: at(dir, "link"), NoFollow: true}, user, []byte("own")).succeed(t)
	if st := statOf(t, dir+"/link"); !isRegular(st) || contentOf(t, dir+"/d/f") != "new" {
		t.Errorf("the link is now %o", st.Mode)
	}
}

// Where a file cannot be replaced it is written in place, if the user may.
func TestWriteInPlaceWhereItMust(t *testing.T) {
	dir := workDir(t)
	for name, prepare := range map[string]func(path string){
		"directory not writable": func(path string) {
			must0(t, os.Chown(path, 1000, 1000))
			must0(t, os.Chown(filepath.Dir(path), 0, 0))
		},
		"sticky directory, another's file": func(path string) {
			must0(t, os.Chmod(path, 0o666))
			must0(t, os.Chown(filepath.Dir(path), 0, 0))
			must0(t, unix.Chmod(filepath.Dir(path), 0o1777))
		},
		"owner that could not be kept": func(path string) { must0(t, os.Chmod(path, 0o666)) },
		"mount point": func(path string) {
			must0(t, os.Chown(path, 1000, 1000))
			if err := unix.Mount(path, path, "", unix.MS_BIND, ""); err != nil {
				t.Skip("cannot mount: ", err)
			}
			t.Cleanup(func() { unix.Unmount(path, unix.MNT_DETACH) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			sub := filepath.Join(dir, strings.ReplaceAll(name, " ", "_"))
			must0(t, os.Mkdir(sub, 0o755))
			must0(t, os.Chown(sub, 1000, 1000))
			path := sub + "/f"
			must0(t, os.WriteFile(path, []byte("longer than the new one"), 0o644))
			prepare(path)
			before := *statOf(t, path)
			o := put(t, wire.OpWrite, wire.File{Path: wire.Path(path)}, user, []byte("new")).succeed(t)
			after := *statOf(t, path)
			if contentOf(t, path) != "new" || after.Ino != before.Ino || after.Uid != before.Uid || after.Mode != before.Mode || o.reply.Stat.Size != 3 {
				t.Errorf("content %q; %+v", contentOf(t, path), o.reply.Stat)
			}
			if left := namesIn(t, sub); !slices.Equal(left, []string{"f"}) {
				t.Errorf("left: %q", left)
			}
		})
	}
}

func TestWriteToWhatIsNoRegularFile(t *testing.T) {
	dir := workDir(t)
	put(t, wire.OpWrite, wire.File{Path: "/dev/null"}, user, noise(100_000)).succeed(t)
	put(t, wire.OpWrite, wire.File{Path: "/dev/full"}, user, []byte("x")).fail(t, wire.CodeNoSpace, "/dev/full")
	must0(t, unix.Mkfifo(dir+"/fifo", 0o666))
	must0(t, os.Chmod(dir+"/fifo", 0o666))
	o := put(t, wire.OpWrite, wire.File{Path: at(dir, "fifo")}, user, []byte("x"))
	if o.failure == nil || o.failure.Errno != int(unix.ENXIO) {
		t.Errorf("without a reader: %+v", o.failure)
	}
	end, err := os.OpenFile(dir+"/fifo", os.O_RDWR, 0)
	must0(t, err)
	defer end.Close()
	got := make(chan []byte)
	go func() { b := make([]byte, 200_000); io.ReadFull(end, b); got <- b }()
	data := noise(200_000)
	put(t, wire.OpWrite, wire.File{Path: at(dir, "fifo")}, user, data).succeed(t)
	if !bytes.Equal(<-got, data) {
		t.Error("the FIFO gave something else")
	}
}

// A program that runs can be replaced: it cannot be opened for writing.
func TestWriteOverARunningProgram(t *testing.T) {
	dir := workDir(t)
	program, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Skip(err)
	}
	must0(t, os.WriteFile(dir+"/p", program, 0o755))
	must0(t, os.Chown(dir+"/p", 1000, 1000))
	p, err := os.StartProcess(dir+"/p", []string{"p", "60"}, &os.ProcAttr{})
	if err != nil {
		t.Skip(err)
	}
	defer func() { p.Kill(); p.Wait() }()
	put(t, wire.OpWrite, wire.File{Path: at(dir, "p")}, user, []byte("#!/bin/sh\n")).succeed(t)
	if st := statOf(t, dir+"/p"); st.Mode&permissions != 0o755 {
		t.Errorf("mode %o", st.Mode)
	}
}

// A write that breaks leaves the old content and nothing else.
func TestInterruptedWrites(t *testing.T) {
	for name, stop := range map[string]func(c *client){
		"closed":         func(c *client) { c.conn.Close() },
		"inside a frame": func(c *client) { c.conn.Write([]byte{'D', 0, 0, 1, 0, 'x'}); c.conn.Close() },
		"half closed":    func(c *client) { c.conn.CloseWrite() },
		"wrong frame":    func(c *client) { c.w.Frame(wire.KindSignal, []byte("{}")) },
		"too long":       func(c *client) { c.conn.Write([]byte{'D', 0xff, 0, 0, 0}) },
	} {
		for _, op := range []string{"replace", "new", "append", "tarin"} {
			t.Run(name+", "+op, func(t *testing.T) {
				dir := workDir(t)
				f := &wire.File{Path: at(dir, "f")}
				want := []string{"f"}
				serve := wire.OpWrite
				switch op {
				case "new":
					want = []string{}
				case "tarin":
					f.Path, serve = at(dir), wire.OpTarIn
				case "append":
					f.Append = true
				}
				if op != "new" {
					must0(t, os.WriteFile(dir+"/f", []byte("old"), 0o644))
					must0(t, os.Chown(dir+"/f", 1000, 1000))
				}
				c := start(t, serve, f, user)
				data := noise(3 << 20)
				if op == "tarin" {
					data = append(tarOf(t, tarEntry{name: "f", size: 10 << 20}), data...)
				}
				go func() {
					for chunk := range slices.Chunk(data, 256<<10) {
						c.w.Frame(wire.KindData, chunk)
					}
					stop(c)
				}()
				for { // until it closes
					if _, _, err := c.r.Header(); err != nil {
						break
					}
				}
				<-c.done
				if left := namesIn(t, dir); !slices.Equal(left, want) {
					t.Errorf("left: %q", left)
				}
				if op != "new" && contentOf(t, dir+"/f") != "old" {
					t.Error("the old content is gone")
				}
			})
		}
	}
}

func TestWriteToAFullDisk(t *testing.T) {
	dir := tmpfs(t, "size=1m")
	put(t, wire.OpWrite, wire.File{Path: at(dir, "f")}, user, []byte("old")).succeed(t)
	for _, f := range []wire.File{{Path: at(dir, "f")}, {Path: at(dir, "g")}, {Path: at(dir, "f"), Append: true}} {
		put(t, wire.OpWrite, f, user, noise(8<<20)).fail(t, wire.CodeNoSpace, string(f.Path))
		if left := namesIn(t, dir); !slices.Equal(left, []string{"f"}) {
			t.Errorf("left: %q", left)
		}
		if got := contentOf(t, dir+"/f"); got != "old" {
			t.Errorf("content: %d bytes", len(got))
		}
	}
	archive := tarOf(t, tarEntry{name: "d/small", content: []byte("s")}, tarEntry{name: "d/big", content: noise(8 << 20)})
	put(t, wire.OpTarIn, wire.File{Path: at(dir)}, user, archive).fail(t, wire.CodeNoSpace, "d/big")
	if left := namesIn(t, dir+"/d"); !slices.Equal(left, []string{"small"}) {
		t.Errorf("left: %q", left)
	}
}

// Zeros cost no disk, and the size is exact whatever the end is.
func TestHoles(t *testing.T) {
	dir := workDir(t)
	zero := func(n int) []byte { return make([]byte, n) }
	for name, test := range map[string]struct {
		data   []byte
		sparse bool
	}{
		"only zeros":             {zero(10 << 20), true},
		"zeros, odd size":        {zero(1<<20 + 1), true},
		"hole in the middle":     {slices.Concat(noise(5000), zero(8<<20), noise(5000)), true},
		"hole at the end":        {slices.Concat(noise(4096), zero(4<<20)), true},
		"data at the end":        {slices.Concat(zero(4<<20), []byte("x")), true},
		"zeros less than a page": {slices.Concat(noise(100), zero(4000), noise(100)), false},
		"no zeros":               {noise(1 << 20), false},
		"alternating":            {bytes.Repeat(slices.Concat(noise(4096), zero(4096)), 100), false},
		"one zero":               {zero(1), false},
	} {
		t.Run(name, func(t *testing.T) {
			f := wire.File{Path: at(dir, "f")}
			put(t, wire.OpWrite, f, user, test.data).succeed(t)
			st := statOf(t, dir+"/f")
			if st.Size != int64(len(test.data)) {
				t.Fatalf("size %d, want %d", st.Size, len(test.data))
			}
			if test.sparse && st.Blocks*512 > 64<<10 {
				t.Errorf("%d bytes on disk", st.Blocks*512)
			}
			if got := do(t, wire.OpRead, f, user).succeed(t).data; !bytes.Equal(got, test.data) {
				t.Error("the content differs")
			}
		})
	}
}

func FuzzHoleWriter(f *testing.F) {
	f.Add([]byte{0, 1, 2}, uint16(100))
	f.Add([]byte{0, 0, 0, 0, 0, 0}, uint16(4096))
	f.Fuzz(func(t *testing.T, runs []byte, step uint16) {
		var data []byte
		for i, n := range runs[:min(len(runs), 32)] { // zeros and ones in turn
			data = append(data, bytes.Repeat([]byte{byte(i % 2)}, int(n)*97)...)
		}
		fd, err := unix.MemfdCreate("holes", unix.MFD_CLOEXEC)
		must0(t, err)
		defer unix.Close(fd)
		w := &holes.Writer{File: newFile(fd)}
		for chunk := range slices.Chunk(data, int(step)+1) {
			if n, err := w.Write(chunk); n != len(chunk) || err != nil {
				t.Fatal(n, err)
			}
		}
		must0(t, w.Finish())
		got, err := io.ReadAll(io.NewSectionReader(content(fd), 0, 1<<40))
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes became %d, %v", len(data), len(got), err)
		}
	})
}

// A reader sees the old content or the new, never a part.
func TestWritesAreAtomic(t *testing.T) {
	dir := workDir(t)
	path := dir + "/f"
	var stop atomic.Bool
	var bad atomic.Int64
	f := wire.File{Path: wire.Path(path)}
	put(t, wire.OpWrite, f, user, bytes.Repeat([]byte{0x40}, 300_000)).succeed(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			b, err := os.ReadFile(path)
			if err != nil || len(b) != 300_000 || bytes.Count(b, b[:1]) != len(b) {
				bad.Add(1)
			}
		}
	}()
	for i := range 50 {
		put(t, wire.OpWrite, f, user, bytes.Repeat([]byte{byte(0x41 + i)}, 300_000)).succeed(t)
	}
	stop.Store(true)
	<-done
	if bad.Load() > 0 {
		t.Errorf("%d reads saw a part", bad.Load())
	}
}

func benchmarkRequest(b *testing.B, op string, f wire.File, data []byte) {
	// One connection for all: what is measured is Serve, not the dialling.
	ours, theirs := socketPair(b)
	c := &client{t: b, conn: ours, r: wire.NewReader(ours), w: wire.NewWriter(ours)}
	begin := make(chan struct{})
	go func() {
		r, w := wire.NewReader(theirs), wire.NewWriter(theirs)
		for range begin {
			if err := Serve(op, &f, "/", user, r, w); err != nil {
				b.Error(err)
			}
		}
	}()
	defer close(begin)
	last := wire.KindReply
	if op == wire.OpRead {
		last = wire.KindEnd
	}
	var durations []time.Duration
	for b.Loop() {
		t := time.Now()
		begin <- struct{}{}
		if op == wire.OpWrite {
			c.send(data)
		}
		for {
			kind, _, err := c.r.Header()
			if err != nil || kind == wire.KindFailure {
				b.Fatal(err, string(kind))
			}
			if kind == last {
				break
			}
		}
		durations = append(durations, time.Since(t))
	}
	slices.Sort(durations)
	b.ReportMetric(float64(durations[len(durations)*99/100].Microseconds()), "p99-µs")
}

func Benchmark1kB(b *testing.B) {
	dir := workDir(b)
	data := noise(1000)
	must0(b, os.WriteFile(dir+"/r", data, 0o644))
	b.Run("write", func(b *testing.B) { benchmarkRequest(b, wire.OpWrite, wire.File{Path: at(dir, "w")}, data) })
	b.Run("read", func(b *testing.B) { benchmarkRequest(b, wire.OpRead, wire.File{Path: at(dir, "r")}, nil) })
	b.Run("stat", func(b *testing.B) { benchmarkRequest(b, wire.OpStat, wire.File{Path: at(dir, "r")}, nil) })
}

func Benchmark1GiB(b *testing.B) {
	const size = 1 << 30
	dir := workDir(b)
	chunk := noise(wire.MaxFrame)
	send := func(c *client) {
		for range size / len(chunk) {
			if c.w.Frame(wire.KindData, chunk) != nil {
				return
			}
		}
	}
	drain := func(c *client) (n int) {
		buf := make([]byte, 1<<20)
		for {
			kind, _, err := c.r.Header()
			if err != nil {
				return n
			}
			if kind == wire.KindFailure {
				b.Fatal("failed")
			}
			for kind == wire.KindData && c.r.Left() > 0 {
				m, err := c.r.Read(buf)
				if err != nil {
					b.Fatal(err)
				}
				n += m
			}
		}
	}
	b.Run("write", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			c := start(b, wire.OpWrite, &wire.File{Path: at(dir, "f")}, user)
			send(c)
			c.w.Frame(wire.KindEnd, nil)
			c.finish().succeed(b)
		}
	})
	for name, op := range map[string]string{"read": wire.OpRead, "tarout": wire.OpTarOut} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				c := start(b, op, &wire.File{Path: at(dir, "f")}, user)
				if n := drain(c); n < size {
					b.Fatal(n)
				}
			}
		})
	}
	b.Run("tarin", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			c := start(b, wire.OpTarIn, &wire.File{Path: at(dir)}, user)
			c.w.Frame(wire.KindData, tarOf(b, tarEntry{name: "f", size: size}))
			send(c)
			c.w.Frame(wire.KindEnd, nil)
			c.finish().succeed(b)
		}
	})
}

// Appends to a file that none of them found there yet all arrive.
func TestConcurrentAppends(t *testing.T) {
	dir := workDir(t)
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			o := put(t, wire.OpWrite, wire.File{Path: at(dir, "log"), Append: true}, user, []byte("line\n"))
			if o.failure != nil {
				t.Error(o.failure)
			}
		})
	}
	wait.Wait()
	if got := contentOf(t, dir+"/log"); got != strings.Repeat("line\n", 20) {
		t.Errorf("%d bytes", len(got))
	}
}
