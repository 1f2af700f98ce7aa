package hostimage

import (
	"fmt"
	"io/fs"
	"syscall"
	"time"
)

// state says a file's number and when it was changed, which no program can
// set: a file of the same state has the same content.
func (l *layer) state(fi fs.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		l.newest = time.Now()
		return ""
	}
	if at := time.Unix(st.Ctim.Unix()); at.After(l.newest) {
		l.newest = at
	}
	return fmt.Sprint(st.Dev, st.Ino, st.Size, st.Ctim, st.Mtim)
}
