package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

func (a *app) killCommand() *cobra.Command {
	var name string
	var grace time.Duration
	cmd := &cobra.Command{
		Use:   "kill CONTAINER ID...",
		Short: "End processes in a sandbox",
		Long: `Ends processes and everything that they started: SIGTERM, --grace, SIGKILL. It
returns when nothing of them is left. With --signal that signal is sent to the
process's group instead, and nothing is waited for. ID is as ps prints it.`,
		Example: `  pocketdock kill web 3f2a9c1d
  pocketdock kill -s HUP web 3f2a9c1d`,
		Args:              withID(atLeast("CONTAINER", "ID")),
		ValidArgsFunction: a.processes(true),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			var sig pocketdock.Signal
			if name != "" {
				var err error
				if sig, err = pocketdock.ParseSignal(name); err != nil {
					return err
				}
			}
			box, err := a.client.Get(ctx, args[0])
			if err != nil {
				return err
			}
			var errs []error
			for _, id := range args[1:] {
				p := box.Process(id)
				if name == "" {
					err = p.Kill(ctx, grace)
				} else {
					err = p.Signal(ctx, sig)
				}
				if err == nil {
					_, err = fmt.Fprintln(a.out, id)
				}
				errs = append(errs, inContainer(box, err))
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().StringVarP(&name, "signal", "s", "", "send this signal, by name or number, and no other")
	cmd.Flags().DurationVar(&grace, "grace", 500*time.Millisecond, "between SIGTERM and SIGKILL")
	_ = cmd.RegisterFlagCompletionFunc("signal", cobra.FixedCompletions(
		[]string{"HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
