//go:build linux

package agent

// Version is the agent's own version, told in [wire.Info]. The protocol's
// version is [wire.Version].
const Version = "0.1.0"
