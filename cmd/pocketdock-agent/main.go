//go:build linux

// Command pocketdock-agent runs inside a sandbox, see package agent. Nobody
// calls it by hand.
//
// The setting below keeps the Go runtime from giving its memory names, a call
// of the kernel for each piece of it.

//go:debug decoratemappings=0
package main

import (
	"os"

	"github.com/pocketdock/pocketdock/agent"
)

func main() { os.Exit(agent.Main(os.Args[1:])) }
