//go:build linux

package agent

import "github.com/pocketdock/pocketdock/internal/wire"

// direct has the writers of the logs send to f, as long as it is little.
func (f *follower) direct() {
	for _, s := range f.p.out {
		if s != nil && s.log != nil {
			s.log.mu.Lock()
			s.log.direct = f
			s.log.mu.Unlock()
		}
	}
}

// undirect undoes direct, and reports whether a writer is still sending.
func (f *follower) undirect() (sending bool) {
	for _, s := range f.p.out {
		if s != nil && s.log != nil {
			sending = s.log.undirect(f) || sending
		}
	}
	return sending
}

// sent reports whether all of the settled output was sent.
func (f *follower) sent() bool {
	for i, s := range f.p.out {
		if s != nil && !s.log.sent(f, f.p.final[i]) {
			return false
		}
	}
	return true
}

// newest is the n bytes that have just come, for the follower that is to get
// them from here.
func (l *log) newest(n int) ([]byte, *follower) {
	if l.direct == nil {
		return nil, nil
	}
	l.sending = l.direct
	at := logHeader + (l.total-int64(n))%l.limit
	return l.memory[at : at+int64(n)], l.direct
}

// send is for what [log.newest] gave.
func (l *log) send(to *follower, kind wire.Kind, b []byte) {
	err := to.w.Frame(kind, b)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sending = nil
	to.at[to.side(l)] += int64(len(b))
	if err != nil {
		l.direct = nil
	}
	if l.direct == nil || closed(to.over) {
		to.kick()
	}
	l.freed()
}

// tooMuch has whoever the writer sends to do so itself from now on.
func (l *log) tooMuch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.direct; f != nil {
		l.direct = nil
		f.kick()
	}
}

// undirect has f itself send what comes from now on, and reports whether it is
// still being sent what came.
func (l *log) undirect(f *follower) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.direct == f {
		l.direct = nil
	}
	return l.sending == f
}

// settled is how much the process itself has printed: what comes later is from
// children in the background, and not sent from here.
func (l *log) settled() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.direct = nil
	return l.total
}

// sent reports whether f has been sent all n bytes of the log.
func (l *log) sent(f *follower, n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sending != f && f.at[f.side(l)] >= n
}
