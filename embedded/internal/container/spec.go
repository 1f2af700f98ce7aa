//go:build linux

package container

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/pocketdock/pocketdock/embedded/internal/group"
	"github.com/pocketdock/pocketdock/embedded/internal/imagestore"
)

// defaultCaps are those that a container has, as Docker's, but for NET_RAW.
var defaultCaps = []string{"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}

// knownCaps are all that Linux has, see capabilities(7).
var knownCaps = []string{"AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH",
	"FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE",
	"NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE",
	"SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM"}

// Caps are the container's capabilities, as "CAP_CHOWN".
func (c *Container) Caps() []string {
	set := map[string]bool{}
	norm := func(s string) string { return strings.TrimPrefix(strings.ToUpper(s), "CAP_") }
	drop, add := c.Host.CapDrop, c.Host.CapAdd
	if !slices.ContainsFunc(drop, func(s string) bool { return norm(s) == "ALL" }) {
		for _, k := range defaultCaps {
			set[k] = true
		}
	}
	for _, k := range add {
		set[norm(k)] = true
	}
	for _, k := range drop {
		if !slices.Contains(add, k) {
			delete(set, norm(k))
		}
	}
	var list []string
	for k := range set {
		if k != "ALL" && k != "NET_RAW" {
			list = append(list, k)
		}
	}
	slices.Sort(list)
	return caps(list)
}

func caps(names []string) []string {
	var list []string
	for _, k := range names {
		list = append(list, "CAP_"+k)
	}
	return list
}

// leastMemory is the least limit of memory that Docker takes, in bytes.
const leastMemory = 6 << 20

// Check refuses what this engine does not have.
func (c *Container) Check() error {
	h := &c.Host
	no := func(what, instead string) error { return fmt.Errorf("%s: %w%s", what, ErrNoSupport, instead) }
	switch {
	case h.NetworkMode != "none":
		return no("network", "; create the container without one (--network none)")
	case len(h.PortBindings) > 0:
		return no("published ports", "")
	case len(h.Devices) > 0:
		return no("devices of the host", "")
	case h.Privileged:
		return no("privileged containers", "")
	case h.Memory > 0 && h.Memory < leastMemory:
		return fmt.Errorf("a memory limit of %d bytes: the least is 6 MB: %w", h.Memory, ErrInvalid)
	case h.Runtime != "" && h.Runtime != "runsc":
		return no("runtime "+h.Runtime, "; it always is runsc")
	case h.RestartPolicy.Name != "" && h.RestartPolicy.Name != "no":
		return no("restart policy "+h.RestartPolicy.Name, "")
	}
	for _, k := range c.Caps() {
		if !slices.Contains(knownCaps, strings.TrimPrefix(k, "CAP_")) {
			return fmt.Errorf("capability %s: there is none of that name: %w", k, ErrInvalid)
		}
	}
	for _, m := range h.Mounts {
		if m.Type != "bind" && m.Type != "tmpfs" {
			return no("a mount of type "+m.Type, "; use a directory of the host")
		}
	}
	if _, err := c.mounts(); err != nil {
		return err
	}
	for _, m := range c.Volumes() {
		if _, err := os.Stat(m.Source); err != nil {
			return fmt.Errorf("volume %s: the host has no such directory or file: %w", m.Source, ErrInvalid)
		}
	}
	return nil
}

// mounts are the container's own, beside those that every one has.
func (c *Container) mounts() ([]specs.Mount, error) {
	var list []specs.Mount
	bind := func(source, target string, readOnly bool) error {
		if !filepath.IsAbs(source) {
			return fmt.Errorf("volume %s: %w; use a directory of the host, by its absolute path", source, ErrNoSupport)
		}
		if !path.IsAbs(target) || path.Clean(target) == "/" {
			return fmt.Errorf("volume path %q: must be absolute and not the root: %w", target, ErrInvalid)
		}
		mode := "rw"
		if readOnly {
			mode = "ro"
		}
		list = append(list, specs.Mount{Destination: path.Clean(target), Type: "bind", Source: source, Options: []string{"rbind", mode}})
		return nil
	}
	for _, b := range c.Host.Binds {
		f := strings.Split(b, ":")
		if len(f) < 2 || len(f) > 3 {
			return nil, fmt.Errorf("volume %q: must be HOST:CONTAINER or HOST:CONTAINER:OPTIONS: %w", b, ErrInvalid)
		}
		ro := len(f) == 3 && slices.Contains(strings.Split(f[2], ","), "ro")
		if err := bind(f[0], f[1], ro); err != nil {
			return nil, err
		}
	}
	for _, m := range c.Host.Mounts {
		if m.Type == "tmpfs" {
			list = append(list, specs.Mount{Destination: m.Target, Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "mode=1777"}})
			continue
		}
		if err := bind(m.Source, m.Target, m.ReadOnly); err != nil {
			return nil, err
		}
	}
	for target, options := range c.Host.Tmpfs {
		var o []string
		if options != "" {
			o = strings.Split(options, ",")
		}
		list = append(list, specs.Mount{Destination: path.Clean(target), Type: "tmpfs", Source: "tmpfs", Options: o})
	}
	// Those further up first.
	slices.SortStableFunc(list, func(a, b specs.Mount) int {
		return strings.Count(a.Destination, "/") - strings.Count(b.Destination, "/")
	})
	return list, nil
}

// environ is the environment of a process: the image's, the container's, more.
func (c *Container) environ(img *imagestore.Image, more []string) []string {
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME": c.hostname()}
	order := []string{"PATH", "HOSTNAME"}
	for _, list := range [][]string{img.Config.Config.Env, c.Config.Env, more} {
		for _, kv := range list {
			k, v, ok := strings.Cut(kv, "=")
			if !ok {
				delete(env, k)
				continue
			}
			if _, have := env[k]; !have {
				order = append(order, k)
			}
			env[k] = v
		}
	}
	var out []string
	for _, k := range order {
		if v, ok := env[k]; ok {
			out = append(out, k+"="+v)
			delete(env, k)
		}
	}
	return out
}

func (c *Container) hostname() string {
	if c.Config.Hostname != "" {
		return c.Config.Hostname
	}
	return c.ID[:12]
}

// command is what the first process runs.
func (c *Container) command(img *imagestore.Image) []string {
	entry, args := c.Config.Entrypoint, c.Config.Cmd
	if len(entry) == 0 {
		entry = img.Config.Config.Entrypoint
		if len(args) == 0 {
			args = img.Config.Config.Cmd
		}
	}
	return slices.Concat(entry, args)
}

// user is whom processes run as.
func (c *Container) user(img *imagestore.Image) string {
	if c.Config.User != "" {
		return c.Config.User
	}
	return img.Config.Config.User
}

// spec is the container for the OCI runtime.
func (c *Container) spec(img *imagestore.Image, rootless bool) (*specs.Spec, error) {
	own, err := c.mounts()
	if err != nil {
		return nil, err
	}
	args := c.command(img)
	if len(args) == 0 {
		return nil, fmt.Errorf("neither the image nor the container has a command: %w", ErrInvalid)
	}
	dir := c.Config.WorkingDir
	if dir == "" {
		dir = img.Config.Config.WorkingDir
	}
	if dir == "" {
		dir = "/"
	}
	caps := c.Caps()
	env := c.environ(img, nil)
	if c.Config.Tty {
		env = append(env, "TERM=xterm")
	}
	hosts := filepath.Join(c.Dir, "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.0.1\t"+c.hostname()+"\n"), 0o644); err != nil {
		return nil, err
	}
	s := &specs.Spec{
		Version: specs.Version,
		Process: &specs.Process{
			Terminal: c.Config.Tty, Args: args, Env: env, Cwd: dir,
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
			NoNewPrivileges: slices.ContainsFunc(c.Host.SecurityOpt, func(o string) bool {
				return strings.HasPrefix(o, "no-new-privileges") && !strings.HasSuffix(o, "false")
			}),
		},
		Root:     &specs.Root{Path: filepath.Join(c.Dir, "empty"), Readonly: c.Host.ReadonlyRootfs},
		Hostname: c.hostname(),
		Mounts: append([]specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/etc/hosts", Type: "bind", Source: hosts, Options: []string{"bind", "ro"}},
		}, own...),
		Annotations: map[string]string{
			"dev.gvisor.spec.rootfs.type":    "erofs",
			"dev.gvisor.spec.rootfs.source":  filepath.Join(c.Dir, "root.erofs"),
			"dev.gvisor.spec.rootfs.overlay": "dir=" + filepath.Join(c.Dir, "run"),
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{{Type: "pid"}, {Type: "network"}, {Type: "ipc"}, {Type: "uts"}, {Type: "mount"}},
			// Nothing there is the host's: gVisor has its own.
			CgroupsPath: groupPath(c.ID),
		},
	}
	if !c.Host.ReadonlyRootfs && !slices.ContainsFunc(own, func(m specs.Mount) bool { return m.Destination == "/tmp" }) {
		// gVisor puts a file system of its own on an empty /tmp, unless
		// something else is to be mounted there; what it does not know, it
		// does not mount.
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/tmp", Type: "pocketdock-nothing", Source: "none"})
	}
	if !rootless {
		s.Linux.Resources = c.resources()
	}
	if size := c.Host.StorageOpt["size"]; size != "" {
		n, err := parseSize(size)
		if err != nil {
			return nil, err
		}
		s.Annotations["dev.gvisor.spec.rootfs.options"] = "size=" + strconv.FormatInt(n, 10)
	}
	return s, numericUser(s.Process, c.user(img))
}

// groupPath is the control group of a container's sandbox.
func groupPath(id string) string { return group.Parent + id[:16] }

// numericUser sets the user of a process, if it is given as numbers.
func numericUser(p *specs.Process, user string) error {
	u, g, both := strings.Cut(user, ":")
	uid, err := strconv.ParseUint(u, 10, 32)
	if u == "" || u == "root" {
		uid, err = 0, nil
	}
	if err != nil {
		return nil // the monitor knows the image's names
	}
	p.User.UID = uint32(uid)
	if both {
		gid, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return nil
		}
		p.User.GID = uint32(gid)
	}
	return nil
}

// parseSize reads "1000", "10k", "5M", "2G".
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(strings.ToLower(s), "kmgb")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("size %q: %w", s, ErrInvalid)
	}
	switch strings.TrimSuffix(strings.ToLower(s[len(digits):]), "b") {
	case "k":
		n <<= 10
	case "m":
		n <<= 20
	case "g":
		n <<= 30
	}
	return n, nil
}

// resources are the limits of the sandbox's control group.
func (c *Container) resources() *specs.LinuxResources {
	h := &c.Host
	r := &specs.LinuxResources{}
	if h.Memory > 0 {
		m := h.Memory
		r.Memory = &specs.LinuxMemory{Limit: &m}
	}
	quota, period := h.CpuQuota, uint64(h.CpuPeriod)
	if h.NanoCpus > 0 {
		period = 100_000
		quota = h.NanoCpus / 10_000
	}
	if quota > 0 {
		if period == 0 {
			period = 100_000
		}
		r.CPU = &specs.LinuxCPU{Quota: &quota, Period: &period}
	}
	return r
}
