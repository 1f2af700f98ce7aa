package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

func (a *app) rebootCommand() *cobra.Command {
	var fresh bool
	cmd := &cobra.Command{
		Use:   "reboot CONTAINER",
		Short: "Stop a sandbox and start it again",
		Long: `Stops a sandbox and starts it again, with its files, and prints its name.

With --fresh it is made anew from its image, with all its options and none of
the files that were written since. As they are lost, it asks first.`,
		Example: `  pocketdock reboot web
  pocketdock reboot --fresh --yes web`,
		Args:              exactly("CONTAINER"),
		ValidArgsFunction: a.boxes(false, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			w, err := a.work()
			if err != nil {
				return err
			}
			if fresh {
				box, err := a.client.Get(ctx, args[0])
				if err != nil {
					return err
				}
				if err := a.confirm(ctx, cmd, "Make "+box.Name()+" anew, without the files that were written in it"); err != nil {
					return err
				}
			}
			return a.eachBox(ctx, args, func(ctx context.Context, box *pocketdock.Container) error {
				if !fresh {
					return box.Reboot(ctx)
				}
				inst := a.instanceOf(w, box)
				now, err := box.RebootFresh(ctx)
				if err == nil {
					a.reenroll(inst, now)
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&fresh, "fresh", false, "make it anew from its image, with its options")
	return cmd
}
