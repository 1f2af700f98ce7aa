package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock/project"
)

func (a *app) initCommand() *cobra.Command {
	var o project.InitOptions
	cmd := &cobra.Command{
		Use:   "init [PATH]",
		Short: "Make a directory a project",
		Long: `Makes a directory a project (default: this one), with .pocketdock/pocketdock.yaml in it:
every setting with its meaning and built-in value. Prints the directory.

In a project, and below, its settings hold, its sandboxes carry its name, and what
runs in those that are meant to last is recorded: see config, create and logs.
What is there already is left as it is.`,
		Example: `  pocketdock init
  pocketdock init ./shop --name shop --profile minimal-node`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{cmd, fmt.Errorf("%q is one argument too many", args[1])}
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			return a.init(dir, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Name, "name", "", "name that its sandboxes carry (default: the directory's)")
	f.StringVar(&o.Profile, "profile", "", "profile of sandboxes that name none")
	_ = cmd.RegisterFlagCompletionFunc("profile", a.profileNames)
	return withOwnSettings(cmd)
}

func (a *app) init(dir string, o project.InitOptions) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	r, err := project.Init(dir, o)
	if err != nil {
		return err
	}
	defer r.Project.Close()
	for _, path := range r.Created {
		a.logf("made %s", path)
	}
	if len(r.Created) == 0 {
		if o != (project.InitOptions{}) {
			a.warnf("%s is there already: --name and --profile changed nothing", r.Project.ConfigPath())
		} else if !a.quiet {
			a.warnf("it is a project already, nothing was changed; see: pocketdock config")
		}
	}
	if s, err := project.Load(project.LoadOptions{Project: r.Project}); err == nil {
		a.warnProfile(s, o.Profile)
	}
	_, err = fmt.Fprintln(a.out, r.Project.Dir())
	return err
}
