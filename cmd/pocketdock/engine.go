package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

type engineJSON struct {
	Name    string `json:"name" help:"docker, podman or embedded"`
	Version string `json:"version" help:"the engine's own"`
	API     string `json:"api" help:"version of the Engine API in use"`
	Socket  string `json:"socket" help:"path"`
	Arch    string `json:"arch" help:"amd64, arm64"`
	Kernel  string `json:"kernel" help:"that the sandboxes share"`
}

func (a *app) engineCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "engine",
		Short: "Print the engine in use",
		Long: `Prints the container engine in use: what --socket or POCKETDOCK_SOCKET name, else
CONTAINER_HOST, DOCKER_HOST or docker's current context, else the first that
answers of rootless Podman, rootful Podman, Docker and rootless Docker, else, on
Linux, the engine that pocketdock has in itself, "embedded". --engine allows only one
kind. With --quiet it prints the socket's path.`,
		Example: `  pocketdock engine
  pocketdock engine --engine podman --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := a.client.Engine(cmd.Context())
			switch {
			case err != nil:
				return err
			case a.json:
				return a.out.printJSON(engineJSON(e))
			case a.quiet:
				_, err := fmt.Fprintln(a.out, e.Socket)
				return err
			}
			return a.out.printFacts([]fact{
				{"Engine", cell{e.Name + " " + e.Version, good}}, {"API", text(e.API)}, {"Socket", text(e.Socket)},
				{"Machine", text(e.Arch + ", kernel " + e.Kernel)}})
		},
	}
	a.takesJSON(cmd, engineJSON{}, false)
	cmd.AddCommand(a.engineServeCommand())
	return cmd
}
