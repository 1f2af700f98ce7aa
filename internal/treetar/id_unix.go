//go:build unix

package treetar

import (
	"io/fs"
	"os"
	"syscall"
)

// openFlags do not wait for the writer of a FIFO that took a file's place.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// fileID tells whether two names are one file.
type fileID struct{ dev, ino uint64 }

// identify returns the ID of a file that has several names.
func identify(info fs.FileInfo) (fileID, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Nlink < 2 || info.IsDir() {
		return fileID{}, false
	}
	return fileID{uint64(st.Dev), uint64(st.Ino)}, true
}

// MayHaveHoles reports that a file has less on disk than its size.
func MayHaveHoles(info fs.FileInfo) bool {
	const sector = 512 // of st_blocks
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int64(st.Blocks)*sector < info.Size()
}
