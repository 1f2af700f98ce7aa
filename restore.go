package pocketdock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pocketdock/pocketdock/internal/agentbin"
	"github.com/pocketdock/pocketdock/internal/state"
)

// newRecord is the record of an existing container whose directory has none:
// it was wiped, or the container is somebody else's.
func (c *Container) newRecord() state.Record {
	own := self()
	if c.box != "" {
		own = nobody // whose it was is not known: no sweep may take it
	}
	return state.Record{Owner: string(own), Machine: machineID(), Engine: c.engine.Path,
		Name: c.name, ID: c.id, Persist: c.box == "" || c.persist, Resident: c.box == ""}
}

// restore puts back what a container needs on this host to start: a reboot may
// have wiped its directory, and with the whole state directory the agent's
// program. Docker would make directories in their places, owned by root. wiped
// says that what the agent itself had there is gone.
func (c *Container) restore(ctx context.Context) (wiped bool, err error) {
	dir, err := c.client.stateDir()
	if err != nil {
		return false, err
	}
	r, err := c.box.Record()
	if err != nil {
		made := c.newRecord()
		r = &made
		if a, ok := c.exec.(*agentExec); ok && a.kind == agentSocket {
			if r.Program, r.Arch, err = c.mountedProgram(ctx, dir); err != nil {
				return false, err
			}
		}
	}
	_, err = os.Stat(c.box.IO())
	wiped = errors.Is(err, fs.ErrNotExist)
	if err := dir.Prepare(c.box, *r); err != nil || r.Program == "" {
		return wiped, err
	}
	// If this library is another version than the one that made the container,
	// its agent takes the old one's place: the path is part of the container.
	_, err = dir.Program(r.Program, func() ([]byte, error) { return agentbin.Program(r.Arch) })
	return wiped, err
}

const limitsFile = "limits.json"

// keepLimits keeps time limits that were changed; the agent's own note of them
// is in what may be wiped.
func (c *Container) keepLimits(l TimeLimits) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return c.box.WriteFile(limitsFile, b)
}

// restoreLimits tells them to an agent that has lost its note.
func (c *Container) restoreLimits(ctx context.Context, a *agentExec) error {
	b, err := c.box.ReadFile(limitsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var l TimeLimits
	if err == nil {
		err = json.Unmarshal(b, &l)
	}
	if err != nil {
		return fmt.Errorf("container %s runs, but its time limits are not known any more (%w): set them again", c.name, err)
	}
	return l.set(ctx, a)
}

// mountedProgram asks the engine which file of ours the container mounts as
// its agent, and which processor it is for.
func (c *Container) mountedProgram(ctx context.Context, dir state.Dir) (sum, arch string, err error) {
	in, err := c.inspect(ctx)
	if err != nil {
		return "", "", err
	}
	for _, m := range in.Mounts {
		if sum := filepath.Base(m.Source); m.Destination == agentBinary && m.Source == dir.ProgramPath(sum) {
			img, err := inspectImage(ctx, c.engine, in.Image)
			if err != nil {
				return "", "", err
			}
			return sum, img.Architecture, nil
		}
	}
	return "", "", nil
}
