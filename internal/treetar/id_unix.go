//go:build unix

package treetar

import (
	"io/fs"
	"syscall"
)

// fileID tells whether two names are one file.
type fileID struct{ dev, ino uint64 }

// identify returns the ID of a file that has several names.
func identify(info fs.FileInfo) (fileID, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Nlink < 2 {
		return fileID{}, false
	}
	return fileID{uint64(st.Dev), uint64(st.Ino)}, true
}
