//go:build unix

package pocketdock

import (
	"os"
	"syscall"
)

// ownFile reports a file or directory of this user's, and not a link.
func ownFile(path string) bool {
	fi, err := os.Lstat(path)
	if err != nil || fi.Mode()&os.ModeSymlink != 0 {
		return false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}
