package project

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockedByte is far behind any content: what is locked on Windows cannot be read.
var lockedByte = windows.Overlapped{OffsetHigh: 1 << 30}

func lock(f *os.File, flags uint32) error {
	at := lockedByte
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &at)
}

func lockFile(f *os.File) error { return lock(f, windows.LOCKFILE_EXCLUSIVE_LOCK) }

func tryLockFile(f *os.File) bool {
	return lock(f, windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY) == nil
}

func unlockFile(f *os.File) {
	at := lockedByte
	windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &at)
}
