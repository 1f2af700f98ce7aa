//go:build linux

package fileops

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// user is the sandbox's user of these tests, root the agent itself.
var (
	user = Identity{UID: 1000, GID: 1000, Groups: []uint32{1000, 2000}}
	root = Identity{Root: true}
)

// deadline bounds whatever a test waits for.
const deadline = 30 * time.Second

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, as the agent has")
	}
}

// workDir is a directory of the sandbox's user.
func workDir(t testing.TB) string {
	t.Helper()
	needRoot(t)
	dir, err := os.MkdirTemp("", "fileops")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, int(user.UID), int(user.GID)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A client is the other end of one operation.
type client struct {
	t    testing.TB
	conn *net.UnixConn
	r    *wire.Reader
	w    *wire.Writer
	done chan error // what Serve returned
}

func socketPair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c.(*net.UnixConn)
		t.Cleanup(func() { c.Close() })
	}
	return conns[0], conns[1]
}

// start begins an operation.
func start(t testing.TB, op string, f *wire.File, id Identity) *client {
	t.Helper()
	ours, theirs := socketPair(t)
	ours.SetDeadline(time.Now().Add(deadline))
	c := &client{t: t, conn: ours, r: wire.NewReader(ours), w: wire.NewWriter(ours), done: make(chan error, 1)}
	go func() {
		err := Serve(op, f, "/", id, wire.NewReader(theirs), wire.NewWriter(theirs))
		theirs.Close()
		c.done <- err
	}()
	return c
}

// send sends content and its end. A failure to do so is the server's to explain.
func (c *client) send(data []byte) {
	for len(data) > 0 {
		n := min(len(data), wire.MaxFrame)
		if c.w.Frame(wire.KindData, data[:n]) != nil {
			return
		}
		data = data[n:]
	}
	c.w.Frame(wire.KindEnd, nil)
}

// An outcome is all that an operation answered.
type outcome struct {
	reply   *wire.Reply
	failure *wire.Error
	entries []wire.Entry
	data    []byte
	ended   bool
}

// finish reads until the server closes.
func (c *client) finish() outcome {
	c.t.Helper()
	var o outcome
	for {
		kind, _, err := c.r.Header()
		// What was sent and not read resets a connection after the failure
		// that made it so.
		if err == io.EOF || o.failure != nil && errors.Is(err, unix.ECONNRESET) {
			break
		}
		if err != nil {
			c.t.Fatal(err)
		}
		switch kind {
		case wire.KindReply:
			o.reply = new(wire.Reply)
			err = c.r.JSON(o.reply)
		case wire.KindFailure:
			o.failure = new(wire.Error)
			err = c.r.JSON(o.failure)
		case wire.KindEntry:
			var e wire.Entry
			err = c.r.JSON(&e)
			o.entries = append(o.entries, e)
		case wire.KindData:
			var p []byte
			p, err = c.r.Payload()
			o.data = append(o.data, p...)
		case wire.KindEnd:
			o.ended = true
		default:
			c.t.Fatalf("unexpected frame %q", byte(kind))
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	c.conn.Close()
	if err := <-c.done; err != nil {
		c.t.Fatalf("Serve: %v", err)
	}
	return o
}

// do runs an operation that takes no content.
func do(t testing.TB, op string, f wire.File, id Identity) outcome {
	t.Helper()
	return start(t, op, &f, id).finish()
}

// put runs one that takes content.
func put(t testing.TB, op string, f wire.File, id Identity, data []byte) outcome {
	t.Helper()
	c := start(t, op, &f, id)
	sent := make(chan struct{})
	go func() { c.send(data); close(sent) }()
	o := c.finish()
	<-sent
	return o
}

// succeed fails the test unless the operation ended with a reply.
func (o outcome) succeed(t testing.TB) outcome {
	t.Helper()
	if o.failure != nil {
		t.Fatalf("failed: %+v", *o.failure)
	}
	if o.reply == nil {
		t.Fatal("no reply")
	}
	return o
}

// fail fails the test unless the operation failed with this code and named path.
func (o outcome) fail(t testing.TB, code, path string) outcome {
	t.Helper()
	if o.failure == nil {
		t.Fatalf("succeeded, want %s", code)
	}
	if o.failure.Code != code {
		t.Fatalf("failed with %q (%s), want %q", o.failure.Code, o.failure.Message, code)
	}
	if string(o.failure.Path) != path {
		t.Fatalf("failure names %q (%s), want %q", o.failure.Path, o.failure.Message, path)
	}
	return o
}

func at(elem ...string) wire.Path { return wire.Path(filepath.Join(elem...)) }

func mode(m uint32) *uint32 { return &m }

// must0 and must end the test at an error of its preparation.
func must0(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func contentOf(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must0(t, err)
	return string(b)
}

func statOf(t testing.TB, path string) *unix.Stat_t {
	t.Helper()
	st, err := lstat(path)
	must0(t, err)
	return st
}

// names are those in a directory, to see that nothing was left behind.
func namesIn(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must0(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// eventually polls until ok, without a fixed wait.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in %v: %s", deadline, what)
		}
	}
}

func TestServeRefusesNonsense(t *testing.T) {
	for name, test := range map[string]struct {
		op   string
		file *wire.File
		code string
	}{
		"no file":           {wire.OpStat, nil, wire.CodeInvalid},
		"watch of no file":  {wire.OpWatch, nil, wire.CodeInvalid},
		"unknown operation": {"transmogrify", &wire.File{Path: "/"}, wire.CodeUnsupported},
		"empty path":        {wire.OpStat, &wire.File{}, wire.CodeInvalid},
		"zero byte":         {wire.OpStat, &wire.File{Path: "/a\x00b"}, wire.CodeInvalid},
		"long name":         {wire.OpStat, &wire.File{Path: at("/", string(make256()))}, wire.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			o := start(t, test.op, test.file, root).finish()
			if o.failure == nil || o.failure.Code != test.code {
				t.Fatalf("got %+v, want code %s", o.failure, test.code)
			}
		})
	}
}

func make256() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = 'x'
	}
	return b
}

// A connection that breaks while content is expected is the caller's error,
// not an answer.
func TestServeReportsALostConnection(t *testing.T) {
	dir := workDir(t)
	c := start(t, wire.OpWrite, &wire.File{Path: at(dir, "f")}, user)
	must0(t, c.w.Frame(wire.KindData, []byte("half")))
	c.conn.Close()
	if err := <-c.done; !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, unix.ECONNRESET) {
		t.Fatalf("Serve returned %v", err)
	}
	if left := namesIn(t, dir); len(left) != 0 {
		t.Fatalf("left behind: %q", left)
	}
}

func TestRelativePathsStartAtTheDirectory(t *testing.T) {
	dir := workDir(t)
	must0(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o644))
	ours, theirs := socketPair(t)
	go func() {
		Serve(wire.OpStat, &wire.File{Path: "f"}, dir, user, wire.NewReader(theirs), wire.NewWriter(theirs))
		theirs.Close()
	}()
	r := wire.NewReader(ours)
	kind, _, err := r.Header()
	if err != nil || kind != wire.KindReply {
		t.Fatalf("got %q, %v", byte(kind), err)
	}
}
