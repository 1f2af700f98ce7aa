package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/project"
)

// A workplace is where the command was given: the project of the working
// directory, if there is one, and the settings that hold there.
type workplace struct {
	*project.Settings
	project *project.Project // nil: none
}

// ownSettings notes on a command that it looks at the settings by itself, or
// not at all: a fault in them does not keep it from its work.
const ownSettings = "settings"

func withOwnSettings(cmd *cobra.Command) *cobra.Command {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[ownSettings] = "own"
	return cmd
}

// usesSettings: every command of ours that is not marked. Cobra's own, such as
// help, are in no group or have no use for them.
func usesSettings(cmd *cobra.Command) bool {
	return cmd.HasParent() && cmd.GroupID != "" && cmd.Name() != "help" && cmd.Annotations[ownSettings] == ""
}

// findProject is the project of the working directory; nil if there is none.
// It is closed when the program ends.
func (a *app) findProject() (*project.Project, error) {
	p, err := project.Find(".")
	if errors.Is(err, project.ErrNotInitialized) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p.Warn = func(err error) { a.warnf("%v", err) }
	a.atEnd(func() { p.Close() })
	return p, nil
}

// work loads the settings, once.
func (a *app) work() (*workplace, error) {
	if a.workplace != nil {
		return a.workplace, nil
	}
	p, err := a.findProject()
	if err != nil {
		return nil, err
	}
	s, err := project.Load(project.LoadOptions{Project: p})
	if err != nil {
		return nil, err
	}
	a.workplace = &workplace{s, p}
	return a.workplace, nil
}

// obey lets the settings hold where neither an option nor the environment
// says something else.
func (a *app) obey(w *workplace) {
	if w.LogLevel == "debug" || w.LogLevel == "info" {
		a.verbose = true
	}
	a.mute = w.LogLevel == "error"
	// POCKETDOCK_SOCKET the library reads by itself, and names it when it fails.
	if a.client.Socket == "" && os.Getenv("POCKETDOCK_SOCKET") == "" && os.Getenv("CONTAINER_HOST") == "" && os.Getenv("DOCKER_HOST") == "" {
		a.client.Socket = w.Socket
	}
}

// origin is what a sandbox is made of: what was asked for, else the default
// profile, which without a project counts only if somebody has set it.
func (w *workplace) origin(image, profile string) (string, string) {
	if image != "" || profile != "" {
		return image, profile
	}
	if v, _ := w.Value("default_profile"); w.project != nil || v.Source > project.BuiltIn {
		return "", w.DefaultProfile
	}
	return defaultImage, ""
}

// ownProfiles are the user's, by name.
func (w *workplace) ownProfiles() []pocketdock.Profile {
	var list []pocketdock.Profile
	for _, name := range slices.Sorted(maps.Keys(w.Profiles)) {
		list = append(list, pocketdock.Profile{Name: name, Description: "your own", Dir: w.Profiles[name]})
	}
	return list
}

// unknownProfile says that no profile is called so here; nil if one is.
func (w *workplace) unknownProfile(name string) error {
	var names []string
	for _, p := range append(pocketdock.Profiles(), w.ownProfiles()...) {
		names = append(names, p.Name)
	}
	if name == "" || slices.Contains(names, name) {
		return nil
	}
	err := fmt.Errorf("no profile %s; see them with: pocketdock profiles", name)
	if near := nearest(name, names); near != "" {
		err = fmt.Errorf("%w; did you mean %s?", err, near)
	}
	return err
}

// warnProfile says that a default profile is not known here. It may yet be
// written down or imported.
func (a *app) warnProfile(s *project.Settings, name string) {
	if err := (&workplace{Settings: s}).unknownProfile(name); err != nil {
		a.warnf("%v", err)
	}
}

// checkProfile refuses a profile that is not known here and has no image, which
// may have been imported from where it is.
func (a *app) checkProfile(ctx context.Context, w *workplace, name string) error {
	unknown := w.unknownProfile(name)
	if unknown == nil {
		return nil
	}
	ok, err := a.client.ImageExists(ctx, pocketdock.Profile{Name: name}.Image())
	if ok || errors.Is(err, pocketdock.ErrNoEngine) {
		return err
	}
	return fmt.Errorf("%w: %w", pocketdock.ErrInvalid, unknown)
}

// imageOf is what to call the image of a sandbox.
func imageOf(image, profile string) string {
	if image == "" {
		return pocketdock.Profile{Name: profile}.Image()
	}
	return image
}

// profileNames completes the names of profiles.
func (a *app) profileNames(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	list := pocketdock.Profiles()
	if w, err := a.work(); err == nil {
		list = append(list, w.ownProfiles()...)
	}
	var names []cobra.Completion
	for _, p := range list {
		if !slices.Contains(args, p.Name) {
			names = append(names, cobra.CompletionWithDesc(p.Name, oneLine(p.Description)))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
