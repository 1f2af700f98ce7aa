package pocketdock

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock/internal/cgroup"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// Info is what the engine, the kernel and the agent say about a container at
// one moment. What was asked for at creation is not repeated here.
type Info struct {
	ID      string
	Name    string
	Image   string // as named at creation
	ImageID string
	Status  string // "running", "exited", "paused", "created", …
	Running bool
	Created time.Time
	Started time.Time     // zero if it never ran
	Uptime  time.Duration // 0 unless it runs
	Health  string        // of the image's health check; empty without one

	ExitCode  int // of the container, when it does not run
	OOMKilled bool

	// Use of the container's cgroup; -1 where it is not known (a stopped
	// container, or one whose cgroup cannot be read). Limits are 0 for none.
	Memory        int64   // bytes
	MemoryLimit   int64   // bytes
	MemoryPercent float64 // of the limit; 0 without one
	CPUTime       time.Duration
	CPUPercent    float64 // average since its start, 100 is one core
	PIDs          int64
	PIDsLimit     int64

	Network  bool     // it has an interface besides loopback
	IP       string   // on the engine's network; empty without one
	Ports    []Port   // published
	Volumes  []Volume // mounted from the host
	User     string   // that commands run as by default
	ReadOnly bool     // root file system
	Runtime  string   // OCI runtime

	// ExecPath is how commands get in: "socket" (the agent is PID 1, reached
	// directly), "bridge" (the agent is PID 1, reached through the engine),
	// "resident" (somebody else's container, an agent was copied in), or
	// "engine" (somebody else's container, no agent could be put there).
	// Empty when it does not run.
	ExecPath string
	// Processes that pocketdock runs in it now.
	Processes int
	// ExactKill: timeouts and kills reach every descendant of a command.
	ExactKill bool
	// NoNewPrivileges and the capabilities of PID 1, read back.
	NoNewPrivileges bool
	Capabilities    []string

	Project string
	Profile string
	Persist bool
	Labels  map[string]string
	// TTLLeft and IdleLeft until the container ends itself; negative: no limit.
	TTLLeft  time.Duration
	IdleLeft time.Duration
}

// Info describes the container now. It takes a few milliseconds.
func (c *Container) Info(ctx context.Context) (*Info, error) {
	in, err := c.inspect(ctx)
	if err != nil {
		return nil, err
	}
	info := &Info{
		ID: in.ID, Name: strings.TrimPrefix(in.Name, "/"), Image: in.Config.Labels[labelImage], ImageID: in.Image,
		Status: in.State.Status, Running: in.State.Running, Created: parseTime(in.Created),
		Started: parseTime(in.State.StartedAt), ExitCode: in.State.ExitCode, OOMKilled: in.State.OOMKilled,
		Memory: -1, CPUTime: -1, PIDs: -1, TTLLeft: -1, IdleLeft: -1,
		ReadOnly: in.HostConfig.ReadonlyRootfs, Runtime: in.HostConfig.Runtime, User: in.Config.User,
		Project: in.Config.Labels[labelProject], Profile: in.Config.Labels[labelProfile],
		Persist: in.Config.Labels[labelPersist] == "true", Labels: in.Config.Labels,
	}
	if info.Image == "" {
		info.Image = in.Config.Image
	}
	if in.State.Health != nil && in.State.Health.Status != "none" {
		info.Health = in.State.Health.Status
	}
	info.network(in)
	for _, m := range in.Mounts {
		if m.Type == "bind" && !strings.HasPrefix(m.Destination, agentDir) {
			info.Volumes = append(info.Volumes, Volume{Host: m.Source, Container: m.Destination, ReadOnly: !m.RW})
		}
	}
	if !info.Running {
		return info, nil
	}
	info.Uptime = time.Since(info.Started)
	x, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	info.ExecPath = x.path()
	a, err := x.info(ctx)
	if err != nil {
		return nil, err
	}
	if a != nil {
		info.agent(a)
	} else {
		info.kernel(in.State.Pid)
	}
	info.security(in)
	if info.MemoryLimit > 0 && info.Memory >= 0 {
		info.MemoryPercent = 100 * float64(info.Memory) / float64(info.MemoryLimit)
	}
	if info.Uptime > 0 && info.CPUTime >= 0 {
		info.CPUPercent = 100 * float64(info.CPUTime) / float64(info.Uptime)
	}
	return info, nil
}

func (i *Info) agent(a *wire.Info) {
	i.Memory, i.MemoryLimit = a.MemoryBytes, max(0, a.MemoryLimit)
	i.PIDs, i.PIDsLimit = a.PIDs, max(0, a.PIDsLimit)
	i.CPUTime = time.Duration(a.CPUNanos)
	i.Processes, i.ExactKill = a.Running, a.Exact
	i.User, i.NoNewPrivileges = a.User, a.NoNewPrivs
	i.TTLLeft = time.Duration(a.Limits.TTLLeftMS) * time.Millisecond
	i.IdleLeft = time.Duration(a.Limits.IdleLeftMS) * time.Millisecond
}

func (i *Info) network(in *apiInspect) {
	n := &in.NetworkSettings
	i.Network = in.HostConfig.NetworkMode != "none"
	i.IP = n.IPAddress
	for _, net := range n.Networks {
		if i.IP == "" {
			i.IP = net.IPAddress
		}
	}
	for key, bindings := range n.Ports {
		num, proto, _ := strings.Cut(key, "/")
		port, _ := strconv.Atoi(num)
		for _, b := range bindings {
			host, _ := strconv.Atoi(b.HostPort)
			addr := b.HostIp
			if addr == "" {
				addr = netip.IPv4Unspecified().String()
			}
			i.Ports = append(i.Ports, Port{Container: port, Host: host, Address: addr, Protocol: proto})
		}
	}
	slices.SortFunc(i.Ports, func(a, b Port) int { return a.Container - b.Container })
}

// security is what the configuration says, where the kernel was not asked.
func (i *Info) security(in *apiInspect) {
	for _, s := range in.HostConfig.SecurityOpt {
		if strings.HasPrefix(s, "no-new-privileges") {
			i.NoNewPrivileges = true
		}
	}
	for _, c := range in.HostConfig.CapAdd {
		i.Capabilities = append(i.Capabilities, strings.TrimPrefix(c, "CAP_"))
	}
	slices.Sort(i.Capabilities)
}

// parseTime reads an engine's time; engines write a year 1 for never.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}

// kernel reads the cgroup of a container without an agent, where this program
// runs on the engine's host.
func (i *Info) kernel(pid int) {
	if pid <= 0 {
		return
	}
	u := cgroup.OfProcess(pid)
	i.Memory, i.MemoryLimit = u.Memory, max(0, u.MemoryLimit)
	i.PIDs, i.PIDsLimit = u.PIDs, max(0, u.PIDsLimit)
	i.CPUTime = time.Duration(u.CPUNanos)
}
