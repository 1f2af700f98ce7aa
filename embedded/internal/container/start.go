//go:build linux

package container

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
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
			"gofer-network-namespace":     "host",   // the monitor's, which has no network
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

// launch has a monitor start the container and waits until it says that it
// runs. The monitor gets the lock as it is: there is no moment at which nobody
// holds it. How the monitor ends is sent when it does.
func (s *Store) launch(c *Container, lock *os.File, limits *specs.LinuxResources, more ...*os.File) (ended <-chan error, err error) {
	var h *helper
	if p := s.spares.take(c.ID); p != nil {
		if h, err = p.start(); err != nil {
			h = nil // the next one may do
		} else if !h.fit() {
			h.dismiss()
			h = nil
		}
	}
	if h == nil {
		if h, err = s.spawn(c.ID); err != nil {
			return nil, err
		}
	}
	defer h.close()
	if err := h.order(c.Dir, limits, append([]*os.File{lock}, more...)); err != nil {
		return nil, err
	}
	return h.ended, nil
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
