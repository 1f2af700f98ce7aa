package pocketdock

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// CreateOptions are the optional properties of a container. The zero value is
// a sandbox with safe limits: no network, no capabilities, 2 GiB of memory, two
// cores, 512 processes, and the user that the image names. An engine that
// cannot enforce a default goes without it; one that cannot enforce what was
// asked for is an error.
type CreateOptions struct {
	// Profile that the container is of, by name: it gives the image, if none
	// is named, and says whether there is a network. Empty: none. See
	// [Profiles] for those that are built in.
	Profile string
	// Name of the container: letters, digits, '_', '.', '-', at most 128.
	// Empty: "pd-" and 8 hex digits.
	Name string
	// Env is added to the image's environment. It is in the container's
	// configuration, where everybody who may use the engine reads it.
	Env map[string]string
	// Secrets are environment variables, too, for every command, and in no
	// configuration, label, log or image: the agent is given them over its
	// socket, at each start. They are in a file of the state directory that
	// only its user can read, for [Container.Resume] by another program, and
	// in the environment of the sandbox's processes, as with any environment.
	Secrets map[string]string `json:"-"`
	// Dir is the working directory. Empty: the image's.
	Dir string
	// User that commands run as: "name", "uid", "name:group" or "uid:gid".
	// Empty: the image's. Where that names none it is root, or, with a volume
	// that may be written and an engine that runs as root, the calling user's
	// uid and gid, so that files in the volume are the caller's.
	User string
	// Memory limit in bytes, swap included. 0: 2 GiB; negative: none.
	Memory int64
	// CPUPercent limits processor time: 100 is one core, 50 half of one. 0:
	// 200; negative: none.
	CPUPercent int
	// PIDs limits the number of processes and threads. 0: 512; negative: none.
	PIDs int64
	// Network connects the container to the engine's default network,
	// NoNetwork leaves it with a loopback interface only. Neither: what the
	// profile says, and none without a profile.
	Network   bool
	NoNetwork bool
	// Ports are published; they need the network.
	Ports []Port
	// Volumes are directories or files of the host, mounted. Rootless Podman
	// (4.3 or newer) shows the host's user as User inside, and what User makes
	// as the host user's outside.
	Volumes []Volume
	// Devices of the host, by path, that the container may read and write.
	Devices []string
	// Tmpfs are file systems in memory: path in the container to size in
	// bytes, 0 for half of the memory.
	Tmpfs map[string]int64
	// ReadOnly mounts the root read-only, with a writable /tmp in memory.
	ReadOnly bool
	// Disk limits what the container writes to its root, in bytes. 0: none.
	// Engines enforce it on few storage drivers; the others refuse it.
	Disk int64
	// Runtime is the name of an OCI runtime that the engine has, such as
	// "runsc", "kata", "krun". Empty: the engine's default. Podman takes it
	// from its configuration only: another one is ErrUnsupported there.
	Runtime string
	// Labels are added to the container. Names that begin with "pocketdock."
	// are ours.
	Labels map[string]string
	// Project that the container belongs to. Empty: none.
	Project string
	// ProjectDir is the directory of that project on this host, absolute, where
	// its records are; see [Container.ProjectDir]. What any program runs in the
	// container is kept there until these records have it, see [Command.LogLimit].
	// Empty: none.
	ProjectDir string
	// Persist says that the container is meant to outlive the program that
	// made it: only a name or ID removes it.
	Persist bool
	// Owner is the process, by pid, that a container without Persist belongs
	// to: after its end [Client.Sweep] removes the container. 0: this program;
	// -1: none, the container stays until it is removed, or its time is up.
	Owner int
	// TTL ends the container that long after its start, IdleTimeout when for
	// that long it ran no process and no operation was under way. Neither
	// needs this program or any daemon to live. 0: none. A container that is
	// not Persist is then removed.
	TTL         time.Duration
	IdleTimeout time.Duration
	// RunImage runs the image's own entrypoint and command, as a detached
	// process with the ID "main", see [Container.Process]. The container goes
	// on when it ends.
	RunImage bool
	// Timeout of a Run or Stream that sets none. 0: 30 s; negative: none.
	Timeout time.Duration
	// Capabilities are Linux capabilities that commands may be given through
	// [Command.Capabilities], by name without CAP_, such as
	// "NET_BIND_SERVICE", beside those that the agent itself has: CHOWN,
	// DAC_OVERRIDE, FOWNER, KILL, SETGID, SETPCAP and SETUID. No command has
	// any unless it is given some.
	Capabilities []string
}

// A Port is published by a container.
type Port struct {
	// Container's port, 1 to 65535.
	Container int
	// Host's port. 0: one that is free; [Container.Info] says which.
	Host int
	// Address of the host to listen on. Empty: 127.0.0.1.
	Address string
	// Protocol, "tcp" or "udp". Empty: tcp.
	Protocol string
}

// A Volume is a directory or file of the host mounted in a container.
type Volume struct {
	// Host path; it must exist. A relative one is taken from this program's
	// working directory.
	Host string
	// Container path, absolute.
	Container string
	ReadOnly  bool
}

const (
	defaultPIDs    = 512
	defaultMemory  = 2 << 30
	defaultCPU     = 200 // percent of a core
	defaultTimeout = 30 * time.Second
)

// nameLetters is compiled when it is needed; a bound of 127 in it would cost
// every program that starts half a millisecond.
var nameLetters = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`) })

// isContainerName reports whether s can be a container's name or ID.
func isContainerName(s string) bool { return len(s) <= 128 && nameLetters().MatchString(s) }

// check reports the first option that makes no sense, so that nothing is
// begun with options that cannot work.
func (o *CreateOptions) check() error {
	if o.Name != "" && !isContainerName(o.Name) {
		return invalidf("name %q: use letters, digits, '_', '.', '-', at most 128, beginning with a letter or digit", o.Name)
	}
	if err := checkEnv(o.Env); err != nil {
		return err
	}
	if err := checkEnv(o.Secrets); err != nil {
		return err
	}
	for k := range o.Secrets {
		if _, ok := o.Env[k]; ok {
			return invalidf("environment variable %s: both a secret and in Env", k)
		}
	}
	if o.Dir != "" && !path.IsAbs(o.Dir) {
		return invalidf("working directory %q: must be absolute", o.Dir)
	}
	if o.Memory > 0 && o.Memory < 6<<20 {
		return invalidf("memory limit %d bytes: engines need at least 6 MiB", o.Memory)
	}
	if o.CPUPercent > 100_000 {
		return invalidf("CPU limit %d %%: must be from 1 to 100000, 100 is one core", o.CPUPercent)
	}
	if o.Disk < 0 {
		return invalidf("disk limit %d bytes: must not be negative", o.Disk)
	}
	if o.TTL < 0 || o.IdleTimeout < 0 {
		return invalidf("time limits %v and %v: must not be negative", o.TTL, o.IdleTimeout)
	}
	if o.Owner < -1 {
		return invalidf("owner %d: must be the pid of a process, 0 for this program, or -1 for none", o.Owner)
	}
	if o.Network && o.NoNetwork {
		return invalidf("Network and NoNetwork: only one can be set")
	}
	if len(o.Ports) > 0 && !o.Network && (o.NoNetwork || o.Profile == "") {
		return errPortsNeedNetwork()
	}
	if o.Profile != "" {
		if err := checkProfileName(o.Profile); err != nil {
			return err
		}
	}
	for _, p := range o.Ports {
		if err := p.check(); err != nil {
			return err
		}
	}
	for _, v := range o.Volumes {
		if err := v.check(); err != nil {
			return err
		}
	}
	for _, d := range o.Devices {
		if !filepath.IsAbs(d) || strings.ContainsAny(d, ":\x00") {
			return invalidf("device %q: must be an absolute path without a colon", d)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(o.Tmpfs)) {
		if !path.IsAbs(p) || o.Tmpfs[p] < 0 {
			return invalidf("tmpfs %q of %d bytes: the path must be absolute, the size not negative", p, o.Tmpfs[p])
		}
	}
	if o.ProjectDir != "" && (!filepath.IsAbs(o.ProjectDir) || strings.ContainsRune(o.ProjectDir, 0)) {
		return invalidf("directory of the project %q: must be an absolute path", o.ProjectDir)
	}
	for k := range o.Labels {
		if strings.HasPrefix(k, labelPrefix) || k == "" {
			return invalidf("label %q: names that begin with %q are pocketdock's own", k, labelPrefix)
		}
	}
	return nil
}

func errPortsNeedNetwork() error {
	return invalidf("published ports need the network: set Network")
}

func (p Port) check() error {
	if p.Container < 1 || p.Container > 65535 || p.Host < 0 || p.Host > 65535 {
		return invalidf("port %d on host port %d: must be from 1 to 65535", p.Container, p.Host)
	}
	if p.Address != "" {
		if _, err := netip.ParseAddr(p.Address); err != nil {
			return invalidf("port address %q: not an IP address", p.Address)
		}
	}
	if p.Protocol != "" && p.Protocol != "tcp" && p.Protocol != "udp" {
		return invalidf("port protocol %q: must be tcp or udp", p.Protocol)
	}
	return nil
}

// key is the engine's name for the container's side: "80/tcp".
func (p Port) key() string {
	proto := p.Protocol
	if proto == "" {
		proto = "tcp"
	}
	return fmt.Sprintf("%d/%s", p.Container, proto)
}

func (v Volume) check() error {
	if v.Host == "" || strings.ContainsAny(v.Host+v.Container, "\x00") {
		return invalidf("volume %q on %q: both paths are needed", v.Host, v.Container)
	}
	if !path.IsAbs(v.Container) || path.Clean(v.Container) == "/" {
		return invalidf("volume path %q in the container: must be absolute and not the root", v.Container)
	}
	if p := path.Clean(v.Container); p == agentDir || strings.HasPrefix(p, agentDir+"/") {
		return invalidf("volume path %q in the container: %s is pocketdock's own", v.Container, agentDir)
	}
	return nil
}

// checkEnv accepts the names and values that a process can have.
func checkEnv(env map[string]string) error {
	for _, k := range slices.Sorted(maps.Keys(env)) {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			return invalidf("environment variable name %q", k)
		}
		if strings.ContainsRune(env[k], 0) {
			return invalidf("environment variable %s: its value contains a zero byte", k)
		}
	}
	return nil
}

// envList is env as "NAME=value", sorted.
func envList(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}
