package pocketdock_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// TestSuiteFiles goes through every operation on files.
func TestSuiteFiles(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		ctx := t.Context()
		dir := "/tmp/files"
		if err := box.Mkdir(ctx, dir, pocketdock.FileOptions{Mode: 0o750}); err != nil {
			t.Fatal(err)
		}
		name := dir + "/new\nline \xff"
		data := bytes.Repeat([]byte("data\x00"), 1000)
		when := time.Unix(1_600_000_000, 123_456_789)
		if err := box.WriteFile(ctx, name, data, pocketdock.FileOptions{Mode: 0o640, ModTime: when}); err != nil {
			t.Fatal(err)
		}
		got, err := box.ReadFile(ctx, name)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		st, err := box.Stat(ctx, name, pocketdock.FileOptions{})
		if err != nil || st.Size != int64(len(data)) || st.Mode != 0o640 || !st.ModTime.Equal(when) || st.UID != 0 {
			t.Errorf("%+v, %v", st, err)
		}
		_, r, err := box.OpenFile(ctx, name, pocketdock.ReadOptions{Offset: -7, Length: 4})
		if err != nil {
			t.Fatal(err)
		}
		if part, err := io.ReadAll(r); err != nil || string(part) != string(data[len(data)-7:len(data)-3]) {
			t.Errorf("range %q, %v", part, err)
		}
		r.Close()
		if err := box.Symlink(ctx, "new", dir+"/link", pocketdock.FileOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := box.Move(ctx, name, dir+"/moved", pocketdock.FileOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := box.WriteFile(ctx, dir+"/a/b/deep", nil, pocketdock.FileOptions{}); err != nil {
			t.Fatal(err)
		}
		list, err := box.ListFiles(ctx, dir, pocketdock.FilesOptions{Depth: -1})
		var names []string
		for _, f := range list {
			names = append(names, f.Path)
		}
		if err != nil || !slices.Equal(names, []string{"a", "a/b", "a/b/deep", "link", "moved"}) {
			t.Errorf("list %q, %v", names, err)
		}
		if list, err := box.ListFiles(ctx, dir, pocketdock.FilesOptions{Glob: "m*"}); err != nil || len(list) != 1 || list[0].Path != "moved" {
			t.Errorf("glob %v, %v", list, err)
		}
		if ok, err := box.Exists(ctx, name); ok || err != nil {
			t.Errorf("moved away: %v, %v", ok, err)
		}
		if err := box.Remove(ctx, dir, pocketdock.FileOptions{}); err != nil {
			t.Fatal(err)
		}
		_, err = box.ReadFile(ctx, dir+"/moved")
		if fe, ok := errors.AsType[*pocketdock.FileError](err); !errors.Is(err, pocketdock.ErrFileNotFound) || !ok || fe.Path != dir+"/moved" {
			t.Errorf("removed: %v", err)
		}
	})
}

// TestSuiteFilesAsTheUser: files are the sandbox's user's, and it may not do
// what it may not do.
func TestSuiteFilesAsTheUser(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := create(t, e, python, pocketdock.CreateOptions{})
		ctx := t.Context()
		if err := box.WriteFile(ctx, "/home/sandbox/f", []byte("x"), pocketdock.FileOptions{}); err != nil {
			t.Fatal(err)
		}
		if st, err := box.Stat(ctx, "f", pocketdock.FileOptions{}); err != nil || st.UID != 1000 || st.GID != 1000 {
			t.Errorf("%+v, %v", st, err)
		}
		for _, p := range []string{"/etc/new", "/root/new"} {
			err := box.WriteFile(ctx, p, []byte("x"), pocketdock.FileOptions{})
			if !errors.Is(err, pocketdock.ErrPermission) || !strings.Contains(err.Error(), p) {
				t.Errorf("%s: %v", p, err)
			}
		}
		if _, err := box.ReadFile(ctx, "/etc/shadow"); !errors.Is(err, pocketdock.ErrPermission) {
			t.Errorf("/etc/shadow: %v", err)
		}
		if err := box.WriteFile(ctx, "/etc/new", []byte("x"), pocketdock.FileOptions{User: "root"}); err != nil {
			t.Errorf("as root: %v", err)
		}
	})
}

func TestSuiteWatch(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		if err := box.Mkdir(t.Context(), "/tmp/watched", pocketdock.FileOptions{}); err != nil {
			t.Fatal(err)
		}
		enough := errors.New("seen")
		err := box.Watch(t.Context(), "/tmp/watched", pocketdock.WatchOptions{Ready: func() {
			go box.WriteFile(t.Context(), "/tmp/watched/f", []byte("x"), pocketdock.FileOptions{})
		}}, func(ev pocketdock.FileEvent) error {
			if ev.Path == "f" {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Errorf("got %v", err)
		}
	})
}

// TestSuiteDial reaches a port of a sandbox without a network.
func TestSuiteDial(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		p, err := box.Start(t.Context(), pocketdock.Shell("exec nc -l -p 7071 -e sh -c 'read x; echo you said $x'"))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Kill(t.Context(), 0)
		eventually(t, 10*time.Second, "the port is listed", func() bool {
			ports, err := box.ListeningPorts(t.Context())
			return err == nil && slices.ContainsFunc(ports, func(p pocketdock.ListeningPort) bool { return p.Port == 7071 })
		})
		conn, err := box.Dial(t.Context(), "tcp", "127.0.0.1:7071")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintln(conn, "hello")
		if b, err := io.ReadAll(conn); err != nil || string(b) != "you said hello\n" {
			t.Errorf("%q, %v", b, err)
		}
		if _, err := box.Dial(t.Context(), "tcp", "127.0.0.1:7072"); err == nil || !strings.Contains(err.Error(), "7072") {
			t.Errorf("nothing listens: %v", err)
		}
	})
}

// TestSuiteTTL: the sandbox ends by itself, and an ephemeral one is removed
// by the engine.
func TestSuiteTTL(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		for name, o := range map[string]pocketdock.CreateOptions{
			"ttl":  {TTL: 2 * time.Second},
			"idle": {IdleTimeout: time.Second},
		} {
			t.Run(name, func(t *testing.T) {
				box := create(t, e, busybox, o)
				l, err := box.TimeLimits(t.Context())
				if err != nil || l.TTL != o.TTL || l.Idle != o.IdleTimeout {
					t.Errorf("%+v, %v", l, err)
				}
				eventually(t, 30*time.Second, "it is gone", func() bool {
					_, err := e.client.Get(t.Context(), box.ID())
					return errors.Is(err, pocketdock.ErrContainerNotFound)
				})
			})
		}
		t.Run("changed", func(t *testing.T) {
			box := create(t, e, busybox, pocketdock.CreateOptions{TTL: time.Hour})
			if err := box.SetTimeLimits(t.Context(), pocketdock.TimeLimits{Idle: 300 * time.Millisecond}); err != nil {
				t.Fatal(err)
			}
			eventually(t, 30*time.Second, "it is gone", func() bool {
				_, err := e.client.Get(t.Context(), box.ID())
				return errors.Is(err, pocketdock.ErrContainerNotFound)
			})
		})
	})
}

// TestSuiteAgentIsClosedInside: code in the sandbox, as its user and as root,
// cannot use the agent, read its memory or its environment, or end it.
func TestSuiteAgentIsClosedInside(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		for _, way := range e.ways(socketWay, bridgeWay) {
			box := ownBox(t, e, way, python)
			for _, user := range []string{"sandbox", "root"} {
				t.Run(way+"/"+user, func(t *testing.T) {
					if user == "root" {
						e.lacks(t, "a PID 1 that root of the sandbox cannot kill")
					}
					cmd := pocketdock.Code("python", insider)
					cmd.User = user
					res, err := box.Run(t.Context(), cmd)
					if err != nil || !res.OK() {
						t.Fatalf("%+v, %v", res, err)
					}
					if out := string(res.Stdout); !strings.HasSuffix(out, "refused everywhere\n") {
						t.Errorf("%s%s", out, res.Stderr)
					}
					mustRun(t, box, pocketdock.Argv("true"))
				})
			}
		}
	})
}

// insider tries to reach the agent from inside the sandbox.
const insider = `
import socket, json, os, struct, signal, sys
bad = []
request = json.dumps({"v": 1, "op": "run", "start": {"argv": ["/bin/id"], "user": "0", "caps": ["ALL"]}}).encode()
frame = lambda kind, b: kind + struct.pack(">I", len(b)) + b
for attempt in [frame(b"Q", request), frame(b"A", b"x" * 64) + frame(b"Q", request), b""]:
    try:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect("/.pocketdock/io/s")
        s.sendall(attempt)
        s.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            b = s.recv(65536)
            if not b: break
            got += b
        if b"uid=" in got or got[:1] in (b"S", b"R", b"X"): bad.append(("socket", got))
    except OSError as e:
        pass
for p in ["/proc/1/mem", "/proc/1/environ"]:
    try:
        with open(p, "rb") as f:
            f.seek(0x400000) if p.endswith("mem") else None
            if f.read(10): bad.append(p)
    except OSError: pass
for sig in (signal.SIGKILL, signal.SIGSTOP):
    try: os.kill(1, sig)
    except OSError: pass
try:
    with open("/.pocketdock/agent", "ab") as f: f.write(b"x")
    bad.append("the program can be written")
except OSError: pass
print(bad if bad else "refused everywhere")
`

// TestSuiteFullDisk: the agent answers when nothing can be written.
func TestSuiteFullDisk(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := create(t, e, busybox, pocketdock.CreateOptions{Tmpfs: map[string]int64{"/small": 256 << 10}})
		big := bytes.Repeat([]byte("x"), 1<<20)
		if err := box.WriteFile(t.Context(), "/small/f", []byte("old"), pocketdock.FileOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := box.WriteFile(t.Context(), "/small/f", big, pocketdock.FileOptions{}); err == nil || !strings.Contains(err.Error(), "/small/f") {
			t.Errorf("got %v", err)
		}
		// What was there is still there, and nothing half.
		if b, err := box.ReadFile(t.Context(), "/small/f"); err != nil || string(b) != "old" {
			t.Errorf("%q, %v", b, err)
		}
		if list, err := box.ListFiles(t.Context(), "/small", pocketdock.FilesOptions{}); err != nil || len(list) != 1 {
			t.Errorf("%v, %v", list, err)
		}
	})
}
