package main

import (
	"sync"

	"golang.org/x/term"
)

// A rawTerminal passes every key on as it is, and can be put back as it was.
// The methods of one that was never set up do nothing.
type rawTerminal struct {
	fd    int
	mu    sync.Mutex
	saved *term.State // nil while it is as it was
}

func (t *rawTerminal) raw() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.saved != nil {
		return nil
	}
	saved, err := term.MakeRaw(t.fd)
	if err != nil {
		return err
	}
	t.saved = saved
	return nil
}

func (t *rawTerminal) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.saved != nil {
		term.Restore(t.fd, t.saved)
		t.saved = nil
	}
}

// rescue is deferred in each goroutine: a panic of one ends the program, and
// would leave the terminal raw and its message in stairs.
func (t *rawTerminal) rescue() {
	if r := recover(); r != nil {
		t.restore()
		panic(r)
	}
}
