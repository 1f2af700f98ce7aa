package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/project"
)

// runFlags are the options of run, as they are written.
type runFlags struct {
	stream, detach, stdin, tty bool
	timeout                    time.Duration
	timed                      bool // --timeout was given
	lang, maxOutput, dir, user string
	env                        []string
}

func (a *app) runCommand() *cobra.Command {
	var o runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] CONTAINER [--] COMMAND [ARG...]",
		Short: "Run a command in a sandbox",
		Long: `Runs a command in a sandbox with live output and exits with its code: 124 if its
time was up, 126 or 127 if it could not be started, 128 and the signal's number
if one ended it, 125 if pocketdock itself failed. A timeout ends every process
that it started. Options go before CONTAINER; what follows is the command's.

With --lang the argument is source text in that language. With --detach the
command goes on by itself, and its ID is printed, for ps, kill and attach. With
-i -t it has a terminal to itself and no timeout, unless one is given. With
--max-output or --json the output comes at the end.

With --json --stream each piece of output is an object with stream, data and
encoding, before the one that is described here.`,
		Example: `  pocketdock run web -- ls -la /srv
  pocketdock run --timeout 5s --lang python web 'print(sum(range(10)))'
  pocketdock run -it web vim /etc/hosts
  id=$(pocketdock run -d web -- python3 -m http.server)`,
		Args:              atLeast("CONTAINER", "COMMAND"),
		ValidArgsFunction: a.boxes(false, isRunning),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.timed = cmd.Flags().Changed("timeout")
			if err := o.check(cmd, a.args, args, a.json); err != nil {
				return err
			}
			return a.run(cmd.Context(), &o, args[0], args[1:])
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.BoolVarP(&o.stream, "stream", "s", false, "output as it comes: the default, but for --json and --max-output")
	f.BoolVarP(&o.detach, "detach", "d", false, "leave it running and print its ID")
	f.DurationVar(&o.timeout, "timeout", 0, "end it after this long; 0 for never (default: the sandbox's, 30s unless create --timeout gave another)")
	f.StringVar(&o.lang, "lang", "", "language of the source text that is given instead of a command")
	f.StringVar(&o.maxOutput, "max-output", "", "keep that much of each stream, such as 64k, half from the beginning and half from the end")
	f.StringArrayVarP(&o.env, "env", "e", nil, "environment variable, NAME=VALUE, or NAME with the value that it has here")
	f.StringVarP(&o.dir, "workdir", "w", "", "working directory (default: the sandbox's)")
	f.StringVarP(&o.user, "user", "u", "", "user to run as (default: the sandbox's)")
	f.BoolVarP(&o.stdin, "stdin", "i", false, "give standard input to the command, which reads nothing without it")
	f.BoolVarP(&o.tty, "tty", "t", false, "give it a terminal")
	_ = cmd.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions(pocketdock.Languages(), cobra.ShellCompDirectiveNoFileComp))
	cmd.MarkFlagsMutuallyExclusive("detach", "stream")
	cmd.MarkFlagsMutuallyExclusive("detach", "max-output")
	cmd.MarkFlagsMutuallyExclusive("stream", "max-output")
	a.takesJSON(cmd, resultJSON{}, false)
	return cmd
}

func (o *runFlags) check(cmd *cobra.Command, raw, args []string, asJSON bool) error {
	n := len(commandOf(args[1:]))
	if n > 0 && o.lang == "" && strings.HasPrefix(args[1], "-") && args[1] != "--" && cmd.ArgsLenAtDash() != 0 {
		return usageError{cmd, lateOptions(raw, args)}
	}
	switch {
	case n == 0:
		return usageError{cmd, errors.New("COMMAND is missing")}
	case o.lang != "" && n > 1:
		return usageError{cmd, fmt.Errorf("--lang takes the source text as one argument, there are %d: quote it", n)}
	case asJSON && o.tty && !o.detach:
		return usageError{cmd, errors.New("--json and --tty exclude one another")}
	case o.lang != "":
		return checkSource(cmd, o.lang, commandOf(args[1:])[0])
	}
	return nil
}

// lateOptions is the error for options behind CONTAINER, where they would be
// the command. raw is the whole command line, which ends with args.
func lateOptions(raw, args []string) error {
	err := fmt.Errorf("%s: options go before CONTAINER", args[1])
	before := raw[:max(0, len(raw)-len(args))]
	fresh := quietApp().runCommand()
	if fresh.ParseFlags(args[1:]) != nil || fresh.Flags().NArg() == 0 {
		return err
	}
	command := fresh.Flags().Args()
	options := args[1 : len(args)-len(command)]
	return fmt.Errorf("%w: %s", err, project.Quote(slices.Concat([]string{"pocketdock"}, before, options, args[:1], command)...))
}

// checkSource refuses what cannot be meant: a language by another name, and the
// name of a file instead of what is in it.
func checkSource(cmd *cobra.Command, lang, text string) error {
	if near := nearest(lang, pocketdock.Languages()); near != "" && !slices.Contains(pocketdock.Languages(), lang) {
		return usageError{cmd, fmt.Errorf("--lang %s: did you mean %s?", lang, near)}
	}
	if fi, err := os.Stat(text); err == nil && fi.Mode().IsRegular() && filepath.Ext(text) != "" {
		return usageError{cmd, fmt.Errorf("--lang takes source text, and %s is a file: write \"$(cat %s)\"", text, project.Quote(text))}
	}
	return nil
}

// commandOf is the command without the -- that may stand before it.
func commandOf(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}

func (a *app) run(ctx context.Context, o *runFlags, name string, args []string) error {
	cmd, err := o.command(commandOf(args))
	if err != nil {
		return err
	}
	box, err := a.open(ctx, name)
	if err != nil {
		return a.orImage(ctx, err, name)
	}
	e := execution{stdin: o.stdin, tty: o.tty, chunks: o.stream, collect: o.maxOutput != "", limit: o.limit(box.Timeout())}
	if !o.detach {
		return a.execute(ctx, box, cmd, e)
	}
	if o.tty {
		a.giveTerminal(&cmd)
	}
	return a.runDetached(ctx, box, o, cmd)
}

// orImage says what to do where an image is named instead of a sandbox, as
// other container tools have it.
func (a *app) orImage(ctx context.Context, err error, name string) error {
	if !errors.Is(err, pocketdock.ErrContainerNotFound) && !errors.Is(err, pocketdock.ErrInvalid) {
		return err
	}
	if ok, _ := a.client.ImageExists(ctx, name); !ok {
		return err
	}
	return fmt.Errorf("%w; %s is an image, for which there is: pocketdock do --image %s -- COMMAND", err, name, name)
}

// limit is the timeout in words, which say where another one is set.
func (o *runFlags) limit(box time.Duration) string {
	if o.timed {
		return o.timeout.String() + " (--timeout)"
	}
	return box.String() + ", the sandbox's limit; run --timeout sets another (0 for none), create --timeout that of a sandbox"
}

func (o *runFlags) command(args []string) (cmd pocketdock.Command, err error) {
	cmd = pocketdock.Argv(args...)
	if o.lang != "" {
		cmd = pocketdock.Code(o.lang, args[0])
	}
	cmd.Dir, cmd.User = o.dir, o.user
	if cmd.Env, err = variables(o.env); err != nil {
		return cmd, err
	}
	if o.maxOutput != "" {
		if cmd.MaxOutput, err = pocketdock.ParseSize(o.maxOutput); err != nil {
			return cmd, fmt.Errorf("--max-output: %w", err)
		}
		cmd.MaxOutput = max(1, cmd.MaxOutput)
	}
	switch {
	case o.timed && o.timeout < 0:
		return cmd, fmt.Errorf("%w: --timeout %v: must not be negative", pocketdock.ErrInvalid, o.timeout)
	case o.timed && o.timeout > 0:
		cmd.Timeout = o.timeout
	case o.timed, o.tty && o.stdin:
		cmd.Timeout = -1
	}
	return cmd, nil
}

type startedJSON struct {
	ID        string `json:"id"`
	Container string `json:"container"`
}

func (a *app) runDetached(ctx context.Context, box *recordedBox, o *runFlags, cmd pocketdock.Command) error {
	if o.stdin {
		cmd.Stdin = pocketdock.Interactive
	}
	p, err := box.Start(ctx, cmd)
	if err != nil {
		return err
	}
	if a.json {
		return a.out.printJSON(startedJSON{p.ID(), box.Name()})
	}
	_, err = fmt.Fprintln(a.out, p.ID())
	return err
}
