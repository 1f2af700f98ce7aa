package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock/imageset"
)

func (a *app) importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Load images from a file that export wrote",
		Long: `Loads all images of a file that export wrote, and prints their names. All of it is
verified first: of a file that is damaged, cut short or something else nothing is
loaded. FILE - is standard input, which is first copied to a private file.`,
		Example: `  pocketdock import images.tar.zst
  ssh host pocketdock export --all -o - | pocketdock import -`,
		Args: exactly("FILE"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return []cobra.Completion{"tar", "gz", "tgz", "zst", "tzst"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "-" && isTerminal(a.stdin) {
				return usageError{cmd, errors.New("a terminal has no images: give a FILE, or redirect the input")}
			}
			return a.importSet(cmd.Context(), args[0])
		},
	}
	a.takesJSON(cmd, imageSetJSON{}, false)
	return cmd
}

func (a *app) importSet(ctx context.Context, file string) error {
	m := a.newStages(file)
	set, err := a.loadSet(ctx, file, imageset.ImportOptions{Progress: m.moved})
	m.end(err)
	if err != nil {
		return err
	}
	return a.printSet(file, set)
}

func (a *app) loadSet(ctx context.Context, file string, o imageset.ImportOptions) (*imageset.Manifest, error) {
	if file == "-" {
		return imageset.Import(ctx, &a.client, a.stdin, o)
	}
	fi, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if fi.Mode().IsRegular() || fi.IsDir() {
		return imageset.ImportFile(ctx, &a.client, file, o)
	}
	// A pipe or device cannot be read twice.
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return imageset.Import(ctx, &a.client, f, o)
}
