//go:build linux

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// First is "pocketdock-agent first ARGV…": PID 1 of a container of the embedded
// engine that other tools made, as whom the container runs. It runs the command
// as its only child, gives it the signals that it gets, reaps what is left
// behind, and waits at the end until the engine has saved what was written.
func First(argv []string) int {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	f := takeFarewell()
	if f == nil || len(argv) == 0 {
		fmt.Fprintln(os.Stderr, "pocketdock-agent first: internal to the embedded engine")
		return 2
	}
	tuneMemory()
	child, err := startFirst(argv)
	if err != nil {
		f.say("failed " + strconv.Quote(whyNot(argv[0], err)) + "\n")
		return 127
	}
	f.say("started\n")
	code := tend(child, signals)
	// Nothing may write any more while the engine saves.
	for unix.Kill(-1, unix.SIGKILL) == nil {
		if reapOne(unix.WNOHANG) == nil {
			time.Sleep(time.Millisecond)
		}
	}
	f.wait(code)
	return code
}

func startFirst(argv []string) (int, error) {
	path, err := exec.LookPath(argv[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return 0, err
	}
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{}}
	if _, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		// Its own group has the terminal, so that a shell has job control.
		attr.Sys.Setpgid, attr.Sys.Foreground = true, true
	}
	return syscall.ForkExec(path, argv, attr)
}

// whyNot says why a command did not start, in the words by which docker
// tells 126 and 127.
func whyNot(name string, err error) string {
	var e *exec.Error
	switch {
	case errors.As(err, &e) && errors.Is(err, exec.ErrNotFound):
		return fmt.Sprintf("exec: %q: executable file not found in $PATH", name)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("exec: %q: no such file or directory", name)
	case errors.As(err, &e):
		err = e.Err
	}
	return fmt.Sprintf("exec: %q: %v", name, err)
}

// tend reaps and passes signals on until the child has ended, and returns its
// exit code.
func tend(child int, signals <-chan os.Signal) int {
	for {
		for ended := reapOne(unix.WNOHANG); ended != nil; ended = reapOne(unix.WNOHANG) {
			if ended.pid == child {
				return ended.code
			}
		}
		switch s := (<-signals).(syscall.Signal); s {
		case unix.SIGCHLD:
		case unix.SIGURG: // Go's own
		default:
			unix.Kill(child, s)
		}
	}
}

type reaped struct{ pid, code int }

// reapOne is nil if there is none to reap.
func reapOne(options int) *reaped {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, options, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || pid == 0:
			return nil
		case ws.Signaled():
			return &reaped{pid, 128 + int(ws.Signal())}
		}
		return &reaped{pid, ws.ExitStatus()}
	}
}
