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

// TestPoolOnFailingEngine: whatever the engine does, those who wait come to
// know, it is not asked more than a few times a second, and nothing is left.
func TestPoolOnFailingEngine(t *testing.T) {
	within := 10 * time.Second
	if raceEnabled {
		within = time.Minute // the agent's program is unpacked first
	}
	for _, podman := range []bool{false, true} {
		f, boxes := creating(t, podman)
		for _, tt := range []struct {
			name, route string
			fault       fakeengine.Fault
			kind        error // nil: an EngineError
		}{
			{"refuses", "POST /containers/create", f.Status(500, "no space left on device"), nil},
			{"does not start", "POST /containers/{id}/start", f.Status(500, "OCI runtime create failed"), nil},
			{"hangs up", "POST /containers/create", fakeengine.Drop, pocketdock.ErrNoEngine},
			{"talks nonsense", "POST /containers/create", fakeengine.Page(502), nil},
			{"hangs", "POST /containers/create", f.Hang(nil), context.DeadlineExceeded},
		} {
			pool, err := f.client.NewPool(t.Context(), "image:1", pocketdock.PoolOptions{Min: 4})
			if err != nil {
				t.Fatal(err)
			}
			f.Fault(tt.route, tt.fault)
			before := len(f.Requests())
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			for ctx.Err() == nil {
				err := promptly(t, tt.name, 2*time.Second, func() error {
					_, err := pool.Acquire(ctx)
					return err
				})
				_, refused := errors.AsType[*pocketdock.EngineError](err)
				if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, tt.kind) && !refused {
					t.Errorf("%s: %v", tt.name, err)
				}
			}
			cancel()
			if n := strings.Count(strings.Join(f.Requests()[before:], "\n"), "POST /containers/create"); n > 12 {
				t.Errorf("%s: asked to create %d times in a second", tt.name, n)
			}
			begun := time.Now()
			err = pool.Close(t.Context())
			unheard := err != nil && strings.Contains(err.Error(), "did not tell whether it makes container pd-")
			if unheard != (tt.name == "hangs") || !unheard && err != nil || time.Since(begun) > within {
				t.Errorf("%s: close after %v: %v", tt.name, time.Since(begun), err)
			}
			f.Fault(tt.route, nil)
			if left := boxes(); len(left) > 0 || len(f.containers(t)) > 1 {
				t.Errorf("%s: left %q, %v", tt.name, left, f.containers(t))
			}
		}
	}
}

// containers are those that the engine has, one of which is f.box.
func (f *faulty) containers(t *testing.T) []pocketdock.ListItem {
	t.Helper()
	list, err := f.client.List(t.Context(), pocketdock.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestPoolOfNothing: an image that is not there is said at once.
func TestPoolOfNothing(t *testing.T) {
	f, _ := creating(t, false)
	_, err := f.client.NewPool(t.Context(), "nothing:1", pocketdock.PoolOptions{})
	if !errors.Is(err, pocketdock.ErrImageNotFound) {
		t.Errorf("got %v", err)
	}
	_, err = f.client.NewPool(t.Context(), "image:1", pocketdock.PoolOptions{Create: pocketdock.CreateOptions{Persist: true}})
	if !errors.Is(err, pocketdock.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}
