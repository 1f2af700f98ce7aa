package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

var unitTemplate = template.Must(template.New("unit").Parse(`# {{.Path}}
[Unit]
Description=pocketdock sandbox {{.Name}}
After=network-online.target {{.Service}}
Wants=network-online.target {{.Service}}

[Service]
Type=oneshot
RemainAfterExit=yes
{{- range .Env}}
Environment={{.}}
{{- end}}
ExecStart={{.Program}} resume {{.Name}}
ExecStop={{.Program}} stop {{.Name}}

[Install]
WantedBy={{.Target}}
`))

// A unit is what the template is filled with.
type unit struct {
	Path, Name, Service, Program, Target string
	Env                                  []string
}

func (a *app) systemdCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "systemd CONTAINER",
		Short: "Print a systemd unit that starts a sandbox with the machine",
		Long: `Prints a systemd unit that resumes a persistent sandbox when the machine starts,
and stops it when it goes down. For root it is a unit of the system, for others
one of the user; those run without a login after: loginctl enable-linger.`,
		Example: `  pocketdock systemd web | sudo tee /etc/systemd/system/pocketdock-web.service
  pocketdock systemd web > ~/.config/systemd/user/pocketdock-web.service`,
		Args:              exactly("CONTAINER"),
		ValidArgsFunction: a.boxes(false, func(it pocketdock.ListItem) bool { return it.Persist }),
		RunE: func(cmd *cobra.Command, args []string) error {
			box, err := a.client.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			info, err := box.Info(cmd.Context())
			if err != nil {
				return err
			}
			if !info.Persist {
				return fmt.Errorf("sandbox %s is not meant to last: create it with --persist", box)
			}
			e, err := a.client.Engine(cmd.Context())
			if err != nil {
				return err
			}
			u, err := unitOf(box, e)
			if err != nil {
				return err
			}
			return unitTemplate.Execute(a.out, u)
		},
	}
}

func unitOf(box *pocketdock.Container, e pocketdock.EngineInfo) (unit, error) {
	program, err := os.Executable()
	if err != nil {
		return unit{}, err
	}
	name := "pocketdock-" + box.Name() + ".service"
	u := unit{Name: box.Name(), Service: e.Name + ".service", Program: unitWord(program),
		Path: "/etc/systemd/system/" + name, Target: "multi-user.target"}
	if e.Name == "podman" {
		u.Service = "podman.socket"
	}
	if os.Getuid() != 0 {
		u.Path, u.Target = "~/.config/systemd/user/"+name, "default.target"
	}
	if box.DataPath() == "" {
		return u, errors.New("that sandbox was not created on this machine")
	}
	// The parent of the directory of all sandboxes is what the unit needs to
	// find them: a service does not have the variables of this shell.
	u.Env = []string{unitWord("POCKETDOCK_SOCKET=" + e.Socket)}
	if dir := os.Getenv("POCKETDOCK_STATE_DIR"); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return u, err
		}
		u.Env = append(u.Env, unitWord("POCKETDOCK_STATE_DIR="+abs))
	}
	return u, nil
}

// unitWord quotes a word for a unit (systemd.syntax(7), systemd.unit(5)).
func unitWord(s string) string {
	s = strings.ReplaceAll(s, "%", "%%")
	if !strings.ContainsAny(s, " \t\"'\\$") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `$$`).Replace(s) + `"`
}
