//go:build linux

package agent

import (
	"sync"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// rest ends the sandbox at its limits. The time to live counts from the start
// of the agent, so anew when a stopped container is started again. The idle
// time counts from the last moment at which there was a process in the sandbox
// (anybody's: a server in the background too) or an operation on a
// connection; to ask for Info, Limits or List is none.
type rest struct {
	a *agent

	mu        sync.Mutex
	ttl, idle time.Duration // 0: none
	ops       int
	held      int       // connections of OpHold: in use, but nothing is done
	since     time.Time // of the last activity
	changed   chan struct{}
}

func newRest(a *agent, ttlMS, idleMS int64) *rest {
	return &rest{
		a: a, ttl: milliseconds(max(ttlMS, 0)), idle: milliseconds(max(idleMS, 0)),
		since: time.Now(), changed: make(chan struct{}, 1),
	}
}

// begin and done bracket an operation.
func (r *rest) begin() {
	r.mu.Lock()
	r.ops++
	r.mu.Unlock()
}

func (r *rest) done() {
	now := time.Now()
	r.mu.Lock()
	r.ops--
	r.since = now
	r.mu.Unlock()
}

// hold and unhold bracket a connection that is only kept.
func (r *rest) hold() {
	r.mu.Lock()
	r.held++
	r.mu.Unlock()
}

func (r *rest) unhold() {
	now := time.Now()
	r.mu.Lock()
	r.held--
	r.since = now
	r.mu.Unlock()
}

// touch is for activity that is no operation.
func (r *rest) touch() {
	now := time.Now()
	r.mu.Lock()
	r.since = now
	r.mu.Unlock()
}

// busy reports whether an operation is under way.
func (r *rest) busy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ops > 0
}

// left are the remaining times; what there is no limit on is negative. While
// the sandbox is in use all of the idle time is left.
func (r *rest) left() (ttl, idle time.Duration) {
	running := r.a.procs.running()
	r.mu.Lock()
	defer r.mu.Unlock()
	ttl, idle = -1, -1
	if r.ttl > 0 {
		ttl = max(0, r.ttl-time.Since(r.a.started))
	}
	switch {
	case r.idle <= 0:
	case r.ops > 0 || r.held > 0 || running > 0:
		idle = r.idle
	default:
		idle = max(0, r.idle-time.Since(r.since))
	}
	return ttl, idle
}

// watch ends the agent when a limit is reached. Nothing wakes it while there
// is none.
func (r *rest) watch() {
	timer := time.NewTimer(0)
	for {
		ttl, idle := r.left()
		if idle == 0 && r.a.others() > 0 {
			r.touch() // look again after another idle time
			_, idle = r.left()
		}
		if ttl == 0 || idle == 0 {
			r.a.end(0)
			return
		}
		next := ttl
		if idle > 0 && (next < 0 || idle < next) {
			next = idle
		}
		if next < 0 {
			timer.Stop()
		} else {
			timer.Reset(next)
		}
		select {
		case <-timer.C:
		case <-r.changed:
		}
	}
}

// set sets both limits, for this life of the container only.
func (r *rest) set(ttl, idle time.Duration) {
	r.mu.Lock()
	r.ttl, r.idle = ttl, idle
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// limits are as wire has them.
func (r *rest) limits() wire.Limits {
	ttl, idle := r.left()
	r.mu.Lock()
	defer r.mu.Unlock()
	ttlMS, idleMS := r.ttl.Milliseconds(), r.idle.Milliseconds()
	l := wire.Limits{TTLMS: &ttlMS, IdleMS: &idleMS, TTLLeftMS: ttl.Milliseconds(), IdleLeftMS: idle.Milliseconds()}
	if ttl < 0 {
		l.TTLLeftMS = -1
	}
	if idle < 0 {
		l.IdleLeftMS = -1
	}
	return l
}

// change sets the limits that are set in l, for this life of the container
// and the next ones.
func (r *rest) change(l *wire.Limits) (*wire.Limits, *wire.Error) {
	if l != nil && (l.TTLMS != nil || l.IdleMS != nil) {
		if l.TTLMS != nil && *l.TTLMS < 0 || l.IdleMS != nil && *l.IdleMS < 0 {
			return nil, fail(wire.CodeInvalid, "a limit is 0, for none, or more")
		}
		r.mu.Lock()
		if l.TTLMS != nil {
			r.ttl = milliseconds(*l.TTLMS)
		}
		if l.IdleMS != nil {
			r.idle = milliseconds(*l.IdleMS)
			r.since = time.Now()
		}
		err := r.a.store.saveLimits(r.ttl.Milliseconds(), r.idle.Milliseconds())
		r.mu.Unlock()
		select {
		case r.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return nil, failErrno("", "the limits hold, but not after a restart: cannot write them down", err)
		}
	}
	now := r.limits()
	return &now, nil
}
