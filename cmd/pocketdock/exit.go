package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

// The exit codes that are ours, as container tools and timeout(1) have them.
const (
	exitDeclined = 1 // somebody was asked, and said no
	exitUnwell   = 1 // doctor found something broken
	exitUsage    = 2
	exitTimeout  = 124
	exitFailed   = 125 // pocketdock could not do it
	exitPipe     = 128 + int(syscall.SIGPIPE)
)

// An exitStatus ends the program with a command's own code.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// A usageError is a command line that makes no sense.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e usageError) Error() string {
	return fmt.Sprintf("%v\nSee '%s --help'.", e.err, e.cmd.CommandPath())
}

func (e usageError) Unwrap() error { return e.err }

// exitCode prints the error, if it is ours to print, with what may help, and
// picks the code. All errors of all commands come through here.
func (a *app) exitCode(ctx context.Context, err error, sig syscall.Signal) int {
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	if errors.Is(err, errPipeClosed) {
		return exitPipe
	}
	if sig != 0 && errors.Is(err, context.Canceled) {
		return 128 + int(sig)
	}
	a.complain(ctx, err)
	return failureCode(err)
}

// complain prints an error and what may help.
func (a *app) complain(ctx context.Context, err error) {
	fmt.Fprintf(a.err, "%s %s\n", a.err.paint(bad, "pocketdock:"), printable(err.Error()))
	if hint := a.hint(ctx, err); hint != "" {
		fmt.Fprintf(a.err, "%s %s\n", a.err.paint(odd, "hint:"), printable(hint))
	}
}

// failureCode is the code of an error that is not a command's own.
func failureCode(err error) int {
	if _, ok := errors.AsType[usageError](err); ok || errors.Is(err, pocketdock.ErrInvalid) {
		return exitUsage
	}
	if ce, ok := errors.AsType[*pocketdock.CommandError](err); ok {
		return ce.ExitCode()
	}
	if errors.Is(err, errDeclined) {
		return exitDeclined
	}
	return exitFailed
}

// hint is what the library cannot know: other names, other ways to write the
// command line. Most errors say themselves what to do.
func (a *app) hint(ctx context.Context, err error) string {
	if near := a.didYouMean(ctx, err); near != "" {
		return "did you mean " + near + "?"
	}
	ce, ok := errors.AsType[*pocketdock.CommandError](err)
	if ok && ce.Kind == pocketdock.ErrCommandNotFound && strings.ContainsAny(ce.Command, " |;&<>$") {
		return "a command is given word by word; a line for a shell goes behind --lang sh"
	}
	if ok && ce.Kind == pocketdock.ErrCommandNotFound && slices.Contains(shellWords, ce.Command) {
		return ce.Command + " is a word of a shell, which ends with its command; a line for one goes behind --lang sh, and -w, -e set directory and variables"
	}
	if errors.Is(err, pocketdock.ErrProcessNotFound) {
		box := "CONTAINER"
		if e, ok := errors.AsType[processError](err); ok {
			box = e.box
		}
		return "see the processes of a sandbox with: pocketdock ps --all " + box
	}
	return ""
}

// A processError is about a process of a sandbox.
type processError struct {
	box string
	error
}

func (e processError) Unwrap() error { return e.error }

// inContainer notes for a hint where a process was looked for.
func inContainer(box *pocketdock.Container, err error) error {
	if err == nil {
		return nil
	}
	return processError{box.Name(), err}
}

// shellWords are what shells do themselves: no program does it.
var shellWords = []string{".", "alias", "cd", "eval", "exec", "exit", "export", "read", "set", "source", "trap", "ulimit", "umask", "unset"}

// ended is how a command's result ends this program.
func (a *app) ended(res *pocketdock.Result, timeout string) error {
	switch {
	case res.TimedOut && timeout == "":
		fmt.Fprintf(a.err, "pocketdock: ended after %v, its time limit\n", res.Duration.Round(100*time.Millisecond))
		return exitStatus(exitTimeout)
	case res.TimedOut:
		fmt.Fprintf(a.err, "pocketdock: ended after %s\n", timeout)
		return exitStatus(exitTimeout)
	case res.OOMKilled:
		fmt.Fprintf(a.err, "pocketdock: the command used more memory than the sandbox may have (--mem-limit)\n")
	}
	if s := pocketdock.Signal(res.Signal); s != 0 && !res.OOMKilled && s != pocketdock.SIGINT && s != pipeSignal {
		fmt.Fprintf(a.err, "pocketdock: the command was ended by %s\n", signalText(s))
	}
	if res.ExitCode != 0 {
		return exitStatus(res.ExitCode)
	}
	return nil
}

// pipeSignal is SIGPIPE in the sandbox. That, and Ctrl-C, is no news to whoever
// closed the pipe or pressed the keys; shells say nothing of them, either.
const pipeSignal pocketdock.Signal = 13

// signalText names a signal as shells do (signal(7)).
func signalText(s pocketdock.Signal) string {
	what := map[pocketdock.Signal]string{4: "illegal instruction", 6: "aborted", 7: "bus error", 8: "arithmetic error",
		11: "segmentation fault", 31: "forbidden system call"}[s]
	if what != "" {
		return fmt.Sprintf("signal %d (%s)", int(s), what)
	}
	return fmt.Sprintf("signal %d (%s)", int(s), strings.TrimPrefix(s.String(), "signal "))
}

// untilSignal returns a context that ends with the first Ctrl-C or SIGTERM,
// and which one it was. What was begun is then undone; a second one ends the
// program at once.
func untilSignal(ctx context.Context) (context.Context, func(), func() syscall.Signal) {
	ctx, cancel := context.WithCancel(ctx)
	var got atomic.Int32
	ch := make(chan os.Signal, 1)
	// A write to a closed pipe is then an error, after which we tidy up.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s, ok := (<-ch).(syscall.Signal); ok {
			got.Store(int32(s))
			signal.Stop(ch)
			cancel()
		}
	}()
	stop := func() {
		signal.Stop(ch)
		close(ch)
		<-done
		cancel()
	}
	return ctx, stop, func() syscall.Signal { return syscall.Signal(got.Load()) }
}
