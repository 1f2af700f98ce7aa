package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

// An app is one run of the command: its streams and its global options.
type app struct {
	stdin    io.Reader
	out, err *screen
	client   pocketdock.Client

	verbose, quiet, json, yes bool
	mute                      bool // no warnings: log_level is error

	args      []string                       // the command line
	shapes    map[*cobra.Command][]jsonShape // of the commands that have --json
	workplace *workplace                     // nil until somebody asks, see work
	ends      []func()                       // what is done at the end, last first
}

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	begun := time.Now()
	ctx, stop, signalled := untilSignal(ctx)
	defer stop()
	a := &app{args: args, stdin: stdin, out: newScreen(stdout), err: newScreen(stderr)}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(a.out)
	root.SetErr(a.err)
	swept := sweep(ctx)
	err := root.ExecuteContext(ctx)
	for _, end := range slices.Backward(a.ends) {
		end()
	}
	<-swept
	a.logf("done in %v", time.Since(begun).Round(100*time.Microsecond))
	return a.exitCode(ctx, err, signalled())
}

// The groups of commands in the help.
const (
	groupStart   = "start"
	groupBox     = "box"
	groupRun     = "run"
	groupFiles   = "files"
	groupImages  = "images"
	groupMachine = "machine"
)

func (a *app) root() *cobra.Command {
	a.shapes = map[*cobra.Command][]jsonShape{}
	root := &cobra.Command{
		Use:   "pocketdock",
		Short: "Run commands in sandboxes on Podman or Docker",
		Long: `Runs commands in sandboxes: containers of the Podman or Docker that is on this
machine, closed to the network and without privileges unless told otherwise. Where
neither is there, on Linux, it brings an engine of its own, made of gVisor.

Every global option can be set by a variable: POCKETDOCK_SOCKET,
POCKETDOCK_ENGINE, POCKETDOCK_VERBOSE, POCKETDOCK_QUIET, POCKETDOCK_JSON and
POCKETDOCK_YES. NO_COLOR and TERM=dumb turn colours off, as does an output that
is no terminal.

Exit codes: that of the command for do, run, shell and attach; 124 when its time
was up, 126 or 127 when it could not be started, 128 and the signal's number
when a signal ended it. Otherwise 0, 2 for a wrong command line, 1 when doctor
found something broken or a question was answered with no, 125 for any other
failure.

In a directory with a .pocketdock, and below it, the settings of that project
hold: see init and config.`,
		Example: `  pocketdock quickstart
  pocketdock do -- python3 -c 'print("hello")'`,
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		TraverseChildren:  true, // so that -v before a command is --verbose
		Args:              a.unknownCommand,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.settle(cmd) },
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("pocketdock {{.Version}}\n")
	root.SetFlagErrorFunc(a.wrongFlag)
	f := root.PersistentFlags()
	f.StringVar(&a.client.Socket, "socket", "", "Unix socket of the engine (default: the first engine that answers)")
	f.StringVar(&a.client.EngineName, "engine", "", "use only this kind of engine: docker, podman or embedded")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "say what is done, and how long it took")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print names and IDs only")
	f.BoolVar(&a.json, "json", false, "print JSON, where a command has something to tell")
	f.BoolVarP(&a.yes, "yes", "y", false, "do not ask before something is destroyed")
	_ = root.RegisterFlagCompletionFunc("engine", cobra.FixedCompletions([]string{"docker", "podman", "embedded"}, cobra.ShellCompDirectiveNoFileComp))

	root.AddGroup(
		&cobra.Group{ID: groupStart, Title: "To begin with:"},
		&cobra.Group{ID: groupBox, Title: "Sandboxes:"},
		&cobra.Group{ID: groupRun, Title: "Commands in them:"},
		&cobra.Group{ID: groupFiles, Title: "Files:"},
		&cobra.Group{ID: groupImages, Title: "Images:"},
		&cobra.Group{ID: groupMachine, Title: "This machine:"})
	root.SetHelpCommandGroupID(groupMachine)
	root.SetHelpCommand(a.helpCommand())
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		a.documentJSON(cmd)
		rest := ""
		if cmd == root { // the commands first
			root.Long, rest, _ = strings.Cut(root.Long, "\n\n")
		}
		help(cmd, args)
		if rest != "" {
			fmt.Fprintf(a.out, "\n%s\n", rest)
		}
	})
	for group, commands := range map[string][]*cobra.Command{
		groupStart: {a.quickstartCommand(), a.doCommand(), a.initCommand(), a.mcpCommand()},
		groupBox: {a.createCommand(), a.listCommand(), a.infoCommand(), a.rebootCommand(), a.stopCommand(),
			a.resumeCommand(), a.shutdownCommand(), a.pruneCommand()},
		groupRun: {a.runCommand(), a.shellCommand(), a.psCommand(), a.killCommand(), a.attachCommand(),
			a.logsCommand()},
		groupFiles:  {a.pushCommand(), a.pullCommand()},
		groupImages: {a.profilesCommand(), a.buildCommand(), a.exportCommand(), a.importCommand(), a.snapshotCommand()},
		groupMachine: {a.statusCommand(), a.doctorCommand(), a.configCommand(), a.engineCommand(), a.benchCommand(), a.systemdCommand(),
			withOwnSettings(a.completionCommand()), withOwnSettings(a.versionCommand())},
	} {
		for _, cmd := range commands {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	return root
}

// settle completes the global options from the environment and checks them.
func (a *app) settle(cmd *cobra.Command) error {
	if err := cmd.ValidateFlagGroups(); err != nil {
		return usageError{cmd, err}
	}
	for _, name := range []string{"engine", "verbose", "quiet", "json", "yes"} {
		env := "POCKETDOCK_" + strings.ToUpper(name)
		f := cmd.Flag(name)
		v := os.Getenv(env)
		if f == nil || f.Changed || v == "" || name == "json" && !a.printsJSON(cmd) {
			continue
		}
		if err := f.Value.Set(v); err != nil {
			return usageError{cmd, fmt.Errorf("%s=%q: %v", env, v, err)}
		}
	}
	if a.json && !a.printsJSON(cmd) {
		return usageError{cmd, fmt.Errorf("%s prints nothing that --json could change", cmd.CommandPath())}
	}
	if !usesSettings(cmd) {
		return nil
	}
	w, err := a.work()
	if err != nil {
		return err
	}
	a.obey(w)
	return nil
}

// atEnd has something done at the end of the program.
func (a *app) atEnd(do func()) { a.ends = append(a.ends, do) }

// warnf says on stderr what is wrong, and keeps nothing from being done.
func (a *app) warnf(format string, args ...any) {
	if !a.mute {
		fmt.Fprintf(a.err, "%s %s\n", a.err.paint(odd, "pocketdock:"), printable(fmt.Sprintf(format, args...)))
	}
}

// logf says on stderr what is done, with --verbose.
func (a *app) logf(format string, args ...any) {
	if a.verbose {
		fmt.Fprintf(a.err, "%s\n", a.err.paint(faint, printable(fmt.Sprintf(format, args...))))
	}
}

// notef says on stderr what a person wants to know and a program does not.
func (a *app) notef(format string, args ...any) {
	if a.err.terminal && !a.quiet {
		fmt.Fprintf(a.err, "%s\n", printable(fmt.Sprintf(format, args...)))
	}
}
