package pocketdock_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/fakeengine"
)

// creating is a client of an engine that can create containers, and what it
// has made on disk.
func creating(t *testing.T, podman bool) (f *faulty, boxes func() []string) {
	f = newFaulty(t, podman)
	f.AddImage("image:1", "amd64")
	f.client = &pocketdock.Client{Socket: f.Socket(), StateDir: shortDir(t)}
	return f, func() []string {
		m, _ := filepath.Glob(filepath.Join(f.client.StateDir, "c", "*"))
		return m
	}
}

// TestCreateFailsLeavingNothing: whatever fails, no container and no
// directory is left, even when the answer that there is one was lost.
func TestCreateFailsLeavingNothing(t *testing.T) {
	for _, podman := range []bool{false, true} {
		f, boxes := creating(t, podman)
		for _, tt := range []struct {
			name, route string
			fault       fakeengine.Fault
			kind        error
		}{
			{"refused", "POST /containers/create", f.Status(500, "no space left on device"), nil},
			{"image gone", "POST /containers/create", f.Status(404, "No such image: image:1"), pocketdock.ErrImageNotFound},
			{"answer lost", "POST /containers/create", fakeengine.Drop, pocketdock.ErrNoEngine},
			{"answer without an ID", "POST /containers/create", madeAndSays("{}"), pocketdock.ErrNoEngine},
			{"not started", "POST /containers/{id}/start", f.Status(500, "OCI runtime create failed"), nil},
			{"start lost", "POST /containers/{id}/start", fakeengine.Drop, pocketdock.ErrNoEngine},
		} {
			f.Fault(tt.route, tt.fault)
			err := promptly(t, tt.name, 2*time.Second, func() error {
				_, err := f.client.Create(t.Context(), "image:1", pocketdock.CreateOptions{Name: "made"})
				return err
			})
			f.Fault(tt.route, nil)
			if tt.kind != nil && !errors.Is(err, tt.kind) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.kind)
			}
			if f.Container("made") != nil {
				t.Errorf("%s: the container is left", tt.name)
			}
			if left := boxes(); len(left) > 0 {
				t.Errorf("%s: left on disk: %q", tt.name, left)
			}
		}
	}
}

// madeAndSays does what it should and answers with something else.
func madeAndSays(text string) fakeengine.Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(discard{http.Header{}}, r)
		fakeengine.Body(201, "application/json", text)(w, r, next)
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// TestCreateCancelled at each request on the way.
func TestCreateCancelled(t *testing.T) {
	f, boxes := creating(t, false)
	for _, route := range []string{"GET /images/{name}/json", "POST /containers/create", "POST /containers/{id}/start"} {
		arrived := make(chan struct{}, 10)
		f.Fault(route, f.Hang(arrived))
		cancelled(t, route, 10*time.Second, arrived, func(ctx context.Context) error {
			_, err := f.client.Create(ctx, "image:1", pocketdock.CreateOptions{Name: "made"})
			return err
		})
		f.Fault(route, nil)
		if f.Container("made") != nil || len(boxes()) > 0 {
			t.Errorf("%s: left: %+v, %q", route, f.Container("made"), boxes())
		}
	}
	// The engine runs it, and the agent does not come up.
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errEnough)
	defer cancel()
	_, err := f.client.Create(ctx, "image:1", pocketdock.CreateOptions{Name: "made"})
	if !errors.Is(err, errEnough) || f.Container("made") != nil || len(boxes()) > 0 {
		t.Errorf("waiting for the agent: %v, left: %+v, %q", err, f.Container("made"), boxes())
	}
}

// TestCreateCancelledLate: an engine makes the container although nobody wants
// it any more, and it is removed.
func TestCreateCancelledLate(t *testing.T) {
	for _, podman := range []bool{false, true} {
		f, boxes := creating(t, podman)
		arrived := make(chan struct{})
		ctx, cancel := context.WithCancelCause(t.Context())
		f.Fault("POST /containers/create", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			close(arrived)
			<-ctx.Done()
			time.Sleep(200 * time.Millisecond) // it takes its time
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(w, r)
		})
		cancelled(t, "create", 10*time.Second, arrived, func(create context.Context) error {
			defer cancel(nil)
			context.AfterFunc(create, func() { cancel(nil) })
			_, err := f.client.Create(create, "image:1", pocketdock.CreateOptions{Name: "made"})
			return err
		})
		if asked := strings.Join(f.Requests(), "\n"); !strings.Contains(asked, "DELETE /containers/") {
			t.Errorf("nothing was removed: %s", asked)
		}
		if f.Container("made") != nil || len(boxes()) > 0 {
			t.Errorf("left: %+v, %q", f.Container("made"), boxes())
		}
	}
}

// TestCreateEndsAtOnce: a container whose agent ends is reported by how it
// ended, not by a timeout.
func TestCreateEndsAtOnce(t *testing.T) {
	f, boxes := creating(t, false)
	f.Fault("POST /containers/{id}/start", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		f.End("made", "exited", 126, false)
	})
	err := promptly(t, "create", 2*time.Second, func() error {
		_, err := f.client.Create(t.Context(), "image:1", pocketdock.CreateOptions{Name: "made"})
		return err
	})
	if !errors.Is(err, pocketdock.ErrContainerNotRunning) || !strings.Contains(err.Error(), "126") {
		t.Errorf("%v", err)
	}
	if f.Container("made") != nil || len(boxes()) > 0 {
		t.Errorf("left: %+v, %q", f.Container("made"), boxes())
	}
}

// TestCreateNameInUse: the other container stays.
func TestCreateNameInUse(t *testing.T) {
	for _, podman := range []bool{false, true} {
		f, boxes := creating(t, podman)
		f.Add(fakeengine.Container{Name: "made"})
		_, err := f.client.Create(t.Context(), "image:1", pocketdock.CreateOptions{Name: "made"})
		if !errors.Is(err, pocketdock.ErrNameInUse) || f.Container("made") == nil || len(boxes()) > 0 {
			t.Errorf("podman %v: %v; the other one: %+v; on disk %q", podman, err, f.Container("made"), boxes())
		}
	}
}

// TestCreateNoAgentForArch names the architecture before anything is made.
func TestCreateNoAgentForArch(t *testing.T) {
	f, boxes := creating(t, false)
	_, err := f.client.Create(t.Context(), "test:latest", pocketdock.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "riscv64") || len(boxes()) > 0 {
		t.Errorf("%v, %q", err, boxes())
	}
}

// TestLongSocketPath: a Unix socket's address holds 107 bytes, a state
// directory may be deeper.
func TestLongSocketPath(t *testing.T) {
	deep := filepath.Join(shortDir(t), strings.Repeat("d", 120))
	if err := os.Mkdir(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	h := newHostileIn(t, "running", deep, func(path string) (net.Listener, error) {
		t.Chdir(filepath.Dir(path))
		return net.Listen("unix", filepath.Base(path))
	})
	h.answers(says(frameOf('R', map[string]any{"limits": map[string]any{}})))
	if _, err := h.box.TimeLimits(t.Context()); err != nil {
		t.Error(err)
	}
}
