package hostimage

import (
	"encoding/binary"
	"io/fs"
	"syscall"
	"time"
)

// state sums up a file's number and when it was changed, which no program can
// set: a file of the same state has the same content.
func (w *walk) state(fi fs.FileInfo) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		w.newest = time.Now()
		return
	}
	if at := time.Unix(st.Ctim.Unix()); at.After(w.newest) {
		w.newest = at
	}
	w.line = w.line[:0]
	for _, n := range [...]int64{int64(st.Dev), int64(st.Ino), st.Size, st.Ctim.Nano(), st.Mtim.Nano()} {
		w.line = binary.AppendVarint(w.line, n)
	}
	w.sum.Write(w.line)
}
