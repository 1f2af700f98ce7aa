//go:build !linux

package holes

// Elsewhere the numbers differ or there are none.
const (
	canFind  = false
	seekData = 0
	seekHole = 0
)
