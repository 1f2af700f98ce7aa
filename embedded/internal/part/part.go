// Package part tells by its name what part of a sandbox a process is: gVisor
// clears the environment of its own.
package part

import "strings"

// Parts of a sandbox.
const (
	None    = iota // it is none
	Monitor        // starts the sandbox and watches it; its arguments are the engine's directory and its control group
	GVisor         // the sandbox itself, or its gofer
	Umount         // takes /proc from the sandbox
)

// MonitorName is what a monitor's process is called.
const MonitorName = "pocketdock-monitor"

// Of is what a process with these arguments is.
func Of(args []string) int {
	switch {
	case len(args) < 2:
		return None
	case args[0] == MonitorName:
		return Monitor
	case args[0] == "runsc-sandbox", args[0] == "runsc-gofer":
		return GVisor
	case len(args) == 4 && args[0] == "/proc/self/exe" && args[1] == "umount" && strings.HasPrefix(args[2], "--sync-fd="):
		return Umount
	}
	return None
}
