// Package dockercli has no code, only the test that Docker's own command line
// works with the embedded engine.
package dockercli
