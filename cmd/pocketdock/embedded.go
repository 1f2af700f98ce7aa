//go:build linux && !race && !noembedded

package main

import "github.com/pocketdock/pocketdock/embedded"

// The engine that the command has in itself. Not with the race detector, which
// needs C libraries, that no sandbox has.
func init() { serveEngine = embedded.Serve }
