//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// followSize tells the command each new size of our terminal. When somebody
// stops us, the terminal is given back until we go on.
func (a *app) followSize(s commandStream, tty *rawTerminal, redraw bool, done <-chan struct{}) {
	ch := make(chan os.Signal, 8)
	signal.Notify(ch, syscall.SIGWINCH, syscall.SIGTSTP, syscall.SIGCONT)
	defer signal.Stop(ch)
	wasRaw := tty.saved != nil
	if redraw {
		a.nudge(s, done)
	} else {
		s.Resize(a.terminalSize()) // it may have changed since the start
	}
	for {
		select {
		case <-done:
			return
		case sig := <-ch:
			switch sig {
			case syscall.SIGTSTP:
				tty.restore()
				syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
			case syscall.SIGCONT:
				if wasRaw && tty.raw() == nil {
					a.nudge(s, done)
				}
			default:
				s.Resize(a.terminalSize())
			}
		}
	}
}
