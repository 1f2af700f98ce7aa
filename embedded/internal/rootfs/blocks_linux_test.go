package rootfs

import (
	"syscall"
	"testing"
)

// blocks is what a file takes on the disk, in bytes.
func blocks(t *testing.T, name string) int64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(name, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}
