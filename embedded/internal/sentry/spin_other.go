//go:build linux && !noembedded && !amd64

package sentry

// spin: gVisor watches as long as it means to, as nothing else was measured.
func spin() {}
