// Command pocketdock runs commands in sandboxes on Podman or Docker.
package main

import (
	"context"
	"os"

	"github.com/pocketdock/pocketdock/internal/lategc"
)

func main() {
	lategc.Start()
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
