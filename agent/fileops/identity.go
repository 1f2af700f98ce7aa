//go:build linux

package fileops

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Identity is whom an operation acts as.
type Identity struct {
	UID, GID uint32
	Groups   []uint32
	// Root acts with the agent's own credentials and capabilities; the other
	// fields are then ignored.
	Root bool
}

// act calls fn on a thread that has id's effective user, group and
// supplementary groups and no effective capability, and restores the thread.
//
// The effective IDs are changed, not only the file system ones of
// setfsuid(2): gVisor does not implement setfsuid (ENOSYS in its system call
// table), setresuid reports its failures, and it makes the kernel drop every
// capability rather than those for files, so that reserved blocks and quotas
// hold too. The real and saved IDs stay the agent's, so that the sandbox's
// user cannot signal or trace the thread and the way back is open.
//
// The calls are raw: package syscall would change all threads. (The other way
// round, syscall.AllThreadsSyscall ends the program if threads differ: the
// agent must not use it once it serves.)
func (id Identity) act(fn func() error) (err error) {
	if id.Root || id.isAgent() {
		return fn()
	}
	runtime.LockOSThread()
	saved, err := become(id)
	defer func() {
		if saved == nil {
			return
		}
		if bad := saved.restore(); bad != nil {
			// The thread stays locked and dies with this goroutine.
			err = lost(fmt.Errorf("restore the agent's credentials: %w", bad))
			return
		}
		runtime.UnlockOSThread()
	}()
	if err != nil {
		return failure("act as", fmt.Sprintf("uid %d gid %d", id.UID, id.GID), err)
	}
	return fn()
}

// isAgent: the agent is not root and id is what it is anyway.
func (id Identity) isAgent() bool {
	return id.UID != 0 && unix.Geteuid() == int(id.UID) && unix.Getegid() == int(id.GID)
}

// credentials are what [become] changes on a thread.
type credentials struct {
	uid, gid uintptr
	groups   []uint32
	caps     [2]unix.CapUserData
}

var agentGroups = sync.OnceValues(func() ([]uint32, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_GETGROUPS, 0, 0, 0)
	if errno != 0 {
		return nil, errno
	}
	if n == 0 {
		return nil, nil
	}
	groups := make([]uint32, n)
	if _, _, errno := unix.RawSyscall(unix.SYS_GETGROUPS, n, uintptr(unsafe.Pointer(&groups[0])), 0); errno != 0 {
		return nil, errno
	}
	return groups, nil
})

// become changes this thread's credentials. It returns what they were even
// when it fails half way.
func become(id Identity) (*credentials, error) {
	saved := &credentials{uid: uintptr(unix.Geteuid()), gid: uintptr(unix.Getegid())}
	var err error
	if saved.caps, err = capabilities(); err != nil {
		return saved, fmt.Errorf("capget: %w", err)
	}
	if saved.groups, err = agentGroups(); err != nil {
		return saved, fmt.Errorf("getgroups: %w", err)
	}
	if err := setGroups(id.Groups); err != nil {
		return saved, fmt.Errorf("setgroups: %w", err)
	}
	if err := setEffective(unix.SYS_SETRESGID, uintptr(id.GID)); err != nil {
		return saved, fmt.Errorf("setresgid: %w", err)
	}
	if err := setEffective(unix.SYS_SETRESUID, uintptr(id.UID)); err != nil {
		return saved, fmt.Errorf("setresuid: %w", err)
	}
	// The kernel has dropped them by now unless the user is root or a secure
	// bit forbids it. That this succeeds is the proof that none is left.
	none := saved.caps
	none[0].Effective, none[1].Effective = 0, 0
	if err := setCapabilities(none); err != nil {
		return saved, fmt.Errorf("capset: %w", err)
	}
	if unix.Geteuid() != int(id.UID) || unix.Getegid() != int(id.GID) {
		return saved, unix.EPERM
	}
	return saved, nil
}

// restore undoes become, in an order in which each step has the capability
// that it needs.
func (c *credentials) restore() error {
	if err := setEffective(unix.SYS_SETRESUID, c.uid); err != nil {
		return fmt.Errorf("setresuid: %w", err)
	}
	if err := setCapabilities(c.caps); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	if err := setEffective(unix.SYS_SETRESGID, c.gid); err != nil {
		return fmt.Errorf("setresgid: %w", err)
	}
	if err := setGroups(c.groups); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	return nil
}

func setEffective(call, id uintptr) error {
	const keep = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(call, keep, id, keep); errno != 0 {
		return errno
	}
	return nil
}

func setGroups(groups []uint32) error {
	var first *uint32
	if len(groups) > 0 {
		first = &groups[0]
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(first)), 0); errno != 0 {
		return errno
	}
	return nil
}

func capabilities() (caps [2]unix.CapUserData, err error) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	err = unix.Capget(&head, &caps[0])
	return caps, err
}

func setCapabilities(caps [2]unix.CapUserData) error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	return unix.Capset(&head, &caps[0])
}
