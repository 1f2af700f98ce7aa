package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

func (a *app) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "resume CONTAINER...",
		Short: "Start stopped sandboxes again",
		Long: `Starts stopped sandboxes again, with their files, and prints the name of each.
One that runs already is no error.`,
		Example: `  pocketdock resume web
  pocketdock list --quiet | xargs pocketdock resume`,
		Args:              atLeast("CONTAINER"),
		ValidArgsFunction: a.boxes(true, isStopped),
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.eachBox(cmd.Context(), names, func(ctx context.Context, box *pocketdock.Container) error { return box.Resume(ctx) })
		},
	}
}
