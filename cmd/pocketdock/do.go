package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/project"
)

// defaultImage is what a sandbox is made from when nothing names an image.
const defaultImage = "debian:bookworm-slim"

// doIdle ends the sandbox of a program that was killed: the command dies with
// the connection, and then nothing uses the sandbox any more.
const doIdle = 20 * time.Second

type doOptions struct {
	image, profile, lang, memory, user, dir string
	stdin, tty, network, noNetwork          bool
	timeout                                 time.Duration
	timed                                   bool // --timeout was given
	env                                     []string
	cpu                                     int
}

func (a *app) doCommand() *cobra.Command {
	var o doOptions
	cmd := &cobra.Command{
		Use:   "do [flags] [--] COMMAND [ARG...]",
		Short: "Run one command in a sandbox of its own, and remove the sandbox",
		Long: `Creates a sandbox, runs the command in it with live output, removes the
sandbox, and exits with the command's code: 124 if it was ended by --timeout,
126 or 127 if it could not be started, 125 if pocketdock itself failed.

With --lang the argument is source text in that language, one of
` + strings.Join(pocketdock.Languages(), ", ") + `.`,
		Example: `  pocketdock do -- python3 -c 'print("hello")'
  pocketdock do --lang python -- 'print(sum(range(10)))'
  echo hello | pocketdock do -i -- tr a-z A-Z
  pocketdock do -it --network -- bash
  pocketdock do --profile host -- gcc --version`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usageError{cmd, errors.New("a command is needed")}
			case o.lang != "" && len(args) > 1:
				return usageError{cmd, fmt.Errorf("--lang takes the source text as one argument, there are %d: quote it", len(args))}
			case a.json && o.tty:
				return usageError{cmd, errors.New("--json and --tty exclude one another")}
			case o.lang != "":
				if err := checkSource(cmd, o.lang, args[0]); err != nil {
					return err
				}
			}
			o.timed = cmd.Flags().Changed("timeout")
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.do(cmd.Context(), &o, args) },
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.StringVar(&o.image, "image", "", "image to make the sandbox from (default: the profile's, and without one "+defaultImage+", or this machine's programs on the embedded engine)")
	f.StringVar(&o.profile, "profile", "", "profile to make it of (default: in a project, its default_profile)")
	f.StringVar(&o.lang, "lang", "", "language of the source text that is given instead of a command")
	f.BoolVarP(&o.stdin, "stdin", "i", false, "give standard input to the command, which reads nothing without it")
	f.BoolVarP(&o.tty, "tty", "t", false, "give it a terminal")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "end the command after this long; 0 for never, which is the default with -i -t")
	f.BoolVar(&o.network, "network", false, "connect the sandbox to the network (default: the profile's)")
	f.BoolVar(&o.noNetwork, "no-network", false, "no network but loopback, which is the default without a profile")
	cmd.MarkFlagsMutuallyExclusive("network", "no-network")
	_ = cmd.RegisterFlagCompletionFunc("profile", a.profileNames)
	f.StringVar(&o.memory, "mem-limit", "", "memory limit, such as 512m (default 2g)")
	f.IntVar(&o.cpu, "cpu-percent", 0, "processor limit, 100 is one core (default 200)")
	f.StringArrayVarP(&o.env, "env", "e", nil, "environment variable, NAME=VALUE, or NAME with the value that it has here")
	f.StringVarP(&o.dir, "workdir", "w", "", "working directory")
	f.StringVarP(&o.user, "user", "u", "", "user to run as")
	a.takesJSON(cmd, resultJSON{}, false)
	return cmd
}

func (a *app) do(ctx context.Context, o *doOptions, args []string) (err error) {
	cmd := pocketdock.Argv(args...)
	if o.lang != "" {
		cmd = pocketdock.Code(o.lang, args[0])
	}
	if cmd.Timeout = o.timeout; o.timeout == 0 || o.tty && o.stdin && !o.timed {
		cmd.Timeout = -1
	}
	w, err := a.work()
	if err != nil {
		return err
	}
	image, profile := w.origin(o.image, o.profile)
	if err := a.checkProfile(ctx, w, profile); err != nil {
		return err
	}
	if o.image == "" && image == defaultImage {
		if image, profile, err = a.defaultOrigin(ctx); err != nil {
			return err
		}
	}
	create := pocketdock.CreateOptions{Profile: profile, Network: o.network, NoNetwork: o.noNetwork, Project: w.ProjectName, CPUPercent: o.cpu, User: o.user, Dir: o.dir, IdleTimeout: doIdle}
	if create.Memory, err = parseMemory(o.memory); err != nil {
		return err
	}
	if cmd.Env, err = variables(o.env); err != nil {
		return err
	}
	box, err := a.client.Create(ctx, image, create)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, throwAway(ctx, box)) }()
	a.logf("sandbox %s of %s, on %s", box, imageOf(image, profile), a.engineName(ctx))
	err = a.execute(ctx, unrecorded(box), cmd, execution{stdin: o.stdin, tty: o.tty, limit: o.timeout.String() + " (--timeout)"})
	if errors.Is(err, pocketdock.ErrCommandNotFound) && o.lang == "" && len(args) > 0 {
		if ok, _ := a.client.ImageExists(ctx, args[0]); ok {
			err = fmt.Errorf("%w; %s is an image, which goes behind --image: %s", err, args[0],
				project.Quote(append([]string{"pocketdock", "do", "--image", args[0], "--"}, args[1:]...)...))
		}
	}
	return err
}

// defaultOrigin is what a sandbox is made of when nothing names it: of this
// machine's own programs on the embedded engine, which has no images unless
// some are loaded.
func (a *app) defaultOrigin(ctx context.Context) (image, profile string, err error) {
	kind, err := a.client.EngineKind(ctx)
	if err != nil {
		return "", "", err
	}
	if kind == "embedded" {
		return "", pocketdock.ProfileHost, nil
	}
	return defaultImage, "", nil
}

// throwAway removes a sandbox, whatever ended us.
func throwAway(ctx context.Context, box *pocketdock.Container) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return box.Destroy(ctx)
}
