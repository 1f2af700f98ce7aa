//go:build unix

package project

import (
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// sameDevice reports whether two directories are on one file system.
func sameDevice(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	if errA != nil || errB != nil {
		return false
	}
	s, okA := x.Sys().(*syscall.Stat_t)
	t, okB := y.Sys().(*syscall.Stat_t)
	return okA && okB && s.Dev == t.Dev
}

// foreignOwner is the owner of a directory that is neither this user's nor
// root's. In a shared directory such as /tmp anybody may put a .pocketdock,
// and those who work below it would take their settings from there.
func foreignOwner(fi fs.FileInfo) (uid uint32, foreign bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 || int(st.Uid) == os.Geteuid() {
		return 0, false
	}
	if os.Geteuid() == 0 && os.Getenv("SUDO_UID") == strconv.Itoa(int(st.Uid)) {
		return 0, false
	}
	return st.Uid, true
}
