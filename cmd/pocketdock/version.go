package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

type versionJSON struct {
	Version string `json:"version" help:"of this program"`
	System  string `json:"system" help:"it was built for, such as linux/amd64"`
	Go      string `json:"go" help:"release that built it"`
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long:  "Prints the version of this program. No engine is asked: see the engine command.",
		Example: `  pocketdock version
  pocketdock version --json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versionJSON{version(), runtime.GOOS + "/" + runtime.GOARCH, runtime.Version()}
			switch {
			case a.json:
				return a.out.printJSON(v)
			case a.quiet:
				_, err := fmt.Fprintln(a.out, v.Version)
				return err
			}
			_, err := fmt.Fprintf(a.out, "pocketdock %s %s %s\n", v.Version, v.System, v.Go)
			return err
		},
	}
	a.takesJSON(cmd, versionJSON{}, false)
	return cmd
}

// version is the module's, as the go command recorded it.
func version() string {
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" {
		return bi.Main.Version
	}
	return "(devel)"
}
