//go:build !unix

package main

import (
	"time"

	"github.com/pocketdock/pocketdock"
)

// followSize tells the command each new size of our terminal, which nothing
// tells us here.
func (a *app) followSize(s commandStream, _ *rawTerminal, redraw bool, done <-chan struct{}) {
	if redraw {
		a.nudge(s, done)
	}
	const often = 250 * time.Millisecond
	tick := time.NewTicker(often)
	defer tick.Stop()
	var last pocketdock.TerminalSize
	for {
		if size := a.terminalSize(); size != last {
			last = size
			s.Resize(size)
		}
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}
