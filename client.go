package pocketdock

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/pocketdock/pocketdock/internal/engine"
	"github.com/pocketdock/pocketdock/internal/state"
)

// A Client creates and finds containers on one engine. The zero value uses
// the engine of this machine. It is safe for concurrent use and holds no
// connection, so there is nothing to close.
type Client struct {
	// Socket is the engine's Unix socket, a path or a unix:// address.
	//
	// Empty: what POCKETDOCK_SOCKET, CONTAINER_HOST, DOCKER_HOST or the
	// current docker context name; else the first that answers of rootless
	// Podman, rootful Podman, Docker and rootless Docker; else Podman's
	// service is started, if a podman command exists; else the engine that
	// this program has in itself, if it imports package
	// github.com/pocketdock/pocketdock/embedded. "embedded:" and an absolute
	// path is that engine, with all that it keeps in this directory.
	Socket string
	// EngineName, "docker", "podman" or "embedded", is the only kind of engine to use.
	// CONTAINER_HOST, DOCKER_HOST and docker's context are then passed by if
	// they lead to another. Empty: any.
	EngineName string
	// StateDir keeps the agent's program, and for each container the
	// directory with the agent's socket, mode 0700. It must be on the
	// engine's host and survive a reboot.
	//
	// Empty: POCKETDOCK_STATE_DIR, else /var/lib/pocketdock for root and
	// $XDG_STATE_HOME/pocketdock (~/.local/state/pocketdock) for others.
	StateDir string
	// NoMounts creates containers whose agent is copied in and reached over
	// the engine's API instead of a mounted socket: for an engine that does
	// not share this machine's file system (a forwarded socket, a virtual
	// machine). Commands then take 50 to 100 ms more to start.
	NoMounts bool

	gate   gate // of what follows
	engine *engine.Engine
}

// EngineInfo describes the engine in use.
type EngineInfo struct {
	Name    string // "docker", "podman" or "embedded"
	Version string // the engine's own
	API     string // version of the Engine API in use, "1.41"
	Socket  string // path of the Unix socket, or "embedded:" and a directory
	Arch    string // "amd64", "arm64"
	Kernel  string // version of the kernel that containers share
}

// CLI is the engine's own command line, with the option for its socket where
// that is not the one it looks at by itself: "podman", or
// "docker -H unix:///run/other.sock". Empty: the embedded engine has none.
func (e EngineInfo) CLI() string {
	usual := []string{"/run/docker.sock", "/var/run/docker.sock"}
	option := " -H "
	if e.Name == "podman" {
		usual, option = []string{"/run/podman/podman.sock"}, " --url "
		if os.Getuid() != 0 {
			usual[0] = filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "podman/podman.sock")
		}
	}
	switch {
	case e.Name == engine.EmbeddedName:
		return ""
	case slices.Contains(usual, e.Socket):
		return e.Name
	}
	return e.Name + option + "unix://" + e.Socket
}

// Engine finds the engine, if that was not done before, and describes it.
func (c *Client) Engine(ctx context.Context) (EngineInfo, error) {
	e, err := c.open(ctx)
	if err != nil {
		return EngineInfo{}, err
	}
	v, err := e.Describe(ctx)
	if err != nil {
		return EngineInfo{}, apiError(err, "describe the engine", "")
	}
	return EngineInfo{Name: e.Name, Version: e.Version, API: e.API, Socket: e.Path, Arch: v.Arch, Kernel: v.KernelVersion}, nil
}

// EngineKind finds the engine, if that was not done before, and says which one
// it is: "docker", "podman" or "embedded". Unlike Engine it asks no more.
func (c *Client) EngineKind(ctx context.Context) (string, error) {
	e, err := c.open(ctx)
	if err != nil {
		return "", err
	}
	return e.Name, nil
}

// open finds the engine once. Which engine it is, is all that a client
// remembers; a failure is not remembered.
func (c *Client) open(ctx context.Context) (*engine.Engine, error) {
	if err := c.gate.enter(ctx); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer c.gate.leave()
	if c.engine != nil {
		return c.engine, nil
	}
	if !slices.Contains([]string{"", "docker", "podman", engine.EmbeddedName}, c.EngineName) {
		return nil, invalidf("engine %q: must be docker, podman or embedded", c.EngineName)
	}
	e, err := engine.Discover(ctx, c.Socket, c.EngineName)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("connect: %w", context.Cause(ctx))
		}
		return nil, apiError(err, "connect", "")
	}
	c.engine = e
	return e, nil
}

// stateDir is where this client keeps its files.
func (c *Client) stateDir() (state.Dir, error) {
	dir := c.StateDir
	if dir == "" {
		dir = os.Getenv("POCKETDOCK_STATE_DIR")
	}
	if dir == "" {
		var err error
		if dir, err = state.Default(); err != nil {
			return "", err
		}
	}
	abs, err := filepath.Abs(dir)
	return state.Dir(abs), err
}
