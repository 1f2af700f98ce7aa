//go:build linux

package agent

import "testing"

// TestBirth: what began in the same tick is told by its number.
func TestBirth(t *testing.T) {
	b := birth{tick: 100, last: 20000}
	for _, row := range []struct {
		name   string
		birth  birth
		st     stat
		before bool
	}{
		{"a tick earlier", b, stat{start: 99, pid: 20001}, false},
		{"a tick later", b, stat{start: 101, pid: 5}, true},
		{"same tick, the newest then", b, stat{start: 100, pid: 20000}, false},
		{"same tick, older", b, stat{start: 100, pid: 19999}, false},
		{"same tick, the next", b, stat{start: 100, pid: 20001}, true},
		{"same tick, numbers began anew", b, stat{start: 100, pid: 300}, true},
		{"unknown, a tick earlier", birth{tick: 100}, stat{start: 99, pid: 7}, false},
		{"unknown, same tick", birth{tick: 100}, stat{start: 100, pid: 7}, true},
	} {
		if got := row.birth.before(row.st); got != row.before {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}

// TestSessionKeepsEarlierJobs: a timeout kills what its command started, and
// not a job of the command just before it, in the same tick of the clock.
func TestSessionKeepsEarlierJobs(t *testing.T) {
	s := newSandbox(t)
	id := s.session("/bin/sh", "-i", "+m", "-s").ID
	for range 5 {
		if o := s.send(id, "a", "sleep 1000 & job=$!"); o.exit == nil || o.exit.Code != 0 {
			t.Fatalf("%+v, %+v", o.exit, o.failure)
		}
		o := s.sendFor(id, "b", `sh -c 'trap "" INT; sleep 1000'`, 300, 20)
		if o.exit == nil || !o.exit.TimedOut || o.exit.Closed {
			t.Fatalf("%+v, %+v", o.exit, o.failure)
		}
		if o := s.send(id, "c", "kill -9 $job"); o.exit == nil || o.exit.Code != 0 {
			t.Errorf("the job is gone: %+v, %+v", o.exit, o.failure)
		}
	}
}
