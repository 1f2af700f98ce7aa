//go:build linux

package fileops

import (
	"os"
	"os/exec"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// oldKernel, in the environment, makes a run of these tests one on a kernel
// without the newer system calls.
const oldKernel = "POCKETDOCK_TEST_OLD_KERNEL"

func TestMain(m *testing.M) {
	if os.Getenv(oldKernel) != "" {
		if err := forbid(unix.SYS_RENAMEAT2, unix.SYS_FACCESSAT2, unix.SYS_FCHMODAT2); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// forbid makes all threads of this process get ENOSYS for some system calls.
func forbid(calls ...uint32) error {
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the call's number
	for i, nr := range calls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(calls) - i), K: nr})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return errno
	}
	return nil
}

// gVisor and older kernels lack some system calls; everything works without.
func TestOnAnOldKernel(t *testing.T) {
	needRoot(t)
	if os.Getenv(oldKernel) != "" {
		if _, err := os.Lstat("/"); err != nil {
			t.Fatal(err)
		}
		if err := unix.Renameat2(unix.AT_FDCWD, "/nowhere", unix.AT_FDCWD, "/nowhere2", 0); err != unix.ENOSYS {
			t.Fatalf("this is no old kernel: %v", err)
		}
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^Test(OnAn|Mkdir|Remove|Move|Chmod|Chown|Symlink|Write|TarIn|TreeRound|Permissions|Interrupted)")
	cmd.Env = append(os.Environ(), oldKernel+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
