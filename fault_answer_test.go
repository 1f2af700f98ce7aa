package pocketdock_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/fakeengine"
)

// notAbout fails if an error says something about the container or image that
// nobody said.
func notAbout(t *testing.T, name string, err error) {
	t.Helper()
	for _, kind := range []error{pocketdock.ErrContainerGone, pocketdock.ErrContainerNotFound, pocketdock.ErrContainerNotRunning,
		pocketdock.ErrImageNotFound, pocketdock.ErrFileNotFound, pocketdock.ErrCommandNotFound, pocketdock.ErrNameInUse} {
		if errors.Is(err, kind) {
			t.Errorf("%s: %v is taken for %q", name, err, kind)
		}
	}
}

// TestEngineFails: the engine's own words come through, as an EngineError
// that names the operation and the status.
func TestEngineFails(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		for _, op := range faultOps {
			err := promptly(t, op.name, time.Second, func() error {
				return op.with(t.Context(), f, f.Status(500, "the disk has melted"))
			})
			notAbout(t, op.name, err)
			if op.name == "connect" {
				if !errors.Is(err, pocketdock.ErrNoEngine) || !strings.Contains(err.Error(), "the disk has melted") {
					t.Errorf("%s: %v", op.name, err)
				}
				continue
			}
			ee, ok := errors.AsType[*pocketdock.EngineError](err)
			if !ok || ee.Status != 500 || errors.Is(err, pocketdock.ErrNoEngine) {
				t.Errorf("%s: %v (%T), want an EngineError of status 500", op.name, err, err)
				continue
			}
			// The answer to a HEAD has no body.
			if op.name != "stat" && ee.Message != "the disk has melted" {
				t.Errorf("%s: the engine's words are lost: %v", op.name, err)
			}
		}
	})
}

// TestWebPage: what a proxy in front of the engine says is bounded, shown as
// what it is, and never taken for the absence of something.
func TestWebPage(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		for _, status := range []int{404, 409, 502} {
			for _, op := range faultOps {
				err := promptly(t, op.name, time.Second, func() error {
					return op.with(t.Context(), f, fakeengine.Page(status))
				})
				notAbout(t, op.name, err)
				if strings.Contains(err.Error(), "<") {
					t.Errorf("%s, %d: %.200v", op.name, status, err)
				}
			}
		}
	})
}

// TestNotTheAPI: an answer of status 200 that is none is an error, not a
// thing with empty fields.
func TestNotTheAPI(t *testing.T) {
	streams := map[string]bool{"save": true, "stop": true, "resume": true, "destroy": true, "tag": true, "remove image": true,
		"write file": true, "build": true, "load": true}
	onFakes(t, func(t *testing.T, f *faulty) {
		for _, body := range []string{"<html></html>", "null", "{}", "[]", `"ok"`, `{"Id":7}`, ""} {
			for _, op := range faultOps {
				if streams[op.name] || op.name == "list" && (body == "[]" || body == "null") {
					continue // the status is the answer
				}
				if op.name == "run: inspect exec" && (body == "null" || body == "{}") {
					continue // see TestExitCodeNeverKnown
				}
				err := promptly(t, op.name+" answered "+body, time.Second, func() error {
					return op.with(t.Context(), f, fakeengine.Body(200, "application/json", body))
				})
				notAbout(t, op.name+" answered "+body, err)
			}
		}
	})
}

// TestConnectionDropped: an engine that ends the connection instead of
// answering is ErrNoEngine, and the error names the socket.
func TestConnectionDropped(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		for _, op := range faultOps {
			f := newFaulty(t, f.Podman)
			err := promptly(t, op.name, time.Second, func() error { return op.with(t.Context(), f, fakeengine.Drop) })
			if !errors.Is(err, pocketdock.ErrNoEngine) || !strings.Contains(err.Error(), f.Socket()) {
				t.Errorf("%s: %v, want ErrNoEngine and the socket", op.name, err)
			}
			notAbout(t, op.name, err)
		}
	})
}

// TestEngineGone: no socket any more.
func TestEngineGone(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		gone := &pocketdock.Client{Socket: f.Socket() + "-not", StateDir: t.TempDir()}
		err := promptly(t, "list", time.Second, func() error {
			_, err := gone.List(t.Context(), pocketdock.ListOptions{})
			return err
		})
		if !errors.Is(err, pocketdock.ErrNoEngine) || !strings.Contains(err.Error(), "no such socket") {
			t.Errorf("%v", err)
		}
		if _, ok := errors.AsType[*pocketdock.SocketError](err); !ok {
			t.Errorf("%T is not a SocketError", err)
		}
	})
}

// TestTooOldEngine is refused by name.
func TestTooOldEngine(t *testing.T) {
	f := newFaulty(t, false)
	f.Fault("GET /version", fakeengine.JSON(map[string]any{"Version": "18.09", "ApiVersion": "1.39", "MinAPIVersion": "1.12"}))
	_, err := (&pocketdock.Client{Socket: f.Socket()}).Engine(t.Context())
	if !errors.Is(err, pocketdock.ErrNoEngine) || !strings.Contains(err.Error(), "1.39") || !strings.Contains(err.Error(), "18.09") {
		t.Errorf("%v", err)
	}
}

// TestEndlessAnswers: an answer without end is given up, whether it is an
// error's text or a value.
func TestEndlessAnswers(t *testing.T) {
	f := newFaulty(t, false)
	for _, op := range faultOps {
		if op.name == "stat" {
			continue // a HEAD's answer has no body
		}
		for name, fault := range map[string]fakeengine.Fault{
			"a message": fakeengine.Endless(500, "application/json", `{"message":"`, "x"),
			"a text":    fakeengine.Endless(500, "text/plain", "", "y"),
		} {
			err := promptly(t, op.name+": "+name, time.Second, func() error { return op.with(t.Context(), f, fault) })
			notAbout(t, op.name, err)
		}
	}
	f.Fault("GET /containers/{id}/json", fakeengine.Endless(200, "application/json", `{"Id":"`, "z"))
	err := promptly(t, "a value", time.Minute, func() error { _, err := f.client.Get(t.Context(), f.box.ID()); return err })
	if !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a value: %v", err)
	}
}

// TestRedirect: engines do not redirect; whoever does is not followed into a
// wrong answer.
func TestRedirect(t *testing.T) {
	f := newFaulty(t, false)
	for _, op := range faultOps {
		err := promptly(t, op.name, time.Second, func() error {
			return op.with(t.Context(), f, fakeengine.Redirect("/v1.41/containers/json"))
		})
		if !errors.Is(err, pocketdock.ErrNoEngine) {
			t.Errorf("%s: %v, want ErrNoEngine", op.name, err)
		}
		notAbout(t, op.name, err)
	}
}

// TestPartOfAnError: the caller's context ends the wait for the rest of an
// error's text, and is not taken for the engine's failure.
func TestPartOfAnError(t *testing.T) {
	f := newFaulty(t, false)
	for _, op := range faultOps {
		if op.name == "stat" {
			continue
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, enough)
		err := promptly(t, op.name, 5*time.Second, func() error {
			return op.with(ctx, f, f.HangAfter(500, "application/json", `{"message":"the disk`, nil))
		})
		if !errors.Is(err, enough) || errors.Is(err, pocketdock.ErrNoEngine) {
			t.Errorf("%s: %v, want the context's cause", op.name, err)
		}
		cancel()
	}
}
