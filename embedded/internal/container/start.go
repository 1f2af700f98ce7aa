//go:build linux

package container

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/embedded/internal/group"
	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
	"github.com/pocketdock/pocketdock/embedded/internal/part"
)

// Start starts the container and returns when its first process runs. One that
// runs already is no error.
func (s *Store) Start(ctx context.Context, c *Container) error {
	if err := checkProgram(s.Program); err != nil {
		return err
	}
	lock, err := s.lock(ctx, c)
	if lock == nil {
		return err
	}
	defer lock.Close()
	limits, err := s.prepare(ctx, c)
	if err != nil {
		c.fail(err)
		return err
	}
	if _, err := s.launch(c, lock, limits); err != nil {
		c.fail(err)
		return fmt.Errorf("start container %s: %w", c.Name, err)
	}
	return c.Refresh()
}

// lock takes the container's lock; nil: it runs.
func (s *Store) lock(ctx context.Context, c *Container) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(c.Dir, monitor.LockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := flock(lock, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return lock, nil
		}
		if err == unix.EWOULDBLOCK {
			// Somebody looks at it, it is starting, is visited, or it runs.
			if err = c.Refresh(); err == nil && !c.Running {
				err = sleep(ctx, 5*time.Millisecond)
			}
		}
		if err != nil || c.Running {
			lock.Close()
			return nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// agentProgram is what the first process of the library's containers is: it
// waits at its end until its files are saved, see agent/farewell.go.
const agentProgram = "/.pocketdock/agent"

// prepare writes what the monitor reads, and returns the limits. The lock is
// held.
func (s *Store) prepare(ctx context.Context, c *Container) (*specs.LinuxResources, error) {
	if err := os.RemoveAll(filepath.Join(c.Dir, monitor.StateFile)); err != nil {
		return nil, err
	}
	spec, l, err := s.plan(ctx, c)
	if err != nil {
		return nil, err
	}
	p := spec.Process
	if n := c.Host.PidsLimit; n != nil && *n > 0 {
		p.Env = append(p.Env, fmt.Sprintf("POCKETDOCK_PIDS=%d", *n))
	}
	if len(p.Args) > 1 && p.Args[0] == agentProgram && p.Args[1] == "init" {
		l.Linger = !c.Host.AutoRemove && !c.Host.ReadonlyRootfs
	} else {
		p.Args = append([]string{"pocketdock-agent", "first"}, p.Args...)
		l.First, l.Linger = true, true
	}
	if l.Linger {
		p.Env = append(p.Env, "POCKETDOCK_FAREWELL=1")
	}
	return spec.Linux.Resources, c.write(spec, l)
}

// plan is how a container is to run, in a directory without what a run that
// was killed has left.
func (s *Store) plan(ctx context.Context, c *Container) (*specs.Spec, *monitor.Launch, error) {
	img, err := s.Images.Get(ctx, c.ImageID)
	if err != nil {
		return nil, nil, err
	}
	rootless := os.Geteuid() != 0
	for _, d := range []string{"run", monitor.SocketFile, "paused"} {
		if err := os.RemoveAll(filepath.Join(c.Dir, d)); err != nil {
			return nil, nil, err
		}
	}
	for _, d := range []string{"run", "empty", "bundle"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, d), 0o700); err != nil {
			return nil, nil, err
		}
	}
	spec, err := c.spec(img, rootless)
	if err != nil {
		return nil, nil, err
	}
	upper := filepath.Join(c.Dir, monitor.UpperFile)
	if _, err := os.Stat(upper); err == nil {
		spec.Annotations["dev.gvisor.tar.rootfs.upper"] = upper
	}
	agent, err := s.agentFile()
	if err != nil {
		return nil, nil, err
	}
	l := &monitor.Launch{ID: c.ID[:12], Bundle: filepath.Join(c.Dir, "bundle"), Stdin: c.Config.OpenStdin, StdinOnce: c.Config.StdinOnce, TTY: c.Config.Tty,
		User: c.user(img), Agent: agent, Events: s.EventsFile(), Event: c.event(),
		Flags: map[string]string{
			"root":                        filepath.Join(c.Dir, "run"),
			"network":                     "none",
			"gofer-network-namespace":     "new",    // one that is shared is pinned by a mount in our directory
			"host-uds":                    "create", // the agent's socket; none of the host's can be opened
			"ignore-cgroups":              fmt.Sprint(rootless),
			"rootless":                    fmt.Sprint(rootless),
			"allow-rootfs-tar-annotation": "true",
			"overlay2":                    "root:dir=" + filepath.Join(c.Dir, "run"), // and none of mounts
		}}
	if dir := os.Getenv("POCKETDOCK_ENGINE_LOG"); dir != "" {
		l.Flags["debug"], l.Flags["debug-log"] = "true", dir+"/"
	}
	if c.Host.AutoRemove {
		l.AutoRemove = filepath.Join(s.Dir, "tmp")
	}
	return spec, l, nil
}

// write writes what the monitor reads.
func (c *Container) write(spec *specs.Spec, l *monitor.Launch) error {
	if err := writeJSON(filepath.Join(l.Bundle, "config.json"), spec); err != nil {
		return err
	}
	return writeJSON(filepath.Join(c.Dir, monitor.LaunchFile), l)
}

// launch runs the monitor and waits until it says that the container runs. The
// monitor gets the lock as it is: there is no moment at which nobody holds it.
// How the monitor ends is sent when it does.
func (s *Store) launch(c *Container, lock *os.File, limits *specs.LinuxResources, more ...*os.File) (ended <-chan error, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	joined, join, err := os.Pipe()
	if err != nil {
		w.Close()
		return nil, err
	}
	defer join.Close()
	cmd := exec.Command(s.Program)
	cmd.Args = []string{part.MonitorName, c.Dir}
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	complaints, err := os.Create(filepath.Join(c.Dir, "monitor.log"))
	if err != nil {
		w.Close()
		joined.Close()
		return nil, err
	}
	defer complaints.Close()
	cmd.Stderr = complaints
	cmd.ExtraFiles = make([]*os.File, monitor.HighFD-2)
	copy(cmd.ExtraFiles, append([]*os.File{lock, w, joined}, more...))
	cmd.ExtraFiles[monitor.HighFD-3] = complaints
	// A mount namespace of its own: what is mounted for a sandbox is nobody else's.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWNS}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
		cmd.SysProcAttr.Credential = &syscall.Credential{NoSetGroups: true}
	}
	err = cmd.Start()
	w.Close()
	joined.Close()
	if err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
			return nil, fmt.Errorf("%w: user namespaces are not allowed here (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces, or kernel.apparmor_restrict_unprivileged_userns)", err)
		}
		return nil, err
	}
	// The monitor outlives us; while we live its end is waited for.
	end := make(chan error, 1)
	go func() { end <- cmd.Wait() }()
	// While it initialises itself.
	if err := c.join(cmd.Process.Pid, limits, join); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if err != nil {
		return nil, err
	}
	var reply monitor.Reply
	if len(b) == 0 {
		text := make([]byte, 300)
		n, _ := complaints.ReadAt(text, 0)
		return nil, fmt.Errorf("the sandbox's monitor ended at once: %s", strings.TrimSpace(string(text[:n])))
	}
	if err := json.Unmarshal(b, &reply); err != nil {
		return nil, err
	}
	if reply.Error != "" {
		return nil, errors.New(reply.Error)
	}
	return end, nil
}

// join moves a monitor into the control group of its sandbox, and tells it.
func (c *Container) join(pid int, limits *specs.LinuxResources, to *os.File) error {
	var j monitor.Joined
	if os.Geteuid() == 0 {
		g, err := group.Make(c.groupPath(), limits)
		if err == nil {
			err = g.Put(pid)
		}
		if err != nil {
			j.Error = err.Error()
		}
		j.Group = g
	}
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	_, _ = to.Write(b) // one that has ended says why itself
	return to.Close()
}

// checkProgram refuses a program that cannot be a part of a sandbox: it has no
// files there, not even a dynamic linker.
func checkProgram(program string) error {
	f, err := elf.Open(program)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("this program is linked with C libraries, which a sandbox does not have: build it with CGO_ENABLED=0: %w", ErrNoSupport)
		}
	}
	return nil
}
