package mcp

import (
	"sync"
	"time"
)

// The seats of an HTTP server are its sessions' clients: who is there, and
// since when one that is not. A client shows that it is there by a request that
// is under way; most keep a stream of events open.
type seats struct {
	mu  sync.Mutex
	all map[string]*seat
}

type seat struct {
	open int // requests under way
	last time.Time
}

func (s *seats) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// take notes a new session.
func (s *seats) take(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[id] == nil {
		s.all[id] = &seat{last: time.Now()}
	}
}

// enter notes a request of a session that is known, until the returned function
// is called.
func (s *seats) enter(id string) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.all[id]
	if st == nil {
		return func() {}
	}
	st.open++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		st.open--
		st.last = time.Now()
	}
}

// leave forgets a session.
func (s *seats) leave(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id)
}

// idle are the sessions whose client was not there for so long.
func (s *seats) idle(timeout time.Duration) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for id, st := range s.all {
		if st.open == 0 && time.Since(st.last) >= timeout {
			list = append(list, id)
		}
	}
	return list
}
