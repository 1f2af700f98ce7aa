package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/project"
)

// otherWords are what other container tools call what we have: their users
// type them first. One that is a command and options is shown as a whole line.
var otherWords = map[string]string{
	"start": "resume, or create for a new one", "restart": "reboot", "exec": "run", "new": "create", "up": "create",
	"delete": "shutdown", "remove": "shutdown", "destroy": "shutdown", "down": "shutdown",
	"cp": "push and pull", "copy": "push and pull", "commit": "snapshot", "save": "export", "load": "import",
	"inspect": "info", "stats": "status, or info CONTAINER", "top": "ps", "history": "logs --history", "wait": "attach",
	"images": "profiles, for those of profiles only; the engine's own command lists snapshots and others",
	"image":  "profiles, build, snapshot, export and import; the engine's own command does the rest",
	"rmi":    "prune --images, for all that were made here and are not used, after the sandboxes that do not run; the engine's own command removes one by name",
	"tag":    "snapshot, which gives its image a name; the engine's own command gives another",
	"pause":  "stop, which ends what runs and keeps the files", "unpause": "resume", "container": "list, create, info and so on",
	"ssh": "shell", "enter": "shell", "bash": "shell", "sh": "shell",
}

// otherFlags are options of other container tools, for one command of ours or
// for all that have what they are here.
var otherFlags = map[string]string{
	"--memory": "--mem-limit", "-m": "--mem-limit", "--cpus": "--cpu-percent, of which 100 is one core",
	"--publish": "--port", "--mount": "--volume", "--net": "--network", "--cap-add": "--cap", "--interactive": "--stdin",
	"--env-file": "--env, once for each variable", "run --rm": "do, which removes its sandbox", "run --name": "create --name",
	"run --image": "do --image", "run -p": "create --port", "run --port": "create --port", "run --volume": "create --volume",
	"do --rm": "always so: leave it out", "do --name": "create --name", "do -p": "create --port", "do --port": "create --port",
	"do --volume": "create --volume", "do -d": "create, and run --detach", "do --detach": "create, and run --detach",
	"create --rm": "do, or create --idle-timeout", "create -d": "always so: leave it out", "create --detach": "always so: leave it out",
	"create -i": "shell, once it is there", "create -t": "shell, once it is there",
	"create --privileged": "--cap, for single capabilities", "run --privileged": "create --cap, for single capabilities",
	"do --privileged": "create --cap, for single capabilities",
	"list -a":         "always so; --running leaves out those that do not run", "list --all": "always so; --running leaves out those that do not run",
	"logs -n": "--tail", "prune -f": "--yes", "prune --force": "--yes", "prune -a": "--images", "prune --all": "--images",
}

// harmful are the commands that nobody is led to by a word that is only a
// little like them.
var harmful = []string{"prune", "shutdown"}

// unknownCommand is the error for a word that is no command.
func (a *app) unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	word, rest := args[0], args[1:]
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && (!slices.Contains(harmful, c.Name()) || strings.HasPrefix(c.Name(), word) || distance(word, c.Name()) < 2) {
			names = append(names, c.Name())
		}
	}
	err := fmt.Errorf("%s is not a command", word)
	if ours, ok := otherWords[word]; ok {
		err = fmt.Errorf("%w; here that is %s", err, ours)
		before := a.args[:max(0, len(a.args)-len(args))]
		if line := inFull(before, ours, rest); line != "" {
			err = fmt.Errorf("%w: %s", err, line)
		}
	} else if near := nearest(word, names); near != "" {
		err = fmt.Errorf("%w; did you mean %s?", err, near)
	}
	return usageError{cmd, err}
}

// inFull is a whole line with a command of ours and what was given to another
// tool's; empty if it would not be understood.
func inFull(before []string, ours string, rest []string) string {
	words := strings.Fields(ours)
	if line := transferLine(rest); line != "" && ours == otherWords["cp"] {
		return line
	}
	if slices.ContainsFunc(words[1:], func(w string) bool { return !strings.HasPrefix(w, "-") }) {
		return "" // prose
	}
	words = append(words, rest...)
	cmd, _, err := quietApp().root().Find(words[:1])
	if err != nil || !cmd.HasParent() || cmd.ParseFlags(words[1:]) != nil || cmd.ValidateArgs(cmd.Flags().Args()) != nil {
		return ""
	}
	return project.Quote(slices.Concat([]string{"pocketdock"}, before, words)...)
}

// quietApp is one that only says how a command line is understood.
func quietApp() *app {
	return &app{stdin: strings.NewReader(""), out: newScreen(io.Discard), err: newScreen(io.Discard), shapes: map[*cobra.Command][]jsonShape{}}
}

// firstWord finds the command's name among the global options.
func firstWord(root *cobra.Command, args []string) []string {
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") {
			return args[i:]
		}
		if f := root.PersistentFlags().Lookup(strings.TrimLeft(args[i], "-")); f != nil && f.NoOptDefVal == "" {
			i++ // its value
		}
	}
	return nil
}

// wrongFlag is the error for an option that is none of the command's, or has a
// value that is none of the option's.
func (a *app) wrongFlag(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return usageError{cmd, wrongValue(err)}
	}
	if args := firstWord(cmd, a.args); !cmd.HasParent() && len(args) > 0 {
		if known, _, e := cmd.Find(args[:1]); e == nil && known == cmd {
			return a.unknownCommand(cmd, args)
		}
	}
	if like := likeFlag(cmd, unknown); like != "" {
		err = fmt.Errorf("%w; %s", err, like)
	}
	return usageError{cmd, err}
}

// likeFlag says what an unknown option probably is here.
func likeFlag(cmd *cobra.Command, unknown *pflag.NotExistError) string {
	flag := "--" + unknown.GetSpecifiedName()
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		flag = "-" + unknown.GetSpecifiedName()
		if _, err := pocketdock.ParseSignal(short); err == nil && cmd.Name() == "kill" {
			return "here that is -s " + short
		}
	}
	if ours, ok := otherFlags[cmd.Name()+" "+flag]; ok {
		return "here that is " + ours
	}
	if ours := otherFlags[flag]; ours != "" {
		name, _, _ := strings.Cut(strings.TrimPrefix(ours, "--"), ",")
		if cmd.Flag(name) != nil {
			return "here that is " + ours
		}
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := nearest(unknown.GetSpecifiedName(), names); near != "" && unknown.GetSpecifiedShortnames() == "" {
		return "did you mean --" + near + "?"
	}
	return ""
}

// wrongValue says of what kind the value of an option has to be.
func wrongValue(err error) error {
	wrong, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	name, value := wrong.GetFlag().Name, wrong.GetValue()
	switch wrong.GetFlag().Value.Type() {
	case "bool":
		return fmt.Errorf("--%s=%s: --%s takes no value, it is on or off", name, value, name)
	case "duration":
		return fmt.Errorf("--%s %q: write a number and a unit, such as 90s", name, value)
	case "int", "int64":
		return fmt.Errorf("--%s %q: write a whole number", name, value)
	}
	return err
}

// transferLine is push or pull for what was written as cp of other container
// tools takes it, one side NAME:PATH; empty if it is not.
func transferLine(args []string) string {
	if len(args) != 2 {
		return ""
	}
	if name, path, ok := inBox(args[1]); ok {
		if _, _, both := inBox(args[0]); !both {
			return project.Quote("pocketdock", "push", name, args[0], path)
		}
	} else if name, path, ok := inBox(args[0]); ok {
		return project.Quote("pocketdock", "pull", name, path, args[1])
	}
	return ""
}

// inBox takes NAME:PATH apart.
func inBox(arg string) (name, path string, ok bool) {
	name, path, ok = strings.Cut(arg, ":")
	return name, path, ok && len(name) > 1 && path != "" && !strings.ContainsAny(name, `/\.`)
}
