//go:build linux

// Package container keeps the containers of the embedded engine: a directory
// for each, with what it was asked to be, a monitor's state of its last run,
// and what it has written. There is no daemon. Whether a container runs is
// whether its lock is held, which the kernel tells, however its monitor ended.
//
//	DIR/images/          see package imagestore
//	DIR/lock             held while names are given and containers made
//	DIR/tmp/             containers that are being made or removed
//	DIR/c/ID/config.json what was asked for, 16 digits of the ID
//	DIR/c/ID/root.erofs  a hard link of the image's root file system
//	DIR/c/ID/…           see package monitor
package container

import (
	"time"

	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

// A Config is what a container was created as, with the fields of the Engine
// API that this engine knows.
type Config struct {
	Hostname     string `json:",omitempty"`
	User         string
	Env          []string
	Cmd          []string
	Entrypoint   []string
	WorkingDir   string
	Image        string
	Labels       map[string]string
	StopSignal   string              `json:",omitempty"`
	Volumes      map[string]struct{} `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	OpenStdin    bool
	StdinOnce    bool
	Tty          bool //nolint:revive // the API's spelling, as below
	AttachStdin  bool
	AttachStdout bool
	AttachStderr bool
}

// A HostConfig is what a container has of the host.
type HostConfig struct {
	Binds          []string
	Mounts         []Mount           `json:",omitempty"`
	Tmpfs          map[string]string `json:",omitempty"`
	Memory         int64
	MemorySwap     int64
	NanoCpus       int64
	CpuPeriod      int64 //nolint:revive
	CpuQuota       int64 //nolint:revive
	PidsLimit      *int64
	PortBindings   map[string]any `json:",omitempty"`
	NetworkMode    string
	ReadonlyRootfs bool
	Devices        []any `json:",omitempty"`
	CapDrop        []string
	CapAdd         []string
	SecurityOpt    []string
	AutoRemove     bool
	Runtime        string
	StorageOpt     map[string]string `json:",omitempty"`
	Init           *bool             `json:",omitempty"`
	UsernsMode     string
	RestartPolicy  struct{ Name string }
	Privileged     bool
}

// A Mount is a directory or file of the host, or a file system in memory.
type Mount struct {
	Type, Source, Target string
	ReadOnly             bool
}

// A Container is one as it was found on the disk.
type Container struct {
	ID      string
	Name    string
	Created time.Time
	ImageID string
	Config  Config
	Host    HostConfig

	Dir     string        `json:"-"`
	State   monitor.State `json:"-"`
	Running bool          `json:"-"`
	Paused  bool          `json:"-"`
}

// Status is the Engine API's word.
func (c *Container) Status() string {
	switch {
	case c.Running:
		return "running"
	case c.State.Started == "":
		return "created"
	}
	return "exited"
}
