//go:build linux

// Command pocketdock-agent runs inside a sandbox, see package agent. Nobody
// calls it by hand.
//
// The settings below keep the Go runtime from doing at every start what is of
// no use here: to read limits of processors, which the agent sets by itself,
// and to give names to its memory.

//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
//go:debug decoratemappings=0
package main

import (
	"os"

	"github.com/pocketdock/pocketdock/agent"
)

func main() { os.Exit(agent.Main(os.Args[1:])) }
