//go:build linux && !noembedded

package sentry

import (
	"fmt"
	"net"
	_ "unsafe" // for go:linkname

	"gvisor.dev/gvisor/runsc/cgroup"

	"github.com/pocketdock/pocketdock/embedded/internal/group"
	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

// What gVisor knows of control groups of version 1. Without any it takes the
// sandbox's as it finds it, and neither joins nor leaves it. A version that
// keeps it elsewhere joins the group that we are in, and only takes longer.
//
//go:linkname controllers gvisor.dev/gvisor/runsc/cgroup.controllers
var controllers map[string]any

// joined waits until whoever started us has moved us into the sandbox's
// control group.
func (w *watcher) joined(from *net.UnixConn) error {
	var j monitor.Joined
	if _, err := monitor.Read(from, &j); err != nil {
		return err
	}
	w.group = j.Group
	if j.Group != nil && !cgroup.IsOnlyV2() { // which looks where they are, by those that it knows
		w.controllers, controllers = controllers, nil
	}
	return nil
}

// known lets gVisor know its controllers again: it counts by them.
func (w *watcher) known() {
	if w.controllers != nil {
		controllers = w.controllers
	}
}

// leave moves the monitor out of the control group, in which it does not
// belong: it is to outlive what it watches.
func (w *watcher) leave() {
	w.out.Do(func() {
		if err := w.group.Leave(); err != nil {
			fmt.Fprintln(w.complaints, "pocketdock: control group:", err)
		}
	})
}

// disband removes the control group. What it leaves the engine removes later.
func (w *watcher) disband() {
	if w.group != nil {
		w.leave()
		_ = group.Remove(w.group.Path, group.EndTime)
	}
}
