//go:build linux

package container

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/embedded/internal/group"
	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
	"github.com/pocketdock/pocketdock/embedded/internal/part"
)

// A helper is a monitor that was started and has no container yet.
type helper struct {
	id   string        // of the container that it is for
	conn *net.UnixConn // to it
	// mounts are those of this host when it was started: it keeps them.
	mounts string
	ended  chan error // how it ends
	said   *os.File   // its complaints

	joined chan struct{} // closed when it is in its control group
	group  *group.Group
	failed error // to join
}

// spawn starts a monitor for the container of this ID, and while that
// initialises itself puts it where the sandbox is to be.
func (s *Store) spawn(id string) (*helper, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(fds[1]), "order")
	defer theirs.Close()
	ours := os.NewFile(uintptr(fds[0]), "order")
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	h := &helper{id: id, conn: conn.(*net.UnixConn), mounts: mounts(), ended: make(chan error, 1), joined: make(chan struct{})}
	cmd := exec.Command(s.Program)
	cmd.Args = []string{part.MonitorName, s.Dir, groupPath(id)}
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	if h.said, err = scratch(); err != nil {
		h.close()
		return nil, err
	}
	cmd.Stderr = h.said
	cmd.ExtraFiles = make([]*os.File, monitor.HighFD-2)
	cmd.ExtraFiles[monitor.OrderFD-3], cmd.ExtraFiles[monitor.HighFD-3] = theirs, h.said
	// Namespaces of its own: what is mounted for a sandbox is nobody else's, and
	// neither it nor the gofer has a network.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
		cmd.SysProcAttr.Credential = &syscall.Credential{NoSetGroups: true}
	}
	if err := cmd.Start(); err != nil {
		h.close()
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
			return nil, fmt.Errorf("%w: user namespaces are not allowed here (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces, or kernel.apparmor_restrict_unprivileged_userns)", err)
		}
		return nil, err
	}
	go func() {
		h.failed = h.join(cmd.Process.Pid)
		close(h.joined)
		// The monitor outlives us; while we live its end is waited for. Not
		// before, as its number would be another's then.
		h.ended <- cmd.Wait()
	}()
	return h, nil
}

// mounts are this host's, as this process sees them.
func mounts() string {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	return string(b)
}

// scratch is a file of memory.
func scratch() (*os.File, error) {
	fd, err := unix.MemfdCreate("monitor", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "monitor"), nil
}

func (h *helper) join(pid int) (err error) {
	if os.Geteuid() == 0 {
		if h.group, err = group.Make(groupPath(h.id)); err != nil {
			return err
		}
		if err := h.group.Put(pid); err != nil {
			h.conn.Close() // so that it ends
			return errors.Join(err, group.Remove(h.group.Path, group.EndTime))
		}
	}
	return h.tell(monitor.Joined{Group: h.group})
}

// tell sends a message. A monitor that has ended says why elsewhere.
func (h *helper) tell(v any, files ...*os.File) error {
	if err := monitor.Write(h.conn, v, files...); err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		return err
	}
	return nil
}

// order has the monitor start a container, and waits until it has.
func (h *helper) order(dir string, limits *specs.LinuxResources, files []*os.File) error {
	<-h.joined
	if h.failed != nil {
		return h.failed
	}
	if err := h.group.Limit(limits); err != nil {
		return err
	}
	if err := h.tell(monitor.Order{Dir: dir}, files...); err != nil {
		return err
	}
	var reply monitor.Reply
	if _, err := monitor.Read(h.conn, &reply); err != nil {
		text := make([]byte, 300)
		n, _ := h.said.ReadAt(text, 0)
		log, _ := os.ReadFile(filepath.Join(dir, "monitor.log"))
		text = append(text[:n], log[:min(len(log), 300)]...)
		return fmt.Errorf("the sandbox's monitor ended at once: %s", strings.TrimSpace(string(text)))
	}
	if reply.Error != "" {
		return errors.New(reply.Error)
	}
	return nil
}

// fit reports that the monitor can serve: it lives, and sees what is mounted now.
func (h *helper) fit() bool {
	select {
	case err := <-h.ended:
		h.ended <- err
		return false
	default:
		return h.mounts == mounts()
	}
}

// dismiss ends a monitor that has no container, and removes its group.
func (h *helper) dismiss() {
	<-h.joined
	_ = h.tell(monitor.Order{})
	h.close()
	err := <-h.ended
	h.ended <- err
	if h.group != nil {
		_ = group.Remove(h.group.Path, group.EndTime)
	}
}

// close leaves a monitor to its container; without one it ends.
func (h *helper) close() {
	h.conn.Close()
	if h.said != nil {
		h.said.Close()
	}
}

// spares are monitors for containers that are about to be created: see
// [Store.Expect].
type spares struct {
	mu   sync.Mutex
	list []*spare
}

const (
	maxSpares = 4
	spareTime = 10 * time.Second
)

// A spare is a monitor that is being started. The next container that is
// created has its ID.
type spare struct {
	id    string
	given bool // a container has it
	start func() (*helper, error)
	drop  chan struct{} // not nil: it is being dropped; closed when it is
}

// Expect starts a monitor for a container that is about to be created, so that
// it is there when the container is. One that nothing is made of ends soon.
func (s *Store) Expect() {
	id := newID()
	p := &spare{id: id, start: sync.OnceValues(func() (*helper, error) { return s.spawn(id) })}
	if !s.spares.add(p) {
		return
	}
	go p.start()
	time.AfterFunc(spareTime, func() { s.spares.drop(id) })
}

// drop ends the spare monitor of a container that will not be started. While
// it does, take waits.
func (l *spares) drop(id string) {
	l.mu.Lock()
	i := l.find(id)
	if i < 0 || l.list[i].drop != nil {
		l.mu.Unlock()
		return
	}
	p := l.list[i]
	p.given, p.drop = true, make(chan struct{})
	l.mu.Unlock()
	if h, err := p.start(); err == nil {
		h.dismiss()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := l.find(id); i >= 0 {
		l.list = slices.Delete(l.list, i, i+1)
	}
	close(p.drop)
}

// find is called with the lock held.
func (l *spares) find(id string) int {
	return slices.IndexFunc(l.list, func(p *spare) bool { return p.id == id })
}

// add adds a spare monitor; false if there are enough.
func (l *spares) add(p *spare) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) >= maxSpares {
		return false
	}
	l.list = append(l.list, p)
	return true
}

// id takes the ID of a container from a spare monitor; empty: there is none.
func (l *spares) id() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.list {
		if !p.given {
			p.given = true
			return p.id
		}
	}
	return ""
}

// take takes the spare monitor of a container; nil: it has none.
func (l *spares) take(id string) *spare {
	l.mu.Lock()
	i := l.find(id)
	if i < 0 {
		l.mu.Unlock()
		return nil
	}
	p := l.list[i]
	if p.drop != nil {
		l.mu.Unlock()
		<-p.drop
		return nil
	}
	l.list = slices.Delete(l.list, i, i+1)
	l.mu.Unlock()
	return p
}
