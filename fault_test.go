package pocketdock_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/fakeengine"
)

// The fault tests run the library against internal/fakeengine, a server that
// answers like Docker or Podman and fails as it is told to.

// faulty is a fake engine with a client, and a running container on it that
// somebody else made and that no agent can be put into.
type faulty struct {
	*fakeengine.Engine
	client *pocketdock.Client
	box    *pocketdock.Container
}

// onFakes runs a test on both kinds of engine. Afterwards no connection and
// no goroutine may be left.
func onFakes(t *testing.T, test func(t *testing.T, f *faulty)) {
	for _, podman := range []bool{false, true} {
		name := "docker"
		if podman {
			name = "podman"
		}
		t.Run(name, func(t *testing.T) { test(t, newFaulty(t, podman)) })
	}
}

func newFaulty(t *testing.T, podman bool) *faulty {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	f := &faulty{Engine: fakeengine.Start(t, podman)}
	t.Cleanup(func() {
		eventually(t, 5*time.Second, "all connections are closed", func() bool { return f.Connections() == 0 })
	})
	f.client = &pocketdock.Client{Socket: f.Socket(), StateDir: shortDir(t)}
	f.AddImage("test:latest", "riscv64") // for which there is no agent
	f.box = f.get(t, f.Add(fakeengine.Container{ReadOnly: true}))
	if _, err := f.box.Run(t.Context(), pocketdock.Argv("true")); err != nil {
		t.Fatal(err)
	}
	return f
}

// shortDir is a temporary directory with room in a socket's path.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (f *faulty) get(t *testing.T, ref string) *pocketdock.Container {
	t.Helper()
	box, err := f.client.Get(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// A faultOp is an operation of the library and a route that it needs.
type faultOp struct {
	name  string
	route string
	do    func(ctx context.Context, f *faulty) error
}

func run(ctx context.Context, f *faulty) error {
	_, err := f.box.Run(ctx, pocketdock.Argv("echo", "x"))
	return err
}

var faultOps = []faultOp{
	{"connect", "GET /version", func(ctx context.Context, f *faulty) error {
		_, err := (&pocketdock.Client{Socket: f.Socket()}).Engine(ctx)
		return err
	}},
	{"get", "GET /containers/{id}/json", func(ctx context.Context, f *faulty) error {
		_, err := f.client.Get(ctx, f.box.ID())
		return err
	}},
	{"info", "GET /containers/{id}/json", func(ctx context.Context, f *faulty) error {
		_, err := f.box.Info(ctx)
		return err
	}},
	{"list", "GET /containers/json", func(ctx context.Context, f *faulty) error {
		_, err := f.client.List(ctx, pocketdock.ListOptions{})
		return err
	}},
	{"run: create exec", "POST /containers/{id}/exec", run},
	{"run: start exec", "POST /exec/{id}/start", run},
	{"run: inspect exec", "GET /exec/{id}/json", run},
	{"stop", "POST /containers/{id}/stop", func(ctx context.Context, f *faulty) error { return f.box.Stop(ctx) }},
	{"resume", "POST /containers/{id}/start", func(ctx context.Context, f *faulty) error { return f.box.Resume(ctx) }},
	{"destroy", "DELETE /containers/{id}", func(ctx context.Context, f *faulty) error { return f.box.Destroy(ctx) }},
	{"snapshot", "POST /commit", func(ctx context.Context, f *faulty) error {
		_, err := f.box.Snapshot(ctx, "snap:1", pocketdock.SnapshotOptions{})
		return err
	}},
	{"stat", "HEAD /containers/{id}/archive", func(ctx context.Context, f *faulty) error {
		_, err := f.box.Stat(ctx, "/file", pocketdock.FileOptions{})
		return err
	}},
	{"read file", "GET /containers/{id}/archive", func(ctx context.Context, f *faulty) error {
		_, err := f.box.ReadFile(ctx, "/file")
		return err
	}},
	{"write file", "PUT /containers/{id}/archive", func(ctx context.Context, f *faulty) error {
		return f.box.WriteFile(ctx, "/file", []byte("x"), pocketdock.FileOptions{})
	}},
	{"image", "GET /images/{name}/json", func(ctx context.Context, f *faulty) error {
		_, err := f.client.Image(ctx, "test:latest")
		return err
	}},
	{"tag", "POST /images/{name}/tag", func(ctx context.Context, f *faulty) error { return f.client.Tag(ctx, "test:latest", "other:1") }},
	{"remove image", "DELETE /images/{name}", func(ctx context.Context, f *faulty) error { return f.client.RemoveImage(ctx, "test:latest") }},
	{"save", "GET /images/get", func(ctx context.Context, f *faulty) error {
		return f.client.SaveImages(ctx, io.Discard, "test:latest")
	}},
	{"load", "POST /images/load", func(ctx context.Context, f *faulty) error {
		return f.client.LoadImages(ctx, strings.NewReader("other:1\n"))
	}},
	{"build", "POST /build", func(ctx context.Context, f *faulty) error {
		for _, err := range f.client.Build(ctx, bytes.NewReader(make([]byte, 1024)), pocketdock.BuildOptions{Tag: "built:1"}) {
			if err != nil {
				return err
			}
		}
		return nil
	}},
}

// with performs the operation while its route fails.
func (op faultOp) with(ctx context.Context, f *faulty, fault fakeengine.Fault) error {
	f.WriteFile(f.box.ID(), "/file", []byte("content"))
	f.Fault(op.route, fault)
	defer f.Fault(op.route, nil)
	return op.do(ctx, f)
}

// maxErrorText is how much an error may say, in bytes: an engine's 2 KiB and
// what we were doing.
const maxErrorText = 3 << 10

// promptly performs an operation that must fail, soon and in few words.
func promptly(t *testing.T, name string, within time.Duration, do func() error) error {
	t.Helper()
	begun := time.Now()
	err := do()
	// Several suites run at once on a machine of two cores.
	if took := time.Since(begun); took > 10*within {
		t.Errorf("%s: took %v, want at most %v", name, took, 10*within)
	}
	if err == nil {
		t.Errorf("%s: no error", name)
		return errors.New("no error")
	}
	if n := len(err.Error()); n > maxErrorText {
		t.Errorf("%s: an error of %d bytes", name, n)
	}
	return err
}

// TestFakeServes shows that every operation works when nothing fails: a row
// of the tests below fails for its fault only.
func TestFakeServes(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		pass := func(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) }
		for _, op := range faultOps {
			f := newFaulty(t, f.Podman)
			if op.name == "write file" {
				continue // a read-only root is what the others need
			}
			before := len(f.Requests())
			if err := op.with(t.Context(), f, pass); err != nil {
				t.Errorf("%s: %v", op.name, err)
			}
			asked := strings.Join(f.Requests()[before:], "\n")
			if !strings.Contains(asked, op.route) {
				t.Errorf("%s did not need %s, but\n%s", op.name, op.route, asked)
			}
		}
	})
}
