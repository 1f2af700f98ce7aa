//go:build linux

package agent

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/agent/fileops"
	"github.com/pocketdock/pocketdock/internal/accounts"
)

// identity is whom a command runs as.
type identity struct {
	uid, gid uint32
	groups   []uint32 // supplementary
	name     string   // empty if the uid has no entry
	home     string
}

// files is i for operations on files.
func (i *identity) files() fileops.Identity {
	return fileops.Identity{UID: i.uid, GID: i.gid, Groups: i.groups, Root: i.uid == 0}
}

// users resolves users by /etc/passwd and /etc/group of the image, which
// may change at any time: two stats decide whether what is known still holds.
type users struct {
	mu     sync.Mutex
	stamps [2]stamp
	known  map[string]*identity
}

const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

type stamp struct {
	ino         uint64
	size        int64
	mtime, ctim syscall.Timespec
}

func stampOf(path string) (s stamp) {
	var st syscall.Stat_t
	if syscall.Stat(path, &st) == nil {
		s = stamp{st.Ino, st.Size, st.Mtim, st.Ctim}
	}
	return s
}

// lookup resolves spec, see [wire.Start].User. The result is shared: it must
// not be changed.
func (a *users) lookup(spec string) (*identity, error) {
	if spec == "" {
		spec = "0"
	}
	stamps := [2]stamp{stampOf(passwdFile), stampOf(groupFile)}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stamps != stamps || a.known == nil || len(a.known) > 64 {
		a.stamps, a.known = stamps, map[string]*identity{}
	}
	if id := a.known[spec]; id != nil {
		return id, nil
	}
	u, err := accounts.Resolve(spec, readAccounts(passwdFile), readAccounts(groupFile))
	if err != nil {
		return nil, err
	}
	id := &identity{uid: u.UID, gid: u.GID, groups: u.Groups, name: u.Name, home: u.Home}
	a.known[spec] = id
	return id, nil
}

func readAccounts(path string) []byte {
	// O_NONBLOCK: it may be a FIFO.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	return readUpTo(fd, accounts.MaxFile)
}
