package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

type listJSON struct {
	ID      string     `json:"id" help:"64 hexadecimal digits"`
	Name    string     `json:"name" help:"of the container"`
	Image   string     `json:"image" help:"as named at creation"`
	Status  string     `json:"status" help:"running, exited, created, paused"`
	Created *time.Time `json:"created" help:"RFC 3339"`
	Project string     `json:"project" help:"empty: none"`
	Profile string     `json:"profile" help:"empty: none"`
	Persist bool       `json:"persist" help:"it is meant to last"`
}

func (a *app) listCommand() *cobra.Command {
	var o pocketdock.ListOptions
	var all bool
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the sandboxes",
		Long: `Lists the sandboxes on the engine, newest first, those that do not run, too; in a
project only its own, unless --all-projects is given.
With --quiet it prints their names only, for xargs.`,
		Example: `  pocketdock list --running
  pocketdock list --quiet --project web | xargs pocketdock stop`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := a.work()
			if err != nil {
				return err
			}
			if !all && o.Project == "" && w.project != nil {
				o.Project = w.ProjectName
			}
			return a.list(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Project, "project", "", "only those of this project (default: the one here, if there is one)")
	f.BoolVar(&all, "all-projects", false, "those of all projects, which is the default outside of a project")
	f.BoolVar(&o.Running, "running", false, "only those that run")
	cmd.MarkFlagsMutuallyExclusive("project", "all-projects")
	a.takesJSON(cmd, listJSON{}, true)
	return cmd
}

func (a *app) list(ctx context.Context, o pocketdock.ListOptions) error {
	list, err := a.client.List(ctx, o)
	if err != nil {
		return err
	}
	switch {
	case a.json:
		for _, it := range list {
			err := a.out.printJSON(listJSON{it.ID, it.Name, it.Image, it.Status, moment(it.Created), it.Project, it.Profile, it.Persist})
			if err != nil {
				return err
			}
		}
		return nil
	case a.quiet:
		for _, it := range list {
			if _, err := fmt.Fprintln(a.out, it.Name); err != nil {
				return err
			}
		}
		return nil
	case len(list) == 0:
		return a.noneListed(ctx, o)
	}
	var rows [][]cell
	for _, it := range list {
		lasts := ""
		if it.Persist {
			lasts = "yes"
		}
		rows = append(rows, []cell{{it.Name, bold}, {it.Status, statusPaint(it.Status)}, text(it.Image),
			text(a.out.when(it.Created)), text(it.Project), text(lasts)})
	}
	return a.out.printTable([]string{"NAME", "STATUS", "IMAGE", "CREATED", "PROJECT", "PERSIST"}, rows)
}

// noneListed says why there is nothing to see: who has just made a project
// would think that all is lost.
func (a *app) noneListed(ctx context.Context, o pocketdock.ListOptions) error {
	all, err := a.client.List(ctx, pocketdock.ListOptions{Running: o.Running})
	if err != nil {
		return err
	}
	if n := len(all); n > 0 && o.Project != "" {
		a.warnf("no sandbox in project %s; %d elsewhere: pocketdock list --all-projects", o.Project, n)
		return nil
	}
	a.notef("There is no sandbox. Make one with: pocketdock create")
	return nil
}

// statusPaint is the colour of a container's status.
func statusPaint(status string) paint {
	switch status {
	case "running":
		return good
	case "exited", "stopped":
		return faint
	case "dead":
		return bad
	}
	return odd
}
