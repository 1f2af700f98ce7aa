package project

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/state"
)

// checkEngine looks at what decides whether sandboxes run, are isolated and
// are limited.
func (r *Report) checkEngine(ctx context.Context, client *pocketdock.Client) {
	ctx, cancel := asking(ctx)
	defer cancel()
	d, err := client.EngineDetails(ctx)
	if err != nil {
		f := Finding{ID: "engine-reachable", Severity: Problem, What: joinLines(err.Error()), Why: "no sandbox can be made without an engine",
			Fix: "systemctl --user start podman.socket"}
		if os.Geteuid() == 0 {
			f.Fix = "systemctl start podman.socket   (or docker.socket)"
		}
		switch {
		case client.Socket != "":
			f.Fix = "pocketdock engine --socket PATH   (of an engine that runs; without --socket the first that answers is taken)"
		case os.Getenv("POCKETDOCK_SOCKET") != "":
			f.Fix = "unset POCKETDOCK_SOCKET   (or name the socket of an engine that runs)"
		}
		if errors.Is(err, os.ErrPermission) {
			f.Fix = "sudo usermod -aG docker $USER   (then log in again; members are as powerful as root), or use rootless Podman"
		}
		r.add(f)
		return
	}
	r.Engine = d
	r.ok("engine-reachable", "%s at %s", d.Name, d.Socket)
	for _, check := range []func(*pocketdock.EngineDetails) Finding{
		checkVersion, checkRootless, checkCgroup, checkSubIDs, checkStorage, checkSeccomp, checkRuntimes,
	} {
		r.add(check(d))
	}
	if f, ok := checkUserNamespaces(d); ok {
		r.add(f)
	}
	r.checkSpace("engine-disk", "images and containers", d.DataRoot, prune(d))
	for _, w := range d.Warnings {
		r.add(Finding{ID: "engine-warning", Severity: Warning, What: "the engine says: " + w, Why: "an engine warns of limits that it will not enforce",
			Fix: d.Name + " info"})
	}
}

// prune is the command that gives an engine's disk space back.
func prune(d *pocketdock.EngineDetails) string {
	return fmt.Sprintf("pocketdock prune   (then %s image prune)", d.Name)
}

// oldest are the versions that the tests run on.
var oldest = map[string][2]int{"docker": {20, 10}, "podman": {4, 3}}

func checkVersion(d *pocketdock.EngineDetails) Finding {
	f := Finding{ID: "engine-version", What: fmt.Sprintf("%s %s, API %s, kernel %s, %s", d.Name, d.Version, d.API, d.Kernel, d.OS)}
	major, rest, _ := strings.Cut(d.Version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(strings.TrimFunc(minor, func(r rune) bool { return r < '0' || r > '9' }))
	if want, ok := oldest[d.Name]; ok && errA == nil && errB == nil && (a < want[0] || a == want[0] && b < want[1]) {
		f.Severity = Warning
		f.Why = fmt.Sprintf("pocketdock is tested with %s %d.%d and newer", d.Name, want[0], want[1])
		f.Fix = fmt.Sprintf("sudo apt install --only-upgrade %s   (or your system's way)", map[string]string{"docker": "docker.io", "podman": "podman"}[d.Name])
	}
	return f
}

func checkRootless(d *pocketdock.EngineDetails) Finding {
	f := Finding{ID: "engine-rootless"}
	switch {
	case d.Rootless:
		f.What = "rootless: what leaves a sandbox is an ordinary user"
	case d.UserNamespace:
		f.What = "root, with a user namespace: root of a sandbox is not root of the host"
	default:
		f.What = "root: what leaves a sandbox is root of the host; a rootless engine is a second fence"
	}
	return f
}

// needed are the controllers behind the default limits of a sandbox.
var needed = []string{"cpu", "memory", "pids"}

func checkCgroup(d *pocketdock.EngineDetails) Finding {
	f := Finding{ID: "engine-cgroup", What: fmt.Sprintf("cgroup v%d, driver %s, controllers %s", d.CgroupVersion, d.CgroupDriver, orNone(d.Controllers))}
	var missing []string
	for _, c := range needed {
		if !slices.Contains(d.Controllers, c) {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 {
		return f
	}
	f.Severity = Warning
	f.Why = "no limit of " + strings.Join(missing, ", ") + " can be enforced: a sandbox can take all of the machine"
	switch {
	case d.Rootless && d.CgroupVersion != 2:
		f.Fix = "boot with systemd.unified_cgroup_hierarchy=1: a rootless engine needs cgroup v2"
	case d.Rootless:
		f.Fix = `sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\nDelegate=cpu cpuset io memory pids\n' | sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload   (then log in again)`
	default:
		f.Fix = "boot with cgroup_enable=memory swapaccount=1"
	}
	return f
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " ")
}

// wantSubIDs is how many IDs images expect to have: nobody is 65534.
const wantSubIDs = 65535

func checkSubIDs(d *pocketdock.EngineDetails) Finding {
	f := Finding{ID: "engine-subuid"}
	switch {
	case !d.Rootless:
		f.What = "subordinate IDs are not needed: the engine is not rootless"
	case d.SubUIDs < 0:
		f.What = "the engine does not say how many subordinate IDs it has"
	case d.SubUIDs >= wantSubIDs:
		f.What = fmt.Sprintf("%d subordinate user IDs", d.SubUIDs)
	default:
		f = Finding{ID: f.ID, Severity: Problem, What: fmt.Sprintf("%d subordinate user IDs", d.SubUIDs),
			Why: fmt.Sprintf("images have files of users up to %d: they cannot be unpacked, and a sandbox has no user but root", wantSubIDs-1),
			Fix: "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER && podman system migrate"}
	}
	return f
}

func checkStorage(d *pocketdock.EngineDetails) Finding {
	f := Finding{ID: "engine-storage", What: "storage driver " + d.StorageDriver}
	switch d.StorageDriver {
	case "vfs":
		f.Severity = Warning
		f.Why = "vfs copies the whole image for each container: slow, and large"
		f.Fix = "use overlay: install fuse-overlayfs where the kernel's is refused, then " + d.Name + " system reset   (removes all images)"
	case "devicemapper", "aufs":
		f.Severity, f.Why, f.Fix = Warning, "engines have given this driver up", "use overlay2: https://docs.docker.com/engine/storage/drivers/"
	}
	return f
}

func checkSeccomp(d *pocketdock.EngineDetails) Finding {
	f := Finding{ID: "engine-seccomp", What: "seccomp profile " + d.Seccomp}
	if d.Seccomp == "" || d.Seccomp == "unconfined" {
		f = Finding{ID: f.ID, Severity: Warning, What: "no seccomp profile",
			Why: "sandboxes may use every system call, also those that only exploits use",
			Fix: "take seccomp-profile out of the engine's configuration, and use a kernel with CONFIG_SECCOMP_FILTER"}
	}
	return f
}

func checkRuntimes(d *pocketdock.EngineDetails) Finding {
	f := Finding{ID: "engine-runtimes", What: fmt.Sprintf("runtime %s; configured: %s", d.DefaultRuntime, orNone(d.Runtimes))}
	if d.DefaultRuntime != "" && !slices.Contains(d.Runtimes, d.DefaultRuntime) {
		f.Severity, f.Why, f.Fix = Problem, "the default runtime is not configured: no container starts", "correct default-runtime in the engine's configuration"
	}
	return f
}

// checkUserNamespaces looks at the kernel, where the engine needs it and is here.
func checkUserNamespaces(d *pocketdock.EngineDetails) (Finding, bool) {
	f := Finding{ID: "engine-userns", What: "user namespaces are allowed"}
	for _, k := range []struct{ path, name string }{
		{"/proc/sys/user/max_user_namespaces", "user.max_user_namespaces"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone"},
	} {
		b, err := os.ReadFile(k.path)
		if err != nil || strings.TrimSpace(string(b)) != "0" {
			continue
		}
		value := map[bool]string{true: "15000", false: "1"}[strings.HasPrefix(k.name, "user.")]
		return Finding{ID: f.ID, Severity: map[bool]Severity{true: Problem, false: Warning}[d.Rootless], What: k.name + " is 0",
			Why: "a rootless engine needs user namespaces", Fix: "sudo sysctl -w " + k.name + "=" + value}, true
	}
	_, err := os.Stat("/proc/self/ns/user")
	return f, err == nil
}

// checkState looks at the directory that has the agent, which containers
// mount and run.
func (r *Report) checkState(client *pocketdock.Client) {
	dir := client.StateDir
	if dir == "" {
		dir = os.Getenv("POCKETDOCK_STATE_DIR")
	}
	if dir == "" {
		var err error
		if dir, err = state.Default(); err != nil {
			r.add(Finding{ID: "agent-path", Severity: Problem, What: err.Error(), Why: "the agent needs a place that containers can mount", Fix: "export POCKETDOCK_STATE_DIR=/some/directory"})
			return
		}
	}
	f := Finding{ID: "agent-path", What: "the agent is kept in " + dir}
	fi, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.What += ", which the first container makes"
	case err != nil:
		f = Finding{ID: f.ID, Severity: Problem, What: oneLine(err.Error()), Why: "the agent needs a place that containers can mount", Fix: "export POCKETDOCK_STATE_DIR=/some/directory"}
	case !fi.IsDir():
		f = Finding{ID: f.ID, Severity: Problem, What: dir + " is a " + kindOf(fi), Why: "the agent needs a directory", Fix: "mv " + shellWord(dir) + " " + shellWord(dir+".old")}
	case fi.Mode().Perm()&0o022 != 0:
		f = Finding{ID: f.ID, Severity: Problem, What: fmt.Sprintf("%s can be written by others (mode %o)", dir, fi.Mode().Perm()),
			Why: "who can exchange the agent runs code in every sandbox", Fix: "chmod 700 " + shellWord(dir)}
	default:
		if s, err := spaceOf(dir); err == nil && s.noexec {
			f = Finding{ID: f.ID, Severity: Problem, What: dir + " is on a file system that is mounted noexec",
				Why: "a container runs the agent from there", Fix: "export POCKETDOCK_STATE_DIR=/some/directory   (on another file system)"}
		}
	}
	r.add(f)
	r.checkSpace("state-disk", "the agent and what detached processes print", dir, "pocketdock prune")
}

const (
	// Below either of these a file system is said to be nearly full.
	minFree        = 1 << 30 // bytes
	minFreePercent = 3
)

// checkSpace looks at the file system of a directory, if it is on this machine.
func (r *Report) checkSpace(id, what, dir, fix string) {
	s, err := spaceOf(dir)
	if err != nil || s.total == 0 {
		return
	}
	f := Finding{ID: id, What: fmt.Sprintf("%s free of %s for %s (%s)", pocketdock.FormatSize(s.free), pocketdock.FormatSize(s.total), what, dir)}
	if s.free < minFree || s.free*100/s.total < minFreePercent {
		f.Severity, f.Why, f.Fix = Warning, "a full disk ends builds and whatever writes files", fix
	}
	r.add(f)
}

// joinLines makes a list in lines, each but its first indented, one line.
func joinLines(s string) string {
	return oneLine(strings.ReplaceAll(strings.Replace(s, "\n  ", " ", 1), "\n", "; "))
}

// oneLine is a message of several lines as one.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// shellWord is a word as a shell takes it.
func shellWord(s string) string { return quoteAll([]string{s})[0] }
