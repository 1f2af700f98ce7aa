package pocketdock

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// EngineDetails are what an engine says about itself beside [EngineInfo]:
// what decides whether sandboxes can be isolated and limited. Every text is
// the engine's, cut to 256 bytes, and without control characters.
type EngineDetails struct {
	EngineInfo
	OS     string // of the engine's host, "Debian GNU/Linux 12 (bookworm)"
	CPUs   int
	Memory int64 // of the host, in bytes

	// Rootless: the engine runs as a user, and container root is that user.
	Rootless bool
	// CgroupVersion is 1 or 2; 0 if it does not say.
	CgroupVersion int
	CgroupDriver  string // "systemd", "cgroupfs", "none"
	// Controllers that containers can be limited by, sorted, such as "cpu",
	// "memory", "pids": those that the kernel has and, for a rootless engine,
	// that were delegated to its user.
	Controllers []string
	// UserNamespace: container root is not root of the host.
	UserNamespace bool
	// SubUIDs is how many user IDs a rootless engine maps into containers,
	// beside its user's own; -1 if it does not say.
	SubUIDs int64

	StorageDriver string // "overlay2", "overlay", "vfs", …
	// DataRoot is the directory of images and containers on the engine's host.
	DataRoot string

	// Seccomp is the profile that containers get: "default", "builtin", a
	// path, "unconfined"; empty where there is none.
	Seccomp  string
	AppArmor bool
	SELinux  bool

	Runtimes       []string // OCI runtimes that are configured, sorted
	DefaultRuntime string
	Warnings       []string // the engine's own
}

// apiInfo is the answer of /info.
type apiInfo struct {
	OperatingSystem string
	NCPU            int
	MemTotal        int64
	CgroupDriver    string
	CgroupVersion   string
	MemoryLimit     bool
	PidsLimit       bool
	CpuCfsQuota     bool //nolint:revive // the API's spelling
	CPUSet          bool
	Driver          string
	DockerRootDir   string
	SecurityOptions []string
	Runtimes        map[string]struct{}
	DefaultRuntime  string
	Warnings        []string
	Rootless        bool
}

// apiPodmanInfo is what Podman's own API says more exactly: its answer to
// /info has every limit, also where it can enforce none.
type apiPodmanInfo struct {
	Host struct {
		CgroupControllers []string
		CgroupVersion     string
		IDMappings        struct {
			UIDMap []struct {
				Size int64 `json:"size"`
			} `json:"uidmap"`
		} `json:"idMappings"`
		Security struct {
			Rootless           bool
			ApparmorEnabled    bool
			SelinuxEnabled     bool
			SeccompEnabled     bool
			SeccompProfilePath string
		}
	}
}

// EngineDetails asks the engine about itself. Podman takes a second or two.
func (c *Client) EngineDetails(ctx context.Context) (*EngineDetails, error) {
	info, err := c.Engine(ctx)
	if err != nil {
		return nil, err
	}
	e, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	var in apiInfo
	if err := e.JSON(ctx, "GET", "/info", nil, nil, &in); err != nil {
		return nil, apiError(err, "describe the engine", "")
	}
	d := &EngineDetails{EngineInfo: info, OS: in.OperatingSystem, CPUs: max(0, in.NCPU), Memory: max(0, in.MemTotal),
		Rootless: in.Rootless, CgroupVersion: cgroupVersion(in.CgroupVersion), CgroupDriver: in.CgroupDriver, SubUIDs: -1,
		StorageDriver: in.Driver, DataRoot: in.DockerRootDir,
		Runtimes: slices.Sorted(maps.Keys(in.Runtimes)), DefaultRuntime: in.DefaultRuntime, Warnings: in.Warnings}
	for name, has := range map[string]bool{"memory": in.MemoryLimit, "pids": in.PidsLimit, "cpu": in.CpuCfsQuota, "cpuset": in.CPUSet} {
		if has {
			d.Controllers = append(d.Controllers, name)
		}
	}
	d.security(in.SecurityOptions)
	if e.Name == "podman" {
		var p apiPodmanInfo
		if err := e.JSON(ctx, "GET", "/libpod/info", nil, nil, &p); err != nil {
			return nil, apiError(err, "describe the engine", "")
		}
		d.podman(&p)
	}
	d.UserNamespace = d.UserNamespace || d.Rootless
	slices.Sort(d.Controllers)
	d.clean()
	return d, nil
}

func cgroupVersion(s string) int {
	switch strings.TrimPrefix(s, "v") {
	case "1":
		return 1
	case "2":
		return 2
	}
	return 0
}

// security reads Docker's list: "name=seccomp,profile=default".
func (d *EngineDetails) security(options []string) {
	for _, o := range options {
		fields := strings.Split(o, ",")
		switch strings.TrimPrefix(fields[0], "name=") {
		case "seccomp":
			d.Seccomp = "default"
			for _, f := range fields[1:] {
				if p, ok := strings.CutPrefix(f, "profile="); ok {
					d.Seccomp = p
				}
			}
		case "apparmor":
			d.AppArmor = true
		case "selinux":
			d.SELinux = true
		case "rootless":
			d.Rootless = true
		case "userns":
			d.UserNamespace = true
		}
	}
}

func (d *EngineDetails) podman(p *apiPodmanInfo) {
	h := &p.Host
	d.Rootless = h.Security.Rootless
	d.Controllers = h.CgroupControllers
	if v := cgroupVersion(h.CgroupVersion); v != 0 {
		d.CgroupVersion = v
	}
	d.AppArmor, d.SELinux = h.Security.ApparmorEnabled, h.Security.SelinuxEnabled
	switch {
	case !h.Security.SeccompEnabled:
		d.Seccomp = ""
	case h.Security.SeccompProfilePath != "":
		d.Seccomp = h.Security.SeccompProfilePath
	case d.Seccomp == "":
		d.Seccomp = "default"
	}
	if d.Rootless {
		d.SubUIDs = 0
		for n, m := range h.IDMappings.UIDMap {
			if n > 0 && m.Size > 0 && d.SubUIDs < 1<<40 {
				d.SubUIDs += min(m.Size, 1<<32)
			}
		}
	}
}

const (
	maxEngineText = 256 // bytes of one text
	maxEngineList = 64  // texts of one list
)

// clean bounds every text and takes out what a terminal would obey.
func (d *EngineDetails) clean() {
	for _, s := range []*string{&d.Name, &d.Version, &d.API, &d.Arch, &d.Kernel, &d.OS, &d.CgroupDriver, &d.StorageDriver, &d.DataRoot, &d.Seccomp, &d.DefaultRuntime} {
		*s = cleanText(*s)
	}
	for _, list := range []*[]string{&d.Controllers, &d.Runtimes, &d.Warnings} {
		*list = slices.Clone((*list)[:min(len(*list), maxEngineList)])
		for i, s := range *list {
			(*list)[i] = cleanText(s)
		}
	}
}

func cleanText(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxEngineText)], "")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
