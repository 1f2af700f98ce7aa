package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

// The exit codes that are ours, as container tools and timeout(1) have them.
const (
	exitUsage   = 2
	exitTimeout = 124
	exitFailed  = 125 // pocketdock could not do it
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

// exitCode prints the error, if it is ours to print, and picks the code.
func exitCode(stderr io.Writer, err error, sig syscall.Signal) int {
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	if sig != 0 && errors.Is(err, context.Canceled) {
		return 128 + int(sig)
	}
	fmt.Fprintf(stderr, "pocketdock: %v\n", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if ce, ok := errors.AsType[*pocketdock.CommandError](err); ok {
		return ce.ExitCode()
	}
	return exitFailed
}

// untilSignal returns a context that ends with the first Ctrl-C or SIGTERM,
// and which one it was. What was begun is then undone; a second one ends the
// program at once.
func untilSignal(ctx context.Context) (context.Context, func(), func() syscall.Signal) {
	ctx, cancel := context.WithCancel(ctx)
	var got atomic.Int32
	ch := make(chan os.Signal, 1)
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
