// Package embedded is a container engine that needs nothing installed: gVisor
// in this program. A program that imports it has the engine "embedded" beside
// Docker and Podman, see [pocketdock.Client.EngineName]; where neither is there
// it is the one that is used. It is for Linux; elsewhere the package exists and
// the engine does not.
//
//	import _ "github.com/pocketdock/pocketdock/embedded"
//
// Sandboxes run in processes of their own, which are this same program, started
// again: the import makes it look at how it was called before anything else. So
// the program must be linked without C libraries (CGO_ENABLED=0), as a sandbox
// has none; where it is not, starting a container says so.
//
// There is no daemon. State is on disk, see [Dir]; any number of programs use
// it at once, and each may be killed at any time.
package embedded
