//go:build linux

package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// TestHeld: a connection that is held answers, keeps the sandbox from its idle
// limit, and breaks with it.
func TestHeld(t *testing.T) {
	s := newSandbox(t, withConfig(func(c *wire.Config) { c.IdleMS = 300 }))
	d := s.ask(wire.Request{Op: wire.OpHold, Hold: &wire.Hold{}})
	if r := d.collect(nil).reply; r == nil || r.Held == nil || r.Held.Marked {
		t.Errorf("%+v", r)
	}
	for range 3 {
		time.Sleep(300 * time.Millisecond) // it is what passes that counts
		d.ask(wire.Request{Op: wire.OpInfo})
		if r := d.collect(nil).reply; r == nil || r.Info == nil || r.Info.PID != 1 {
			t.Errorf("%+v", r)
		}
	}
	d.Close()
	s.wait()
}

// TestHeldRefuses: only a sandbox with mounts of its own is marked, and only
// what is marked can be reset.
func TestHeldRefuses(t *testing.T) {
	s := newSandbox(t)
	d := s.ask(wire.Request{Op: wire.OpHold, Hold: &wire.Hold{Mark: true}})
	if r := d.collect(nil).reply; r == nil || r.Held == nil || r.Held.Marked || !strings.Contains(r.Held.Why, "mount") {
		t.Errorf("on the machine's own files: %+v", r.Held)
	}
	other := s.ask(wire.Request{Op: wire.OpHold, Hold: &wire.Hold{Mark: true}})
	if e := other.collect(nil).failure; e == nil || e.Code != wire.CodeExists {
		t.Errorf("a second mark: %v", e)
	}
	d.ask(wire.Request{Op: wire.OpReset})
	if e := d.collect(nil).failure; e == nil || e.Code != wire.CodeUnsupported {
		t.Errorf("reset: %v", e)
	}
	if e := s.ask(wire.Request{Op: wire.OpReset}).collect(nil).failure; e == nil || e.Code != wire.CodeUnsupported {
		t.Errorf("reset on a connection of its own: %v", e)
	}
}
