//go:build linux && !noembedded

package sentry

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What a container wrote is in the sandbox's memory, so it has to be saved
// before the sandbox ends; and after its processes have, or they would still
// write. So the first process, which is the agent's program, ends all others,
// says with which code it would end, and waits to be killed.

// A linger is the two pipes to the first process.
type linger struct {
	inner map[int]*os.File // its ends, by the number they have there
	said  *bufio.Reader    // what it says
	hold  *os.File         // never written to
	done  chan struct{}    // closed when it has said it
	code  int              // valid then
}

func newLinger() (*linger, error) {
	said, say, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	wait, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &linger{inner: map[int]*os.File{3: say, 4: wait}, said: bufio.NewReader(said), hold: hold, done: make(chan struct{})}, nil
}

// started closes the ends that the sandbox has now.
func (l *linger) started() {
	if l == nil {
		return
	}
	for _, f := range l.inner {
		f.Close()
	}
}

// begun waits until the first process has started its command.
func (l *linger) begun() error {
	line, err := l.said.ReadString('\n')
	if err != nil {
		return errors.New("its first process ended at once")
	}
	if why, failed := strings.CutPrefix(line, "failed "); failed {
		why, err = strconv.Unquote(strings.TrimSpace(why))
		return errors.Join(err, errors.New(why))
	}
	return nil
}

// ended reports that the first process has ended as it should, with the code.
func (l *linger) ended() bool {
	if l == nil {
		return false
	}
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// farewell waits for the end of the first process, saves what is to be saved
// and ends the sandbox.
func (w *watcher) farewell() {
	line, err := w.linger.said.ReadString('\n')
	if err != nil {
		return
	}
	if _, err := fmt.Sscanf(line, "exit %d\n", &w.linger.code); err != nil {
		return
	}
	close(w.linger.done)
	if w.launch.Visit && w.linger.code != 0 {
		w.saved = true // nothing is kept of a visit that was cut short
	}
	if err := w.keep(); err != nil {
		w.mu.Lock()
		w.state.Error = "what was written since the last stop is lost: " + err.Error()
		w.mu.Unlock()
	}
	_ = w.box.SignalContainer(unix.SIGKILL, true)
}
