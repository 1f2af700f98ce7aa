package erofs

import "golang.org/x/sys/unix"

// punch makes a hole. It is a saving only, so that it failed is no error.
func punch(f interface{ Fd() uintptr }, off, size int64) {
	unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, size)
}

// writeBack begins to write a range to the disk and does not wait for it.
func writeBack(f interface{ Fd() uintptr }, off, size int64) {
	unix.SyncFileRange(int(f.Fd()), off, size, unix.SYNC_FILE_RANGE_WRITE)
}
