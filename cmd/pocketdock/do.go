package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

// defaultImage is what a sandbox is made from when nothing names an image.
const defaultImage = "debian:bookworm-slim"

// doIdle ends the sandbox of a program that was killed: the command dies with
// the connection, and then nothing uses the sandbox any more.
const doIdle = 20 * time.Second

type doOptions struct {
	image, lang, memory, user, dir string
	stdin, network                 bool
	timeout                        time.Duration
	env                            []string
	cpu                            int
}

func (a *app) doCommand() *cobra.Command {
	var o doOptions
	cmd := &cobra.Command{
		Use:   "do [flags] [--] COMMAND [ARG...]",
		Short: "Run one command in a sandbox of its own, and remove the sandbox",
		Long: `Creates a sandbox, runs the command in it with live output, removes the
sandbox, and exits with the command's code: 124 if it was ended by --timeout,
126 or 127 if it could not be started, 125 if pocketdock itself failed.

With --lang the argument is source text in that language: ` + strings.Join(pocketdock.Languages(), ", ") + `.`,
		Example: `  pocketdock do -- python3 -c 'print("hello")'
  pocketdock do --lang python -- 'print(sum(range(10)))'
  echo hello | pocketdock do -i -- tr a-z A-Z`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usageError{cmd, errors.New("a command is needed")}
			case o.lang != "" && len(args) > 1:
				return usageError{cmd, fmt.Errorf("--lang takes the source text as one argument, there are %d: quote it", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.do(cmd.Context(), &o, args) },
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.StringVar(&o.image, "image", defaultImage, "image to make the sandbox from")
	f.StringVar(&o.lang, "lang", "", "language of the source text that is given instead of a command")
	f.BoolVarP(&o.stdin, "stdin", "i", false, "give standard input to the command")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "end the command after this long; 0 for never")
	f.BoolVar(&o.network, "network", false, "connect the sandbox to the network")
	f.StringVar(&o.memory, "mem-limit", "", "memory limit, such as 512m (default 2g)")
	f.IntVar(&o.cpu, "cpu-percent", 0, "processor limit, 100 is one core (default 200)")
	f.StringArrayVarP(&o.env, "env", "e", nil, "environment variable, NAME=VALUE")
	f.StringVarP(&o.dir, "workdir", "w", "", "working directory")
	f.StringVarP(&o.user, "user", "u", "", "user to run as")
	return cmd
}

func (a *app) do(ctx context.Context, o *doOptions, args []string) (err error) {
	cmd := pocketdock.Argv(args...)
	if o.lang != "" {
		cmd = pocketdock.Code(o.lang, args[0])
	}
	cmd.Stdout, cmd.Stderr, cmd.Timeout = a.stdout, a.stderr, o.timeout
	if o.timeout == 0 {
		cmd.Timeout = -1
	}
	if o.stdin {
		cmd.Stdin = a.stdin
	}
	create := pocketdock.CreateOptions{Network: o.network, CPUPercent: o.cpu, User: o.user, Dir: o.dir, IdleTimeout: doIdle}
	if o.memory != "" {
		if create.Memory, err = pocketdock.ParseSize(o.memory); err != nil {
			return err
		}
	}
	if cmd.Env, err = parseEnv(o.env); err != nil {
		return err
	}
	box, err := a.client.Create(ctx, o.image, create)
	if err != nil {
		return err
	}
	defer func() {
		// Whatever ended us, the sandbox goes.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if e := box.Destroy(ctx); e != nil {
			err = errors.Join(err, e)
		}
	}()
	res, err := box.Run(ctx, cmd)
	switch {
	case err != nil:
		return err
	case res.TimedOut:
		fmt.Fprintf(a.stderr, "pocketdock: ended after %v (--timeout)\n", o.timeout)
		return exitStatus(exitTimeout)
	case res.OOMKilled:
		fmt.Fprintf(a.stderr, "pocketdock: the command used more memory than the sandbox may have (--mem-limit)\n")
	}
	if res.ExitCode != 0 {
		return exitStatus(res.ExitCode)
	}
	return nil
}

// parseEnv reads NAME=VALUE arguments.
func parseEnv(list []string) (map[string]string, error) {
	env := map[string]string{}
	for _, kv := range list {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("--env %q: write NAME=VALUE", kv)
		}
		env[k] = v
	}
	return env, nil
}
