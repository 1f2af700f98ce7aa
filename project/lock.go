package project

import "os"

// lockName is the file whose lock orders the writers of a directory.
const lockName = ".lock"

// lockDir waits for the lock of a directory.
func lockDir(root *os.Root) (unlock func(), err error) {
	f, err := openRegular(root, lockName, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
