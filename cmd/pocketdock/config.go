package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock/project"
)

type settingJSON struct {
	Key    string `json:"key" help:"such as logging.auto_log"`
	Value  string `json:"value" help:"as it is written; empty: not set"`
	Source string `json:"source" help:"built-in, user, project, environment or explicit"`
	From   string `json:"from" help:"FILE:LINE, variable or option that it comes from"`
}

func (a *app) configCommand() *cobra.Command {
	var user bool
	cmd := &cobra.Command{
		Use:   "config [KEY [VALUE]]",
		Short: "Show or change the settings",
		Long: `Prints each setting as it holds here, and where it comes from: an option stands
before the environment (POCKETDOCK_LOGGING_AUTO_LOG and so on), that before the
project's .pocketdock/pocketdock.yaml, that before the user's
~/.pocketdock/pocketdock.yaml, and that before what is built in. With KEY it prints
the value alone.

With VALUE it changes the project's file, with --user the user's, and leaves all
else in it as it is.`,
		Example: `  pocketdock config
  pocketdock config default_profile agent
  pocketdock config --user containers.idle_timeout 2h`,
		Args: func(cmd *cobra.Command, args []string) error {
			key, value, pair := strings.Cut(slices.Concat(args, []string{""})[0], "=")
			switch {
			case len(args) == 1 && pair:
				return usageError{cmd, fmt.Errorf("KEY and VALUE are words of their own: %s", project.Quote("pocketdock", "config", key, value))}
			case len(args) == 3 && args[0] == "set":
				return usageError{cmd, fmt.Errorf("set is not written: %s", project.Quote("pocketdock", "config", args[1], args[2]))}
			case len(args) > 2:
				return usageError{cmd, fmt.Errorf("%q is one argument too many", args[2])}
			case user && len(args) < 2:
				return usageError{cmd, errors.New("--user is for a change: KEY and VALUE are missing")}
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return project.Keys(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return a.configure(cmd, args[0], args[1], user)
			}
			key := ""
			if len(args) > 0 {
				key = args[0]
			}
			return a.config(cmd, key)
		},
	}
	cmd.Flags().BoolVar(&user, "user", false, "change the user's file")
	a.takesJSON(cmd, settingJSON{}, true)
	return withOwnSettings(cmd)
}

func (a *app) config(cmd *cobra.Command, key string) error {
	p, err := a.findProject()
	if err != nil {
		return err
	}
	o := project.LoadOptions{Project: p, Explicit: map[string]string{}}
	if a.client.Socket != "" {
		o.Explicit["socket"] = a.client.Socket
	}
	s, err := project.Load(o)
	if err != nil {
		return err
	}
	list := s.Values()
	if key != "" {
		v, ok := s.Value(key)
		if !ok {
			return usageError{cmd, errNoSetting(key)}
		}
		list = []project.Value{v}
	}
	var rows [][]cell
	for _, v := range list {
		if v.Key == "project_name" && v.Value == "" {
			v.Value = s.ProjectName // the directory's
		}
		if v.Key == "default_profile" && p == nil && v.Source == project.BuiltIn {
			v.Value = "" // it holds in projects only, see origin
		}
		switch {
		case a.json:
			err = a.out.printJSON(settingJSON{v.Key, v.Value, v.Source.String(), v.From()})
		case key != "" || a.quiet:
			_, err = fmt.Fprintln(a.out, printable(v.Value))
		default:
			rows = append(rows, []cell{{v.Key, bold}, text(v.Value), {v.From(), faint}})
		}
		if err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return a.out.printTable([]string{"KEY", "VALUE", "FROM"}, rows)
}

func (a *app) configure(cmd *cobra.Command, key, value string, user bool) error {
	var set func() error
	var where string
	if user {
		home, err := os.UserHomeDir()
		if err != nil {
			return err
		}
		set, where = func() error { return project.SetUser(home, key, value) }, project.UserFilePath(home)
	} else {
		p, err := project.Find(".")
		if err != nil {
			return fmt.Errorf("%w; the user's settings are changed with --user", err)
		}
		defer p.Close()
		set, where = func() error { return p.Set(key, value) }, p.ConfigPath()
	}
	err := set()
	if ce, ok := errors.AsType[*project.ConfigError](err); ok && ce.Line == 0 {
		return usageError{cmd, errors.New(ce.Msg)} // of what was given, not of the file
	}
	if err == nil {
		if w, e := a.work(); e == nil && key == "default_profile" {
			a.warnProfile(w.Settings, value)
		}
		a.notef("Written to %s", where)
	}
	return err
}

// errNoSetting says that there is no setting of that name.
type errNoSetting string

func (e errNoSetting) Error() string {
	s := "there is no setting " + string(e)
	if near := nearest(string(e), project.Keys()); near != "" {
		return s + "; did you mean " + near + "?"
	}
	return s + "; see them all with: pocketdock config"
}
