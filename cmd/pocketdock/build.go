package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

type buildJSON struct {
	Profile string  `json:"profile" help:""`
	Image   string  `json:"image" help:"name of the image"`
	ImageID string  `json:"image_id" help:"sha256: and 64 hexadecimal digits"`
	Seconds float64 `json:"seconds" help:"that it took"`
}

func (a *app) buildCommand() *cobra.Command {
	var o pocketdock.ProfileBuildOptions
	var args []string
	cmd := &cobra.Command{
		Use:   "build [PROFILE...]",
		Short: "Build the images of profiles",
		Long: `Builds the images of the profiles, all that can be built if none is named, and
prints the name of each. What an earlier build has made is used again, and needs
no network. With --verbose the output of every step is shown.`,
		Example: `  pocketdock build minimal-python agent
  pocketdock build --no-cache dev
  pocketdock build --build-arg http_proxy=http://proxy:3128`,
		ValidArgsFunction: a.profileNames,
		RunE: func(cmd *cobra.Command, names []string) (err error) {
			if o.Args, err = pairs("build-arg", args); err != nil {
				return err
			}
			return a.build(cmd.Context(), names, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.NoCache, "no-cache", false, "build every step anew, with today's packages")
	f.StringArrayVar(&args, "build-arg", nil, "value of an ARG, NAME=VALUE; it stays in the image: nothing secret")
	a.takesJSON(cmd, buildJSON{}, true)
	return cmd
}

func (a *app) build(ctx context.Context, names []string, o pocketdock.ProfileBuildOptions) error {
	w, err := a.work()
	if err != nil {
		return err
	}
	list, err := w.buildable(names)
	if err != nil {
		return err
	}
	// One that fails does not keep the others from being built.
	var failed error
	for _, p := range list {
		begun := time.Now()
		id, err := a.buildOne(ctx, p, o)
		switch {
		case err != nil && failed != nil:
			a.complain(ctx, err)
		case err != nil:
			failed = err
		case a.json:
			err = a.out.printJSON(buildJSON{p.Name, p.Image(), id, seconds(time.Since(begun))})
		default:
			_, err = fmt.Fprintln(a.out, p.Image())
		}
		if ctx.Err() != nil || err != nil && failed == nil {
			return err
		}
	}
	return failed
}

// buildable are the profiles of these names, or all that have an image to build.
func (w *workplace) buildable(names []string) ([]pocketdock.Profile, error) {
	all := append(pocketdock.Profiles(), w.ownProfiles()...)
	var list []pocketdock.Profile
	if len(names) == 0 {
		for _, p := range all {
			if p.Name != pocketdock.ProfileHost {
				list = append(list, p)
			}
		}
		return list, nil
	}
	byName := map[string]pocketdock.Profile{}
	var known []string
	for _, p := range all {
		byName[p.Name] = p
		known = append(known, p.Name)
	}
	for _, name := range names {
		p, ok := byName[name]
		if !ok {
			return nil, errNoProfile(name, known)
		}
		list = append(list, p)
	}
	return list, nil
}

func errNoProfile(name string, known []string) error {
	if near := nearest(name, known); near != "" {
		return fmt.Errorf("%w: no profile %s; did you mean %s?", pocketdock.ErrInvalid, name, near)
	}
	return fmt.Errorf("%w: no profile %s; see them with: pocketdock profiles", pocketdock.ErrInvalid, name)
}

func (a *app) buildOne(ctx context.Context, p pocketdock.Profile, o pocketdock.ProfileBuildOptions) (id string, err error) {
	v := a.newBuildView(p.Name)
	defer func() { v.end(err) }()
	for ev, err := range a.client.BuildProfile(ctx, p, o) {
		if err != nil {
			return "", err
		}
		if ev.Kind == pocketdock.BuildImage {
			id = ev.ImageID
		}
		v.event(ev)
	}
	return id, nil
}
