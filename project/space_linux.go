package project

import "golang.org/x/sys/unix"

// space is what a file system has, in bytes.
type space struct {
	free, total int64
	noexec      bool
}

func spaceOf(dir string) (space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return space{}, err
	}
	return space{int64(s.Bavail) * s.Bsize, int64(s.Blocks) * s.Bsize, s.Flags&unix.ST_NOEXEC != 0}, nil
}
