//go:build linux && !noembedded

// Package sentry is the part of the embedded engine that is gVisor: it runs in
// processes of their own, which are this same program under another name. One
// process watches each sandbox, its monitor; gVisor starts two more, the
// sandbox itself and the one that opens files of the host for it (the gofer).
package sentry

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/log"
	"gvisor.dev/gvisor/runsc/cmd"
	"gvisor.dev/gvisor/runsc/cmd/sentry/sentrycmd"
	"gvisor.dev/gvisor/runsc/cmd/util"
	"gvisor.dev/gvisor/runsc/config"

	"github.com/pocketdock/pocketdock/embedded/internal/early"
	"github.com/pocketdock/pocketdock/embedded/internal/part"
	"github.com/pocketdock/pocketdock/internal/lategc"
)

// Dispatch does not return in a process that was started to be a part of a
// sandbox. What it need not initialise all packages for was done by package
// early.
func Dispatch() {
	is := part.Of(os.Args)
	if is != part.None {
		lategc.Start()
	}
	switch is {
	case part.Monitor:
		os.Exit(watch())
	case part.GVisor:
		useFilters(debug.ReadBuildInfo())
		os.Exit(run(os.Args[1:]))
	}
}

// run runs one of gVisor's own commands, as its command line would
// (runsc/cli), without what that registers for every program that links it.
func run(args []string) int {
	set := flag.NewFlagSet("runsc", flag.ContinueOnError)
	config.RegisterFlags(set)
	fd := func(name string) *int { return set.Int(name, -1, "") }
	_, debug, panics := fd("log-fd"), fd("debug-log-fd"), fd("panic-log-fd")
	if err := set.Parse(args); err != nil {
		return 2
	}
	quiet()
	conf, err := config.NewFromFlags(set)
	if err != nil {
		util.Fatalf("%v", err)
	}
	if conf.Debug {
		log.SetLevel(log.Debug)
	}
	if *debug >= 0 {
		log.SetTarget(log.GoogleEmitter{Writer: &log.Writer{Next: os.NewFile(uintptr(*debug), "log")}})
	}
	if *panics >= 0 {
		if err := unix.Dup3(*panics, 2, 0); err != nil {
			util.Fatalf("standard error: %v", err)
		}
	}
	_ = time.Local.String() // reads files, which the sandbox may not later
	for _, c := range []util.SubCommand{new(sentrycmd.Boot), new(cmd.Gofer)} {
		if c.Name() != set.Arg(0) {
			continue
		}
		switch c.Name() {
		case "boot":
			go expectSignals()
			spin()
		case "gofer":
			time.AfterFunc(time.Second, func() { runtime.GOMAXPROCS(early.Procs) })
		}
		sub := flag.NewFlagSet(c.Name(), flag.ContinueOnError)
		c.SetFlags(sub)
		if err := sub.Parse(set.Args()[1:]); err != nil {
			return 2
		}
		var status unix.WaitStatus
		if code := c.Execute(context.Background(), sub, conf, &status); code != 0 {
			return 128
		}
		return status.ExitStatus()
	}
	util.Fatalf("%v", fmt.Errorf("no part of a sandbox: %q", set.Arg(0)))
	return 128
}

// quiet keeps gVisor's log off the standard error, which is the container's;
// what nobody reads is not made either.
func quiet() {
	log.SetLevel(log.Warning)
	log.SetTarget(log.GoogleEmitter{Writer: &log.Writer{Next: io.Discard}})
}

// configuration is gVisor's, from its own flags by name.
func configuration(flags map[string]string) (*config.Config, error) {
	set := flag.NewFlagSet("runsc", flag.ContinueOnError)
	config.RegisterFlags(set)
	var errs []error
	for name, value := range flags {
		errs = append(errs, set.Set(name, value))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return config.NewFromFlags(set)
}
