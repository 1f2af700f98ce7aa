//go:build !linux

package pocketdock

import "errors"

// Elsewhere containers run in a virtual machine, whose processes are not ours to see.
func hostKill(int, int) error { return errors.ErrUnsupported }
func hostTree(root int) []int { return []int{root} }
func innerPID(int) string     { return "" }
