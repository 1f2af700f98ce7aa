package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

type profileJSON struct {
	Name        string     `json:"name" help:"for --profile"`
	Description string     `json:"description" help:"what is in it"`
	Network     bool       `json:"network" help:"its sandboxes have one unless told otherwise"`
	Path        string     `json:"path" help:"directory of one of your own; empty: built in"`
	Image       string     `json:"image" help:"name of its image"`
	Built       bool       `json:"built" help:"the engine has the image"`
	ImageID     string     `json:"image_id" help:"empty: not built"`
	Size        int64      `json:"size" help:"bytes, layers shared with other images included"`
	Created     *time.Time `json:"created" help:"of the image, RFC 3339"`
}

func (a *app) profilesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "profiles",
		Short: "List the kinds of sandboxes",
		Long: `Lists the profiles, built in and of your own, and which of them are built. Your own
are directories with a Dockerfile, under profiles in the settings:

    profiles:
      rust: ./profiles/rust

With --quiet it prints names only.`,
		Example: `  pocketdock profiles
  pocketdock profiles --json | jq -r 'select(.built).name'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.profiles(cmd.Context()) },
	}
	a.takesJSON(cmd, profileJSON{}, true)
	return cmd
}

func (a *app) profiles(ctx context.Context) error {
	w, err := a.work()
	if err != nil {
		return err
	}
	list, err := a.client.Profiles(ctx, w.ownProfiles()...)
	if err != nil {
		return err
	}
	var rows [][]cell
	for _, p := range list {
		switch {
		case a.json:
			err = a.out.printJSON(profileJSON{p.Name, p.Description, p.Network, p.Dir, p.Image, p.Built, p.ImageID, p.Size, moment(p.Created)})
		case a.quiet:
			_, err = fmt.Fprintln(a.out, p.Name)
		default:
			rows = append(rows, profileRow(&p))
		}
		if err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return a.out.printTable([]string{"PROFILE", "BUILT", "SIZE", "NETWORK", "WHAT"}, rows)
}

func profileRow(p *pocketdock.ProfileInfo) []cell {
	built, size, network, what := cell{"no", faint}, "", "off", p.Description
	if p.Built {
		built = cell{"yes", good}
	}
	if p.Size > 0 {
		size = pocketdock.FormatSize(p.Size)
	}
	if p.Network {
		network = "on"
	}
	if p.Dir != "" {
		what = p.Dir
	}
	return []cell{{p.Name, bold}, built, text(size), text(network), text(what)}
}
