//go:build !unix

package pocketdock

import "os"

// ownFile reports a file or directory, and not a link. Whose it is cannot be
// told here.
func ownFile(path string) bool {
	fi, err := os.Lstat(path)
	return err == nil && fi.Mode()&os.ModeSymlink == 0
}
