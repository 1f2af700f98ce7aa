//go:build linux

// Command pocketdock-agent runs inside a sandbox, see package agent. Nobody
// calls it by hand.
package main

import (
	"os"

	"github.com/pocketdock/pocketdock/agent"
)

func main() { os.Exit(agent.Main(os.Args[1:])) }
