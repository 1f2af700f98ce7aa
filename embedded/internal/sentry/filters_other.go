//go:build linux && !noembedded && !amd64

package sentry

// compiledFilters: gVisor compiles its own.
var compiledFilters []byte
