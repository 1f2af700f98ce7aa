package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/imageset"
)

type imageSetJSON struct {
	File   string         `json:"file" help:"- for a stream"`
	Arch   string         `json:"arch" help:"of the images"`
	Images []setImageJSON `json:"images" help:"an array of"`
}

type setImageJSON struct {
	Profile string `json:"profile" help:"empty: none"`
	Image   string `json:"image" help:"name"`
	ImageID string `json:"image_id" help:"on the engine that it came from"`
	Size    int64  `json:"size" help:"bytes there, shared layers included"`
}

type exportFlags struct {
	all              bool
	profiles, images []string
	output           string
}

func (a *app) exportCommand() *cobra.Command {
	var o exportFlags
	cmd := &cobra.Command{
		Use:   "export {--all | --profile PROFILE | --image IMAGE} -o FILE",
		Short: "Write images to a file, for a machine without a network",
		Long: `Writes images to one file, which import reads on another machine, on an engine of
either kind. The file's name says how it is compressed: .tar, .tar.gz (.tgz) or
.tar.zst (.tzst); it appears when it is complete. -o - writes a plain .tar to standard
output. Layers that images share are in it once.`,
		Example: `  pocketdock export --profile minimal-python --profile agent -o images.tar.zst
  pocketdock export --all -o - | ssh host pocketdock import -
  pocketdock export --image team/agent:v1 -o team.tar.zst`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return usageError{cmd, fmt.Errorf("%q: export takes no argument; an image goes behind --image", args[0])}
			case !o.all && len(o.profiles)+len(o.images) == 0:
				return usageError{cmd, errors.New("which images? Say --all, --profile or --image")}
			case o.output == "":
				return usageError{cmd, errors.New("-o FILE is missing")}
			case o.output == "-" && a.out.terminal:
				return usageError{cmd, errors.New("a terminal is no place for images: say -o FILE, or redirect the output")}
			case o.output == "-" && a.json:
				return usageError{cmd, errors.New("-o - and --json both want standard output")}
			case o.output == "-":
				return nil
			}
			if _, err := imageset.ByName(o.output); err != nil {
				return usageError{cmd, err}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return a.export(cmd.Context(), &o) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "every profile that is built")
	f.StringArrayVar(&o.profiles, "profile", nil, "a profile's image")
	f.StringArrayVar(&o.images, "image", nil, "any other image, such as a snapshot")
	f.StringVarP(&o.output, "output", "o", "", "file to write; - for standard output")
	cmd.MarkFlagsMutuallyExclusive("all", "profile")
	_ = cmd.RegisterFlagCompletionFunc("profile", a.profileNames)
	a.takesJSON(cmd, imageSetJSON{}, false)
	return cmd
}

func (a *app) export(ctx context.Context, o *exportFlags) (err error) {
	images, err := a.exported(ctx, o)
	if err != nil {
		return err
	}
	m := a.newStages(o.output)
	opts := imageset.ExportOptions{Progress: m.moved}
	var set *imageset.Manifest
	if o.output == "-" {
		set, err = imageset.Export(ctx, &a.client, a.out, images, opts)
	} else {
		set, err = imageset.ExportFile(ctx, &a.client, o.output, images, opts)
	}
	m.end(err)
	if err != nil || o.output == "-" {
		return err
	}
	return a.printSet(o.output, set)
}

// exported are the names of the images to export.
func (a *app) exported(ctx context.Context, o *exportFlags) ([]string, error) {
	var images []string
	if o.all {
		w, err := a.work()
		if err != nil {
			return nil, err
		}
		list, err := a.client.Profiles(ctx, w.ownProfiles()...)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			if p.Built && p.Name != pocketdock.ProfileHost {
				images = append(images, p.Image)
			}
		}
		if len(images)+len(o.images) == 0 {
			return nil, fmt.Errorf("%w: no profile is built; build one with: pocketdock build PROFILE", pocketdock.ErrImageNotFound)
		}
	}
	for _, name := range o.profiles {
		if name == pocketdock.ProfileHost {
			return nil, fmt.Errorf("%w: the profile %s has no image to export: it shows the machine's own programs", pocketdock.ErrInvalid, name)
		}
		images = append(images, pocketdock.Profile{Name: name}.Image())
	}
	return append(images, o.images...), nil
}

// printSet prints what is in an image set: the names, one a line.
func (a *app) printSet(file string, set *imageset.Manifest) error {
	j := imageSetJSON{File: file, Arch: set.Arch, Images: []setImageJSON{}}
	for _, i := range set.Images {
		j.Images = append(j.Images, setImageJSON{i.Profile, i.Tag, i.ID, i.Size})
	}
	if a.json {
		return a.out.printJSON(j)
	}
	for _, i := range set.Images {
		if _, err := fmt.Fprintln(a.out, printable(i.Tag)); err != nil {
			return err
		}
	}
	return nil
}

// stages show an export or import, a meter for each stage.
type stages struct {
	a     *app
	file  string
	stage imageset.Stage
	m     *meter
}

func (a *app) newStages(file string) *stages { return &stages{a: a, file: file} }

func (s *stages) moved(p imageset.Progress) {
	if p.Stage != s.stage {
		s.m.end(nil)
		s.stage, s.m = p.Stage, s.a.newMeter(string(p.Stage)+" "+s.file, p.Total)
	}
	s.m.moved(pocketdock.Progress{Bytes: p.Done, TotalBytes: p.Total})
}

func (s *stages) end(err error) { s.m.end(err) }
