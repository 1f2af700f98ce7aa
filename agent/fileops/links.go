//go:build linux

package fileops

import "golang.org/x/sys/unix"

// maxHardLinks bounds how many files with several names are remembered, some
// 20 MB of them. A further one is treated as a file of its own.
const maxHardLinks = 1 << 16

// links remembers files that have several names, to find them again under
// the next one.
type links struct {
	seen map[inode]*linked
}

type inode struct{ dev, ino uint64 }

type linked struct {
	name string
	left uint64 // names not seen yet
}

// first is the name under which this file was seen before. If it was not, it
// is remembered under name.
func (l *links) first(st *unix.Stat_t, name string) (string, bool) {
	if st.Nlink < 2 || isDir(st) {
		return "", false
	}
	key := inode{uint64(st.Dev), st.Ino}
	if known := l.seen[key]; known != nil {
		if known.left--; known.left == 0 {
			delete(l.seen, key)
		}
		return known.name, true
	}
	if len(l.seen) < maxHardLinks {
		if l.seen == nil {
			l.seen = make(map[inode]*linked)
		}
		l.seen[key] = &linked{name: name, left: uint64(st.Nlink) - 1}
	}
	return "", false
}
