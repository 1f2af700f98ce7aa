//go:build linux

package agent

import (
	"fmt"
	"os"
)

const usageText = `pocketdock-agent runs inside a sandbox; the pocketdock library starts it.
  init CONFIG     PID 1 of a container
  serve CONFIG    helper in a container that others made
  first ARGV…     PID 1 of a container of the embedded engine that others made
  visit           operations on files, on stdin and stdout
  bridge SOCKET   joins stdin and stdout to an agent's socket
  version
`

// Main is the command. It returns the exit code.
func Main(args []string) int {
	if len(args) == 0 {
		args = []string{"help"}
	}
	switch {
	case args[0] == "init" && len(args) == 2:
		return Init(args[1])
	case args[0] == "serve" && len(args) == 2:
		return Serve(args[1])
	case args[0] == "exec":
		return Shim(args[1:])
	case args[0] == "first":
		return First(args[1:])
	case args[0] == "visit" && len(args) == 1:
		return Visit()
	case args[0] == "bridge" && len(args) == 2:
		if err := Bridge(args[1], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "pocketdock-agent bridge:", err)
			return 1
		}
		return 0
	case args[0] == "version" && len(args) == 1:
		fmt.Println(Version)
		return 0
	}
	fmt.Fprint(os.Stderr, usageText)
	return 2
}
