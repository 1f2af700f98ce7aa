package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

type snapshotJSON struct {
	Image string `json:"image" help:"the new image's name"`
	ID    string `json:"id" help:"of the new image"`
}

func (a *app) snapshotCommand() *cobra.Command {
	var o pocketdock.SnapshotOptions
	var labels []string
	cmd := &cobra.Command{
		Use:   "snapshot CONTAINER IMAGE",
		Short: "Make an image of a sandbox's files",
		Long: `Makes an image, NAME or NAME:TAG, of a sandbox's files and prints its ID. What
runs in the sandbox, what is in memory and what is in volumes is not part of it;
the sandbox's environment is.`,
		Example: `  pocketdock snapshot web web:with-packages
  pocketdock snapshot web web:v2 --comment 'before the update' --exclude /tmp`,
		Args:              exactly("CONTAINER", "IMAGE"),
		ValidArgsFunction: a.boxes(false, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			var err error
			if o.Labels, err = pairs("label", labels); err != nil {
				return err
			}
			box, err := a.client.Get(ctx, args[0])
			if err != nil {
				return err
			}
			id, err := box.Snapshot(ctx, args[1], o)
			if err != nil {
				return err
			}
			if a.json {
				return a.out.printJSON(snapshotJSON{args[1], id})
			}
			_, err = fmt.Fprintln(a.out, id)
			a.notef("Make a sandbox of it with: pocketdock create --image %s", args[1])
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Comment, "comment", "", "kept in the image's history")
	f.StringArrayVarP(&labels, "label", "l", nil, "label of the image, NAME=VALUE")
	f.StringArrayVar(&o.Exclude, "exclude", nil, "leave out what is below that absolute path; this takes the image's size on the disk for a while")
	f.BoolVar(&o.NoPause, "no-pause", false, "leave what runs running meanwhile: a file may be caught half written")
	a.takesJSON(cmd, snapshotJSON{}, false)
	return cmd
}
