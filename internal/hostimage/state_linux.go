package hostimage

import (
	"encoding/binary"
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
	var b []byte
	for _, n := range [...]int64{int64(st.Dev), int64(st.Ino), st.Size, st.Ctim.Nano(), st.Mtim.Nano()} {
		b = binary.AppendVarint(b, n)
	}
	return string(b)
}
