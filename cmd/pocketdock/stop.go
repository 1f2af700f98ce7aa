package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

func (a *app) stopCommand() *cobra.Command {
	var all bool
	var project string
	cmd := &cobra.Command{
		Use:   "stop CONTAINER...",
		Short: "Stop sandboxes and keep their files",
		Long: `Ends what runs in the sandboxes and keeps their files; resume starts them again.
Prints the name of each that is stopped. One that is stopped already is no error.
A sandbox with --ttl or --idle-timeout that is not --persist is removed then.`,
		Example: `  pocketdock stop web
  pocketdock stop --all --project web`,
		Args: func(cmd *cobra.Command, args []string) error {
			if all {
				return noArgs(cmd, args)
			}
			return atLeast("CONTAINER")(cmd, args)
		},
		ValidArgsFunction: a.boxes(true, isRunning),
		RunE: func(cmd *cobra.Command, names []string) error {
			if project != "" && !all {
				return usageError{cmd, errors.New("--project goes with --all")}
			}
			if all {
				list, err := a.client.List(cmd.Context(), pocketdock.ListOptions{Project: project, Running: true})
				if err != nil {
					return err
				}
				for _, it := range list {
					names = append(names, it.Name)
				}
			}
			return a.eachBox(cmd.Context(), names, func(ctx context.Context, box *pocketdock.Container) error { return box.Stop(ctx) })
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all that run")
	cmd.Flags().StringVar(&project, "project", "", "with --all: only those of this project")
	return cmd
}
