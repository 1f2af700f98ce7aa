//go:build !unix

package treetar

import (
	"io/fs"
	"os"
)

const openFlags = os.O_RDONLY

// Hard links and holes are not found elsewhere.
type fileID struct{}

func identify(fs.FileInfo) (fileID, bool) { return fileID{}, false }

// MayHaveHoles reports that a file has less on disk than its size.
func MayHaveHoles(fs.FileInfo) bool { return false }
