//go:build !linux

package hostimage

import (
	"io/fs"
	"time"
)

// state: only Linux has this profile.
func (w *walk) state(fs.FileInfo) { w.newest = time.Now() }
