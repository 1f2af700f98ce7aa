package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/project"
)

func (a *app) pruneCommand() *cobra.Command {
	var o pocketdock.PruneOptions
	var images bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove the sandboxes that do not run",
		Long: `Removes the sandboxes that do not run, with their files, and prints their names.
It names them and asks first, and does not without a terminal: then say --yes.
Those that are meant to last (create --persist) stay, unless --persistent says
otherwise; what the project here has recorded of them then goes with them.

With --images it then removes the images that build and snapshot have made here,
if no container is of them and nobody gave them another name. What was imported,
pulled or built otherwise stays.`,
		Example: `  pocketdock prune --dry-run
  pocketdock prune --yes --project web
  pocketdock prune --images`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.prune(cmd.Context(), cmd, o, images) },
	}
	f := cmd.Flags()
	f.StringVar(&o.Project, "project", "", "only those of this project; of images, the snapshots of its sandboxes")
	f.BoolVar(&o.Persistent, "persistent", false, "those that are meant to last, too")
	f.BoolVar(&o.DryRun, "dry-run", false, "only print what would go")
	f.BoolVar(&images, "images", false, "images that were made here and that nothing uses, too")
	return cmd
}

func (a *app) prune(ctx context.Context, cmd *cobra.Command, o pocketdock.PruneOptions, images bool) error {
	if !o.DryRun && !a.yes {
		look := o
		look.DryRun = true
		names, unused, err := a.pruned(ctx, look, images)
		if err != nil {
			return err
		}
		if len(names)+len(unused) == 0 {
			a.notef("There is nothing to remove.")
			return nil
		}
		if err := a.confirm(ctx, cmd, pruneQuestion(names, unused)); err != nil {
			return err
		}
	}
	w, err := a.work()
	if err != nil {
		return err
	}
	instances := a.instances(ctx, w, o)
	names, unused, err := a.pruned(ctx, o, images)
	for _, name := range names {
		if _, e := fmt.Fprintln(a.out, name); e != nil {
			return e
		}
		if !o.DryRun {
			a.disenroll(instances[name])
		}
	}
	for _, image := range unused {
		if _, e := fmt.Fprintln(a.out, image); e != nil {
			return e
		}
	}
	return err
}

// pruned removes, or only looks for, sandboxes and images.
func (a *app) pruned(ctx context.Context, o pocketdock.PruneOptions, images bool) (names, unused []string, err error) {
	names, err = a.client.Prune(ctx, o)
	if images {
		var e error
		unused, e = a.client.PruneImages(ctx, o)
		err = errors.Join(err, e)
	}
	return names, unused, err
}

func pruneQuestion(names, images []string) string {
	var parts []string
	if len(names) > 0 {
		parts = append(parts, strings.Join(names, ", ")+" with all files")
	}
	switch len(images) {
	case 0:
	case 1:
		parts = append(parts, "the image "+images[0])
	default:
		parts = append(parts, "the images "+strings.Join(images, ", "))
	}
	return "Remove " + strings.Join(parts, ", and ")
}

// instances are those of the stopped sandboxes that prune may remove.
func (a *app) instances(ctx context.Context, w *workplace, o pocketdock.PruneOptions) map[string]*project.Instance {
	m := map[string]*project.Instance{}
	if o.DryRun || !o.Persistent {
		return m
	}
	list, err := a.client.List(ctx, pocketdock.ListOptions{Project: o.Project})
	if err != nil {
		return m // and so will prune fail
	}
	for _, it := range list {
		if box, err := a.client.Get(ctx, it.ID); err == nil && isStopped(it) {
			m[box.Name()] = a.instanceOf(w, box)
		}
	}
	return m
}
