//go:build linux

package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

// A Visit is the agent's program in a container that does not run, serving
// operations on its files: see agent.Visit. What it wrote is kept if it ended
// well, and the container is then as it was.
type Visit struct {
	c     *Container
	ended <-chan error
}

// Visit begins a visit with these standard streams. Whoever starts or removes
// the container meanwhile waits. [ErrConflict] is that it runs by now.
func (s *Store) Visit(ctx context.Context, c *Container, in, out *os.File) (*Visit, error) {
	lock, err := s.lock(ctx, c)
	if err != nil {
		return nil, err
	}
	if lock == nil {
		return nil, fmt.Errorf("container %s has been started: %w", c.Name, ErrConflict)
	}
	defer lock.Close()
	if err := c.bury(); err != nil {
		return nil, err
	}
	spec, l, err := s.plan(ctx, c)
	if err != nil {
		return nil, err
	}
	all := caps(defaultCaps)
	spec.Process = &specs.Process{
		Args: []string{"pocketdock-agent", "visit"}, Cwd: "/",
		Env:          []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "POCKETDOCK_FAREWELL=1"},
		Capabilities: &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all},
	}
	l.Visit, l.Linger, l.First, l.User, l.AutoRemove = true, true, false, "", ""
	if err := c.write(spec, l); err != nil {
		return nil, err
	}
	ended, err := s.launch(c, lock, spec.Linux.Resources, in, out)
	if err != nil {
		return nil, fmt.Errorf("copy files of container %s: %w", c.Name, err)
	}
	return &Visit{c, ended}, nil
}

// Wait waits for the end. An error means that nothing was kept.
func (v *Visit) Wait() error {
	if err := <-v.ended; err != nil {
		why, _ := os.ReadFile(filepath.Join(v.c.Dir, "monitor.log"))
		return fmt.Errorf("copy files of container %s: %s: %w", v.c.Name, strings.TrimSpace(string(why[:min(len(why), 300)])), err)
	}
	return nil
}

// bury writes down the end of a container whose monitor was killed: while it is
// visited it must not look as if it ran. The lock is held.
func (c *Container) bury() error {
	path := filepath.Join(c.Dir, monitor.StateFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var st monitor.State
	if err := json.Unmarshal(b, &st); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if st.Started == "" || st.Finished != "" {
		return nil
	}
	st.Killed()
	return writeJSON(path, st)
}

// fail writes down why the container could not be started.
func (c *Container) fail(why error) {
	code := 125
	switch text := why.Error(); {
	case strings.Contains(text, "not found in $PATH"), strings.Contains(text, "no such file"):
		code = 127
	case strings.Contains(text, "permission denied"), strings.Contains(text, "is a directory"):
		code = 126
	}
	st := monitor.State{Failed: time.Now().UTC().Format(time.RFC3339Nano), Error: why.Error(), ExitCode: code}
	_ = writeJSON(filepath.Join(c.Dir, monitor.StateFile), st)
}
