package mcp

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pocketdock/pocketdock"
)

// TestSuiteSandboxes: creating, listing, describing, removing, and their limits.
func TestSuiteSandboxes(t *testing.T) {
	onOne(t, func(t *testing.T, e testEngine) {
		s := serve(t, e, Options{MaxSandboxes: 3})
		c := connect(t, s, nil)
		if text := c.do("sandbox_list", nil, nil); !strings.Contains(text, "No sandbox yet") {
			t.Errorf("%q", text)
		}
		if text := c.do("sandbox_stop", nil, nil); !strings.Contains(text, "no default") {
			t.Errorf("%q", text)
		}
		// Many first calls at once make one default sandbox.
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { c.try("run_command", args{"command": "true"}) })
		}
		wg.Wait()
		var l sandboxes
		c.do("sandbox_list", nil, &l)
		if len(l.Sandboxes) != 1 || !l.Sandboxes[0].Default || l.Sandboxes[0].Network {
			t.Fatalf("%+v", l)
		}
		first := l.Sandboxes[0].SandboxID

		var other sandboxState
		c.do("sandbox_create", args{"image": busybox, "memory_mb": 64, "cpus": 0.5, "ttl_seconds": 3600, "env": args{"WHO": "other"}}, &other)
		if other.Default || other.SandboxID == first || e.name != "rootless" && other.MemoryLimit != 64<<20 {
			t.Errorf("%+v", other)
		}
		var r ran
		c.do("run_command", args{"command": "echo $WHO", "sandbox_id": other.SandboxID, "background": false}, &r)
		if r.Stdout != "other\n" || r.SandboxID != other.SandboxID {
			t.Errorf("%+v", r)
		}
		c.do("run_command", args{"command": "sleep 100", "sandbox_id": other.SandboxID, "background": true}, &r)
		var info sandboxState
		text := c.do("sandbox_info", args{"sandbox_id": other.SandboxID}, &info)
		if len(info.Processes) != 2 || info.Processes[0].Command != "sleep 100" || !info.Processes[0].Running || info.Processes[1].Running || !strings.Contains(text, r.ProcessID) {
			t.Errorf("%s %+v", text, info)
		}
		c.do("sandbox_create", nil, nil)
		c.fails("sandbox_create", nil, "limit", "sandbox_stop")
		c.do("sandbox_stop", args{"sandbox_id": other.SandboxID}, nil)
		c.fails("sandbox_info", args{"sandbox_id": other.SandboxID}, "sandbox_list")
		c.fails("sandbox_stop", args{"sandbox_id": other.SandboxID}, "sandbox_list")
		c.fails("sandbox_create", args{"image": "no-such/image"}, "no-such/image")
		c.fails("sandbox_create", args{"profile": "no-such"}, "pocketdock build no-such")
		c.fails("sandbox_create", args{"profile": "agent", "image": busybox}, "only one")
		c.fails("sandbox_create", args{"network": true}, "--allow-network")
		c.fails("sandbox_create", args{"memory_mb": 1}, "memory_mb")
		c.fails("sandbox_create", args{"env": args{"": "x"}})

		// One that ends by itself, or from outside, is said so, and replaced.
		box, err := e.client.Get(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		if err := box.Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.fails("run_command", args{"command": "true"}, "has ended", "makes a new one")
		c.do("run_command", args{"command": "true"}, &r)
		if r.SandboxID == first {
			t.Error("the sandbox that is gone was used")
		}
		c.do("sandbox_stop", nil, nil)
		c.do("run_command", args{"command": "true"}, nil)
	})
}

// TestSuiteSnapshot: an image of a sandbox's files, under a name that can be
// no other image's.
func TestSuiteSnapshot(t *testing.T) {
	onOne(t, func(t *testing.T, e testEngine) {
		c := connect(t, serve(t, e, Options{}), nil)
		c.do("file_write", args{"path": "/root/kept", "content": "kept"}, nil)
		name := strings.ToLower(testProject) + "-snap"
		var m snapshotMade
		c.do("snapshot", args{"name": name}, &m)
		t.Cleanup(func() {
			if err := e.client.RemoveImage(context.Background(), m.Image); err != nil {
				t.Error(err)
			}
		})
		if !strings.HasPrefix(m.Image, snapshotPrefix) {
			t.Errorf("%+v", m)
		}
		c.fails("snapshot", args{"name": name}, "already")
		for _, bad := range []string{"", "UPPER", "a/b", "a:b", "../x", strings.Repeat("x", 101), "a--", "debian:bookworm-slim"} {
			c.fails("snapshot", args{"name": bad})
		}
		var st sandboxState
		c.do("sandbox_create", args{"image": m.Image}, &st)
		if text := c.do("file_read", args{"path": "/root/kept", "sandbox_id": st.SandboxID}, nil); text != "kept" {
			t.Errorf("%q", text)
		}
		c.do("sandbox_stop", args{"sandbox_id": st.SandboxID}, nil)
	})
}

// TestSuiteSessions: sessions do not see each other's sandboxes, and each one's
// go with it.
func TestSuiteSessions(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		s := serve(t, e, Options{})
		a, b := connect(t, s, nil), connect(t, s, nil)
		var ra, rb ran
		a.do("run_command", args{"command": "echo a >/tmp/mine"}, &ra)
		b.do("run_command", args{"command": "test ! -e /tmp/mine; sleep 300", "background": true}, &rb)
		if ra.SandboxID == rb.SandboxID {
			t.Fatal("two sessions have one sandbox")
		}
		a.fails("run_command", args{"command": "true", "sandbox_id": rb.SandboxID}, "no sandbox")
		a.fails("sandbox_stop", args{"sandbox_id": rb.SandboxID}, "no sandbox")
		if _, err := a.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "sandbox://" + rb.SandboxID + "/files/etc/passwd"}); err == nil {
			t.Error("another session's file was read")
		}
		var l sandboxes
		a.do("sandbox_list", nil, &l)
		if len(l.Sandboxes) != 1 || l.Sandboxes[0].SandboxID != ra.SandboxID {
			t.Errorf("%+v", l)
		}
		b.Close()
		eventually(t, time.Minute, "the sandbox of the session that ended is gone", func() bool { return !slices.Contains(sandboxesOf(t, e), rb.SandboxID) })
		a.do("run_command", args{"command": "cat /tmp/mine"}, nil)
		// The rest goes with the server, also in the middle of a call.
		done := make(chan bool)
		go func() {
			defer close(done)
			_, _ = a.CallTool(context.Background(), &sdk.CallToolParams{Name: "run_command", Arguments: args{"command": "touch /tmp/begun; sleep 300"}})
		}()
		box, err := e.client.Get(t.Context(), ra.SandboxID)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "the call is under way", func() bool {
			ok, err := box.Exists(t.Context(), "/tmp/begun")
			return ok && err == nil
		})
		begun := time.Now()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-done
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("closing waited %v for a call", took)
		}
		if slices.Contains(sandboxesOf(t, e), ra.SandboxID) {
			t.Error("a sandbox outlived the server")
		}
	})
}

// TestSuiteLease: a sandbox lives as long as its session, and ends by itself,
// with what runs in it, when nobody keeps it alive any more.
func TestSuiteLease(t *testing.T) {
	t.Parallel()
	onOne(t, func(t *testing.T, e testEngine) {
		s := serve(t, e, Options{})
		s.lease = 6 * time.Second
		c := connect(t, s, nil)
		var r ran
		c.do("run_command", args{"command": "sleep 300", "background": true}, &r)
		box, err := e.client.Get(t.Context(), r.SandboxID)
		if err != nil {
			t.Fatal(err)
		}
		limit := func() time.Duration {
			l, err := box.TimeLimits(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return l.TTL
		}
		eventually(t, 30*time.Second, "its life is prolonged", func() bool { return limit() > 9*time.Second })
		// As if this program had been killed.
		s.mu.Lock()
		for _, sess := range s.sessions {
			for _, b := range sess.list() {
				b.release()
			}
		}
		s.mu.Unlock()
		eventually(t, time.Minute, "it has ended", func() bool { return !slices.Contains(sandboxesOf(t, e), r.SandboxID) })
		c.fails("run_command", args{"command": "true", "sandbox_id": r.SandboxID}, "has ended")
	})
}

// TestLease: how long a sandbox may live.
func TestLease(t *testing.T) {
	s := &Server{lease: time.Minute}
	for _, tc := range []struct{ age, ttl, want time.Duration }{
		{0, 0, time.Minute}, {time.Hour, 0, 61 * time.Minute}, {0, 30 * time.Second, 30 * time.Second},
		{0, time.Hour, time.Minute}, {59*time.Minute + 30*time.Second, time.Hour, time.Hour}, {2 * time.Hour, time.Hour, time.Hour},
	} {
		if got := s.leaseFor(tc.age, tc.ttl); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

// TestSuiteTransfer: between the host and a sandbox, only inside of directories
// that were allowed.
func TestSuiteTransfer(t *testing.T) {
	onOne(t, func(t *testing.T, e testEngine) {
		dir, ro, outside := t.TempDir(), t.TempDir(), t.TempDir()
		write := func(name, text string) {
			t.Helper()
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		write(filepath.Join(dir, "in/a.txt"), "a")
		write(filepath.Join(dir, "in/sub/b.txt"), "bb")
		write(filepath.Join(ro, "c.txt"), "c")
		write(filepath.Join(outside, "secret"), "secret")
		for name, target := range map[string]string{"in/link": "a.txt", "out": outside, "secret": filepath.Join(outside, "secret"), "up": "../"} {
			if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		s := serve(t, e, Options{Directories: []Directory{{Path: dir}, {Path: ro, ReadOnly: true}}})
		c := connect(t, s, nil)
		var tr transferred
		text := c.do("upload", args{"host_path": filepath.Join(dir, "in"), "sandbox_path": "/tmp/in"}, &tr)
		if tr.Files != 2 || tr.Bytes != 3 || tr.SkippedAll != 1 || tr.Skipped[0] != "link" || !strings.Contains(text, "Left out") {
			t.Errorf("%s %+v", text, tr)
		}
		c.do("upload", args{"host_path": "in/a.txt", "sandbox_path": "/tmp/one"}, nil)
		c.do("upload", args{"host_path": filepath.Join(ro, "c.txt"), "sandbox_path": "/tmp/c"}, nil)
		var r ran
		c.do("run_command", args{"command": "cat /tmp/in/a.txt /tmp/in/sub/b.txt /tmp/one /tmp/c"}, &r)
		if r.Stdout != "abbac" {
			t.Errorf("%q", r.Stdout)
		}
		for _, bad := range []string{filepath.Join(outside, "secret"), "/etc/passwd", "../x", filepath.Join(dir, "..", "x"), "secret", "out/secret", "up/x", "", "nothing", dir + "x"} {
			c.fails("upload", args{"host_path": bad, "sandbox_path": "/tmp/bad"})
		}
		if ok, _ := boxOf(t, e, r.SandboxID).Exists(t.Context(), "/tmp/bad"); ok {
			t.Error("a refused upload left something")
		}

		c.do("run_command", args{"command": "mkdir -p /tmp/o/d; cd /tmp/o; echo x >x; echo y >d/y; chmod 4777 x; ln -s /etc/passwd l; mkfifo f"}, nil)
		c.do("download", args{"sandbox_path": "/tmp/o", "host_path": "got/here"}, &tr)
		if tr.Files != 2 || tr.SkippedAll != 2 {
			t.Errorf("%+v", tr)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "got/here/d/y")); err != nil || string(b) != "y\n" {
			t.Errorf("%q, %v", b, err)
		}
		if fi, err := os.Stat(filepath.Join(dir, "got/here/x")); err != nil || fi.Mode()&^0o755 != 0 {
			t.Errorf("%v, %v", fi.Mode(), err)
		}
		c.fails("download", args{"sandbox_path": "/tmp/o/x", "host_path": "got/here/x"}, "overwrite")
		c.do("download", args{"sandbox_path": "/tmp/o/d/y", "host_path": "got/here/x", "overwrite": true}, nil)
		if b, _ := os.ReadFile(filepath.Join(dir, "got/here/x")); string(b) != "y\n" {
			t.Errorf("%q", b)
		}
		for _, bad := range []string{filepath.Join(outside, "x"), "out/x", "../x", filepath.Join(ro, "x"), "got", "/x", ""} {
			c.fails("download", args{"sandbox_path": "/tmp/o/x", "host_path": bad, "overwrite": true})
		}
		// A link in the place of a file is replaced, and not followed.
		c.do("download", args{"sandbox_path": "/tmp/o/x", "host_path": "secret", "overwrite": true}, nil)
		c.fails("download", args{"sandbox_path": "/tmp/no-such", "host_path": "z"}, "/tmp/no-such")
		if b, err := os.ReadFile(filepath.Join(outside, "secret")); err != nil || string(b) != "secret" {
			t.Errorf("outside: %q, %v", b, err)
		}
		if left, _ := os.ReadDir(outside); len(left) != 1 {
			t.Errorf("outside: %v", left)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*", "*", ".pocketdock-*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func boxOf(t *testing.T, e testEngine, id string) *pocketdock.Container {
	t.Helper()
	box, err := e.client.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// TestSuiteResources: files and output by their URIs.
func TestSuiteResources(t *testing.T) {
	onOne(t, func(t *testing.T, e testEngine) {
		c := connect(t, serve(t, e, Options{}), nil)
		list, err := c.ListResourceTemplates(t.Context(), nil)
		if err != nil || len(list.ResourceTemplates) != 2 {
			t.Fatalf("%v, %v", list, err)
		}
		read := func(uri string) (*sdk.ResourceContents, error) {
			res, err := c.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri})
			if err != nil {
				return nil, err
			}
			return res.Contents[0], nil
		}
		if _, err := read("sandbox://default/files/etc/passwd"); err == nil {
			t.Error("there was a default sandbox before any call")
		}
		var r ran
		c.do("run_command", args{"command": "echo out; echo err >&2; printf 'a b' >'/tmp/a b'; printf '\\377' >/tmp/bin; exec sleep 300", "background": true}, &r)
		for uri, want := range map[string]string{
			"sandbox://default/files/tmp/a%20b":                                  "a b",
			"sandbox://" + r.SandboxID + "/files/tmp/a%20b":                      "a b",
			"sandbox://default/processes/" + r.ProcessID + "/stdout":             "out\n",
			"sandbox://" + r.SandboxID + "/processes/" + r.ProcessID + "/stderr": "err\n",
		} {
			if got, err := read(uri); err != nil || got.Text != want {
				t.Errorf("%s: %+v, %v", uri, got, err)
			}
		}
		if got, err := read("sandbox://default/files/tmp/bin"); err != nil || string(got.Blob) != "\xff" {
			t.Errorf("%+v, %v", got, err)
		}
		for _, bad := range []string{"sandbox://default/files/no/such", "sandbox://nobody/files/etc/passwd", "sandbox://default/processes/p99/stdout",
			"sandbox://default/processes/" + r.ProcessID + "/stdlog", "file:///etc/passwd", "sandbox://default/files/tmp"} {
			if got, err := read(bad); err == nil {
				t.Errorf("%s: %+v", bad, got)
			}
		}
	})
}
