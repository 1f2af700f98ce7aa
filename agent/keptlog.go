//go:build linux

package agent

import (
	"encoding/binary"
	"io"

	"golang.org/x/sys/unix"
)

// A keptLog is the log of a stream that has ended, or of an earlier life of
// the agent: a file of its own, or a place in the journal. It is opened by
// whoever reads it.
type keptLog struct {
	store *store
	name  string
	place *place // in the journal; nil: the file of that name has it
	total int64
	first int64 // offset of the first byte that is there
	limit int64
	base  int64 // where in the file the byte at an offset lies: base + offset % limit
}

// keep looks at a log's file, which anybody may have written. torn says that
// the agent was killed while it wrote.
func (st *store) keep(name string, torn bool) *keptLog {
	k := &keptLog{store: st, name: name, limit: 1, base: logHeader}
	fd, size := st.open(name)
	if fd < 0 {
		return k
	}
	defer unix.Close(fd)
	var h [32]byte
	if n, _ := unix.Pread(fd, h[:], 0); n != len(h) || string(h[:8]) != logMagic {
		return k
	}
	limit := int64(binary.LittleEndian.Uint64(h[8:]))
	total := int64(binary.LittleEndian.Uint64(h[16:]))
	lost := int64(binary.LittleEndian.Uint64(h[24:]))
	if limit < 1 || limit > maxLogLimit || total < 0 || total > 1<<60 || lost < 0 || lost > total {
		return k
	}
	k.limit, k.total = limit, total
	k.first = max(lost, total-limit)
	if torn && total > limit {
		k.first = min(total, k.first+min(maxAppend, limit))
	}
	// What lies beyond the file's end is not there.
	if have := max(size-logHeader, 0); have < min(total, limit) {
		k.first = total
	}
	return k
}

// kept is the log of stream i, which has ended.
func (l *log) kept(i int) *keptLog {
	l.mu.Lock()
	name, at, total := l.name, l.place, l.total
	l.mu.Unlock()
	if at != nil {
		return l.store.journal.log(at, i, total)
	}
	return l.store.keep(name, false)
}

// A keptReader reads a kept log.
type keptReader struct {
	*keptLog
	fd int
}

func (k *keptLog) open() *keptReader {
	if k.place != nil {
		return &keptReader{k, k.store.journal.open(k.place)}
	}
	fd, _ := k.store.open(k.name)
	return &keptReader{k, fd}
}

func (r *keptReader) close() {
	if r.fd >= 0 {
		unix.Close(r.fd)
	}
}

func (r *keptReader) copyOut(b []byte, off int64) (int, error) {
	if r.fd < 0 {
		return 0, errLogGone
	}
	at := off % r.limit
	n := min(int64(len(b)), r.total-off, r.limit-at)
	m, err := unix.Pread(r.fd, b[:n], r.base+at)
	if err == nil && m <= 0 {
		err = io.ErrUnexpectedEOF
	}
	return m, err
}
