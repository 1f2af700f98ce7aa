package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

func (a *app) shutdownCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "shutdown CONTAINER...",
		Aliases: []string{"rm"},
		Short:   "Stop sandboxes and remove them with their files",
		Long: `Stops sandboxes and removes them with their files, and prints the name of each.
It asks first, and does not without a terminal: then say --yes.

Of one that the project here has a directory for, that goes, too: its history, its
logs, and what is in its data/. stop keeps everything. A container that pocketdock
did not create is left alone.`,
		Example: `  pocketdock shutdown web
  pocketdock list --quiet --project web | xargs pocketdock shutdown --yes`,
		Args:              atLeast("CONTAINER"),
		ValidArgsFunction: a.boxes(true, nil),
		RunE: func(cmd *cobra.Command, names []string) error {
			ctx := cmd.Context()
			w, err := a.work()
			if err != nil {
				return err
			}
			question := "Remove " + strings.Join(names, ", ") + " with all files"
			if !a.yes { // to be told of a mistyped name before the question
				for _, name := range names {
					box, err := a.client.Get(ctx, name)
					if err != nil {
						return err
					}
					if err := a.mayRemove(ctx, box); err != nil {
						return err
					}
					if inst := a.instanceOf(w, box); inst != nil {
						question += ", and " + inst.Dir() + " with its history and logs"
					}
				}
			}
			if err := a.confirm(ctx, cmd, question); err != nil {
				return err
			}
			var mu sync.Mutex // of what is done at the end
			return a.eachBox(ctx, names, func(ctx context.Context, box *pocketdock.Container) error {
				if err := a.mayRemove(ctx, box); err != nil {
					return err
				}
				mu.Lock()
				inst := a.instanceOf(w, box)
				mu.Unlock()
				end := box.Shutdown
				if force {
					end = box.Destroy
				}
				if err := end(ctx); err != nil {
					return err
				}
				a.disenroll(inst)
				return nil
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "kill what runs, without giving it time to end")
	return cmd
}

// mayRemove refuses what is somebody else's: names are typed by hand, and
// engines have containers with data that nobody wants to lose to a wrong one.
func (a *app) mayRemove(ctx context.Context, box *pocketdock.Container) error {
	if box.Managed() {
		return nil
	}
	e, err := a.client.Engine(ctx)
	if err != nil {
		return err
	}
	how := "what made it removes it"
	if cli := e.CLI(); cli != "" {
		how = fmt.Sprintf("remove it with: %s rm %s", cli, box)
	}
	return fmt.Errorf("container %s is no sandbox of pocketdock, and was left alone; %s", box, how)
}
