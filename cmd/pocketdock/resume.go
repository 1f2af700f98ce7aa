package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

func (a *app) resumeCommand() *cobra.Command {
	var all bool
	var project string
	cmd := &cobra.Command{
		Use:   "resume CONTAINER...",
		Short: "Start stopped sandboxes again",
		Long: `Starts stopped sandboxes again, with their files, and prints the name of each.
One that runs already is no error.`,
		Example: `  pocketdock resume web
  pocketdock resume --all --project web`,
		Args: func(cmd *cobra.Command, args []string) error {
			if all {
				return noArgs(cmd, args)
			}
			return atLeast("CONTAINER")(cmd, args)
		},
		ValidArgsFunction: a.boxes(true, isStopped),
		RunE: func(cmd *cobra.Command, names []string) error {
			if project != "" && !all {
				return usageError{cmd, errors.New("--project goes with --all")}
			}
			if all {
				list, err := a.client.List(cmd.Context(), pocketdock.ListOptions{Project: project})
				if err != nil {
					return err
				}
				for _, it := range list {
					if isStopped(it) {
						names = append(names, it.Name)
					}
				}
			}
			return a.eachBox(cmd.Context(), names, func(ctx context.Context, box *pocketdock.Container) error { return box.Resume(ctx) })
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all that do not run")
	cmd.Flags().StringVar(&project, "project", "", "with --all: only those of this project")
	return cmd
}
