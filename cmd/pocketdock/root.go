package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

// An app is one run of the command: its streams and its global options.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	client         pocketdock.Client
}

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop, signalled := untilSignal(ctx)
	defer stop()
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	return exitCode(stderr, err, signalled())
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "pocketdock",
		Short:         "Run commands in sandboxes on Podman or Docker",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&a.client.Socket, "socket", "", "Unix socket of the engine (default: POCKETDOCK_SOCKET, or the first engine that answers)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError{cmd, err} })
	root.AddCommand(a.doCommand(), a.versionCommand())
	return root
}
