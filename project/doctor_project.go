package project

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pocketdock/pocketdock"
)

// The labels of containers that are looked at here.
const (
	labelInstance = "pocketdock.instance"
	labelProject  = "pocketdock.project"
	labelOwner    = "pocketdock.owner"
)

// A projectCheck is one look at a project.
type projectCheck struct {
	*Report
	client   *pocketdock.Client
	project  *Project
	settings *Settings
	byID     map[string]pocketdock.ListItem // all of pocketdock's on this engine
	byName   map[string]pocketdock.ListItem
	known    map[string]bool // IDs that an instance describes
	ports    map[string]string
}

func (r *Report) checkProject(ctx context.Context, client *pocketdock.Client, p *Project) {
	c := &projectCheck{Report: r, client: client, project: p, byID: map[string]pocketdock.ListItem{}, byName: map[string]pocketdock.ListItem{},
		known: map[string]bool{}, ports: map[string]string{}}
	var err error
	if c.settings, err = Load(LoadOptions{Project: p}); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			r.add(Finding{ID: "settings", Severity: Problem, What: line, Why: "no command of this project works", Fix: "$EDITOR " + shellWord(p.ConfigPath())})
		}
		return
	}
	r.ok("settings", "%s, project %s", p.ConfigPath(), c.settings.ProjectName)
	names, err := p.Instances()
	if err != nil {
		r.add(Finding{ID: "instances", Severity: Problem, What: oneLine(err.Error()), Why: "nothing can be recorded", Fix: "ls -la " + shellWord(filepath.Join(p.dir, dirName))})
		return
	}
	ctx, cancel := asking(ctx)
	defer cancel()
	listed := false
	if r.Engine != nil {
		items, err := client.List(ctx, pocketdock.ListOptions{})
		if err != nil {
			r.add(Finding{ID: "engine-list", Severity: Problem, What: oneLine(err.Error()), Why: "which containers there are is not known",
				Fix: r.Engine.Name + " ps --all   (what the engine itself says)"})
		}
		listed = err == nil
		for _, it := range items {
			c.byID[it.ID], c.byName[it.Name] = it, it
		}
	}
	before := len(r.Findings)
	for _, name := range names {
		c.instance(ctx, name, listed)
	}
	if listed {
		c.orphans(ctx)
	}
	switch {
	case len(r.Findings) > before:
	case !listed && len(names) > 0:
		r.ok("instances", "%s; whether the containers are there, no engine says", countOf(len(names), "instance"))
	default:
		r.ok("instances", "%s, all in order", countOf(len(names), "instance"))
	}
	c.disk(names)
}

// instance compares an instance with its container.
func (c *projectCheck) instance(ctx context.Context, name string, listed bool) {
	i, err := c.project.Instance(name)
	if err != nil {
		c.add(Finding{ID: "instance", Severity: Problem, What: oneLine(err.Error()), Why: "its commands are not recorded", Fix: "ls -la " + shellWord(c.dirOf(name))})
		return
	}
	defer i.Close()
	m, err := i.Manifest()
	if err != nil {
		c.add(Finding{ID: "instance", Severity: Problem, What: oneLine(err.Error()), Why: "which container it belongs to is not known", Fix: "rm -r " + shellWord(c.dirOf(name))})
		return
	}
	if !listed {
		return
	}
	if m.Container.Socket != "" && m.Container.Socket != c.Engine.Socket {
		c.add(Finding{ID: "other-engine", What: fmt.Sprintf("instance %s belongs to the engine at %s, which was not looked at", name, m.Container.Socket)})
		return
	}
	it, ok := c.byID[m.Container.ID]
	if !ok {
		c.stale(name, m)
		return
	}
	c.known[it.ID] = true
	c.labels(name, m, it)
	c.portsOf(name, m, it)
	c.reachable(ctx, name, it)
}

func (c *projectCheck) dirOf(name string) string {
	return filepath.Join(c.project.dir, dirName, instancesName, name)
}

// stale is about an instance whose container is not there any more: removed
// past pocketdock, or replaced by another of that name.
func (c *projectCheck) stale(name string, m *Manifest) {
	if it, ok := c.byName[name]; ok && it.Labels[labelProject] == m.Container.Project {
		c.known[it.ID] = true
		c.add(Finding{ID: "label-mismatch", Severity: Warning,
			What: fmt.Sprintf("instance %s describes container %.12s, and the container of that name is %.12s", name, m.Container.ID, it.ID),
			Why:  "it was recreated, and its description is of the one before",
			Fix:  "pocketdock doctor --fix   (takes the new ID over)",
			mend: func(context.Context) error { return c.describe(name, m.Container.ID, it.ID) }})
		return
	}
	f := Finding{ID: "stale-instance", Severity: Warning, What: fmt.Sprintf("instance %s: its container %.12s is gone", name, m.Container.ID),
		Why: "its directory takes disk space, and its name looks taken", Fix: "rm -r " + shellWord(c.dirOf(name))}
	switch entries, err := os.ReadDir(filepath.Join(c.dirOf(name), dataName)); {
	case err == nil && len(entries) > 0:
		f.Why += "; its data/ has files, so that only you can remove it"
	case len(m.Container.ID) == 64 && m.Container.Socket != "":
		// Ours: it is in our project, its container was on this very engine.
		f.Fix = "pocketdock doctor --fix   (or " + f.Fix + ")"
		f.mend = func(ctx context.Context) error { return c.removeStale(ctx, name, m.Container.ID) }
	}
	c.add(f)
}

// describe takes the ID of a recreated container over.
func (c *projectCheck) describe(name, old, id string) error {
	i, err := c.project.Instance(name)
	if err != nil {
		return err
	}
	defer i.Close()
	m, err := i.Manifest()
	if err != nil {
		return err
	}
	if m.Container.ID != old {
		return fmt.Errorf("instance %s changed meanwhile: run doctor again", name)
	}
	m.Container.ID = id
	return i.writeManifest(m)
}

// removeStale removes an instance's directory, if its container is still gone
// and its data directory still empty.
func (c *projectCheck) removeStale(ctx context.Context, name, id string) error {
	_, err := c.client.Get(ctx, id)
	if !errors.Is(err, pocketdock.ErrContainerNotFound) {
		if err == nil {
			err = fmt.Errorf("container %.12s is there again", id)
		}
		return err
	}
	i, err := c.project.Instance(name)
	if err != nil {
		return err
	}
	defer i.Close()
	m, err := i.Manifest()
	if err != nil {
		return err
	}
	if m.Container.ID != id {
		return fmt.Errorf("instance %s changed meanwhile: run doctor again", name)
	}
	if err := i.root.Remove(dataName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // not empty any more
	}
	return c.project.RemoveInstance(name)
}

// labels compares what is written here with what the container carries.
func (c *projectCheck) labels(name string, m *Manifest, it pocketdock.ListItem) {
	for _, l := range []struct{ what, here, there string }{
		{"name", name, it.Name},
		{"label " + labelInstance, name, it.Labels[labelInstance]},
		{"label " + labelProject, m.Container.Project, it.Labels[labelProject]},
		{"persist", strconv.FormatBool(m.Container.Persist), strconv.FormatBool(it.Persist)},
	} {
		if l.here != l.there {
			c.add(Finding{ID: "label-mismatch", Severity: Warning,
				What: fmt.Sprintf("instance %s: the container's %s is %s, here it is %s", name, l.what, quote(l.there), quote(l.here)),
				Why:  "lists and clean-ups go by the container's labels, which cannot be changed",
				Fix:  "pocketdock reboot --fresh " + shellWord(it.Name)})
		}
	}
}

// reachable looks whether the container's agent belongs to the state
// directory in use.
func (c *projectCheck) reachable(ctx context.Context, name string, it pocketdock.ListItem) {
	box, err := c.client.Get(ctx, it.ID)
	switch {
	case errors.Is(err, pocketdock.ErrContainerNotFound):
	case err != nil:
		c.add(Finding{ID: "instance", Severity: Warning, What: fmt.Sprintf("instance %s: %s", name, oneLine(err.Error())), Why: "its container cannot be used",
			Fix: "pocketdock info " + shellWord(name)})
	case box.DataPath() == "":
		c.add(Finding{ID: "label-mismatch", Severity: Warning,
			What: fmt.Sprintf("instance %s: its agent's directory %s is not in this state directory", name, quote(it.Labels["pocketdock.data-path"])),
			Why:  "commands go through the engine, slower and without exact kills", Fix: "export POCKETDOCK_STATE_DIR=   (what it was when the container was made)"})
	}
}

// portsOf looks for ports that cannot be had when the container starts.
func (c *projectCheck) portsOf(name string, m *Manifest, it pocketdock.ListItem) {
	for _, p := range m.Ports {
		if p.Host <= 0 || p.Host > 65535 {
			continue
		}
		proto, addr := p.Protocol, p.Address
		if proto == "" {
			proto = "tcp"
		}
		if addr == "" {
			addr = "127.0.0.1"
		}
		at := net.JoinHostPort(addr, strconv.Itoa(p.Host))
		if other, ok := c.ports[proto+at]; ok {
			c.add(Finding{ID: "port-conflict", Severity: Warning, What: fmt.Sprintf("instances %s and %s both publish %s port %s", other, name, proto, at),
				Why: "only one of them can run at a time", Fix: "pocketdock stop " + shellWord(other)})
			continue
		}
		c.ports[proto+at] = name
		if it.Status != "running" && taken(proto, at) {
			c.add(Finding{ID: "port-conflict", Severity: Warning, What: fmt.Sprintf("instance %s publishes %s port %s, which another program has", name, proto, at),
				Why: "it does not start", Fix: fmt.Sprintf("ss -lnp 'sport = :%d'   (then end that program)", p.Host)})
		}
	}
}

// taken reports whether somebody listens there.
func taken(proto, at string) bool {
	if proto == "udp" {
		l, err := net.ListenPacket("udp", at)
		if err == nil {
			l.Close()
		}
		return errors.Is(err, syscall.EADDRINUSE)
	}
	l, err := net.Listen("tcp", at)
	if err == nil {
		l.Close()
	}
	return errors.Is(err, syscall.EADDRINUSE)
}

// orphans are containers of this project that no instance describes.
func (c *projectCheck) orphans(ctx context.Context) {
	for _, it := range c.byID {
		if it.Labels[labelProject] != c.settings.ProjectName || c.known[it.ID] {
			continue
		}
		switch {
		case it.Persist:
			// Another directory may have a project of this name: not ours to remove.
			c.add(Finding{ID: "orphaned-container", Severity: Warning, What: fmt.Sprintf("container %s of this project is persistent and has no instance here", quote(it.Name)),
				Why: "nothing of it is recorded, and nobody may remember it", Fix: "pocketdock shutdown " + shellWord(it.Name)})
		case ownerGone(it.Labels[labelOwner]):
			f := Finding{ID: "orphaned-container", Severity: Warning, What: fmt.Sprintf("container %s (%s) was left by a program that has ended", quote(it.Name), it.Status),
				Why: "it takes memory and disk space, and nobody will remove it", Fix: "pocketdock shutdown " + shellWord(it.Name)}
			// Labels may say anything. The state directory has a record of ours.
			if box, err := c.client.Get(ctx, it.ID); err == nil && box.DataPath() != "" {
				f.Fix = "pocketdock doctor --fix   (or " + f.Fix + ")"
				f.mend = func(ctx context.Context) error { return c.sweep(ctx, it) }
			}
			c.add(f)
		}
	}
}

// sweep removes what programs that have ended left, a container among it.
func (c *projectCheck) sweep(ctx context.Context, it pocketdock.ListItem) error {
	_, err := c.client.Sweep(ctx)
	if _, e := c.client.Get(ctx, it.ID); errors.Is(e, pocketdock.ErrContainerNotFound) {
		return nil
	}
	if err == nil {
		err = errors.New("the program that made it may still live")
	}
	return fmt.Errorf("container %s: %w", it.Name, err)
}

// ownerGone reports whether the process that a label names, as pid, start
// time, boot ID and PID namespace, has certainly ended.
func ownerGone(label string) bool {
	f := strings.Split(label, ":")
	if len(f) != 4 || f[1] == "" || f[2] == "" {
		return false
	}
	pid, err := strconv.Atoi(f[0])
	boot, errBoot := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || errBoot != nil || pid <= 0 {
		return false
	}
	if strings.TrimSpace(string(boot)) != f[2] {
		return true // the machine has been started since, or it is another one
	}
	if ns, err := os.Readlink("/proc/self/ns/pid"); err != nil || ns != "pid:["+f[3]+"]" {
		return false // the number is another process's here
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	return len(fields) > 19 && fields[19] != f[1]
}

// bigProject is how much a project may keep until it is worth a word, in bytes.
const bigProject = 2 << 30

// disk is about what the project keeps on disk.
func (c *projectCheck) disk(names []string) {
	var total int64
	over := map[string]int{}
	for _, name := range names {
		i, err := c.project.Instance(name)
		if err != nil {
			continue
		}
		logs, _ := i.Logs()
		l := c.settings.Logging
		for n := range logs {
			i.sized(&logs[n])
			total += logs[n].Size
			old := l.RetentionDays > 0 && time.Since(logs[n].Start) > time.Duration(l.RetentionDays)*24*time.Hour
			if old || l.MaxLogsPerInstance > 0 && len(logs)-n > l.MaxLogsPerInstance {
				over[name]++
			}
		}
		i.Close()
	}
	for _, name := range names {
		if over[name] == 0 {
			continue
		}
		c.add(Finding{ID: "old-logs", Severity: Warning, What: fmt.Sprintf("instance %s has %s more than the settings keep", name, countOf(over[name], "log")),
			Why: "they take disk space; they go when the next command is recorded", Fix: "pocketdock doctor --fix",
			mend: func(context.Context) error {
				i, err := c.project.Instance(name)
				if err != nil {
					return err
				}
				defer i.Close()
				i.rotateMu.Lock()
				defer i.rotateMu.Unlock()
				i.prune(c.settings.Logging)
				return nil
			}})
	}
	f := Finding{ID: "disk-use", What: fmt.Sprintf("%s of logs in %s", pocketdock.FormatSize(total), countOf(len(names), "instance"))}
	if total > bigProject {
		f.Severity, f.Why, f.Fix = Warning, "the logs of this project take much disk space", "pocketdock config   (lower logging.max_logs_per_instance or logging.retention_days)"
	}
	c.add(f)
	c.checkSpace("project-disk", "this project", c.project.dir, "pocketdock config   (lower logging.max_log_size)")
}
