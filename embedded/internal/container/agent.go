//go:build linux

package container

import (
	"os"
	"path/filepath"
	"runtime"

	"github.com/pocketdock/pocketdock/internal/agentbin"
)

// agentFile is the agent's program as a file of the host: the first process of
// containers that other tools make, and who copies files, are executed from
// it, by its descriptor. No container has it in its file system for that.
func (s *Store) agentFile() (string, error) {
	sum, err := agentbin.Sum(runtime.GOARCH)
	if err != nil {
		return "", err
	}
	path := filepath.Join(s.Dir, "agent-"+sum[:16])
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	b, err := agentbin.Program(runtime.GOARCH)
	if err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(filepath.Join(s.Dir, "tmp"), "agent-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if _, err := tmp.Write(b); err != nil {
		return "", err
	}
	// A sandbox asks for the right to execute it as whoever runs the command.
	if err := tmp.Chmod(0o755); err != nil {
		return "", err
	}
	if err := tmp.Sync(); err != nil {
		return "", err
	}
	return path, os.Rename(tmp.Name(), path)
}
