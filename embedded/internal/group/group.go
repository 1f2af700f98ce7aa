//go:build linux

// Package group puts a sandbox into its control groups where these are of
// version 1. Left to itself gVisor moves the process that starts a sandbox
// into them, and back when it has started: the kernel lets each of the two
// wait for all processors, some 10 ms, and everybody waits for them. Here the
// process is moved while it starts and moves back when nobody waits. With
// version 2 processes are created in their group, and gVisor does that well.
package group

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Parent is the group of all groups of ours.
const Parent = "/pocketdock/"

const root = "/sys/fs/cgroup"

// A Group is one group by each of the controllers.
type Group struct {
	Path string // below each controller's root
	Dirs []Dir
}

// A Dir is a group of one controller.
type Dir struct {
	Path string
	Home string // the group of whoever made it
}

// controllers are those that limit and count what a sandbox uses. The other
// ones limit nothing here.
var controllers = [...]string{"memory", "cpu", "cpuacct", "cpuset"}

// Make makes the group of a sandbox. Nil: this system has not got version 1 of
// all of them, and gVisor is to do it. What a killed monitor has left of it is
// removed first, as its limits may never have been set.
func Make(path string) (*Group, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	home := homes(string(b))
	for _, c := range controllers {
		if _, err := os.Stat(filepath.Join(root, c, "cgroup.procs")); err != nil || home[c] == "" {
			return nil, nil
		}
	}
	if err := Remove(path, EndTime); err != nil {
		return nil, err
	}
	g := &Group{Path: path}
	for _, c := range controllers {
		d := Dir{filepath.Join(root, c, path), filepath.Join(root, c, home[c])}
		if _, err := os.Stat(d.Home); err != nil {
			d.Home = filepath.Join(root, c) // in a container its own path may not be seen
		}
		g.Dirs = append(g.Dirs, d)
		if err := os.MkdirAll(d.Path, 0o755); err != nil {
			return nil, errors.Join(err, Remove(path, EndTime))
		}
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		for _, p := range []string{filepath.Dir(path), path} { // which are empty at first
			if err := inherit(filepath.Join(root, "cpuset", p, file)); err != nil {
				return nil, errors.Join(err, Remove(path, EndTime))
			}
		}
	}
	return g, nil
}

// Limit sets the limits.
func (g *Group) Limit(limits *specs.LinuxResources) error {
	if g == nil || limits == nil {
		return nil
	}
	values := [][2]string{}
	if m := limits.Memory; m != nil && m.Limit != nil {
		values = append(values, [2]string{"memory/memory.limit_in_bytes", strconv.FormatInt(*m.Limit, 10)})
	}
	if c := limits.CPU; c != nil && c.Period != nil {
		values = append(values, [2]string{"cpu/cpu.cfs_period_us", strconv.FormatUint(*c.Period, 10)})
	}
	if c := limits.CPU; c != nil && c.Quota != nil {
		values = append(values, [2]string{"cpu/cpu.cfs_quota_us", strconv.FormatInt(*c.Quota, 10)})
	}
	for _, v := range values {
		controller, file, _ := strings.Cut(v[0], "/")
		if err := os.WriteFile(filepath.Join(root, controller, g.Path, file), []byte(v[1]), 0); err != nil {
			return fmt.Errorf("limit of %s: %w", v[1], err)
		}
	}
	return nil
}

// inherit gives a file that is empty what its parent group's has.
func inherit(file string) error {
	b, err := os.ReadFile(file)
	if err != nil || strings.TrimSpace(string(b)) != "" {
		return err
	}
	dir, name := filepath.Split(file)
	if b, err = os.ReadFile(filepath.Join(filepath.Dir(filepath.Clean(dir)), name)); err != nil {
		return err
	}
	return os.WriteFile(file, b, 0)
}

// homes are the groups of a process by controller, from /proc/PID/cgroup: see
// cgroups(7).
func homes(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 {
			continue
		}
		for c := range strings.SplitSeq(f[1], ",") {
			m[c] = f[2]
		}
	}
	return m
}

// Put moves a process into the group, and with it what it starts from then on.
func (g *Group) Put(pid int) error {
	if g == nil {
		return nil
	}
	for _, d := range g.Dirs {
		if err := move(d.Path, pid); err != nil {
			return err
		}
	}
	return nil
}

// Leave moves this process back.
func (g *Group) Leave() error {
	if g == nil {
		return nil
	}
	var errs []error
	for _, d := range g.Dirs {
		err := move(d.Home, os.Getpid())
		if errors.Is(err, fs.ErrNotExist) { // it has gone meanwhile
			err = move(strings.TrimSuffix(d.Path, g.Path), os.Getpid())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func move(dir string, pid int) error {
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
}

// EndTime is how long processes that were killed may take to end.
const EndTime = 5 * time.Second

// Remove removes a group, of whichever version, whose processes end by then.
func Remove(path string, within time.Duration) error {
	if name, ok := strings.CutPrefix(path, Parent); !ok || name == "" || strings.ContainsAny(name, "/*?[\\") {
		return fmt.Errorf("control group %q is not ours", path)
	}
	var list []string
	for _, dir := range []string{root, root + "/*"} {
		l, _ := filepath.Glob(dir + path)
		list = append(list, l...)
	}
	end := time.Now().Add(within)
	for _, d := range list {
		for {
			err := os.Remove(d)
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("control group %s is in use: %w", d, err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return nil
}

// Abandon is for a process that somebody may have put into a group and was
// killed before it could say so: it leaves the group, and removes it.
func Abandon(path string) {
	list, _ := filepath.Glob(root + "/*" + path)
	for _, d := range list {
		_ = move(strings.TrimSuffix(d, path), os.Getpid())
	}
	_ = Remove(path, 0)
}

// Sweep removes the groups that nothing is in and that were made longer ago:
// those of monitors that were killed before they had a container.
func Sweep(age time.Duration) {
	for _, dir := range []string{root, root + "/*"} {
		list, _ := filepath.Glob(dir + Parent + "*")
		for _, d := range list {
			if fi, err := os.Stat(d); err == nil && fi.IsDir() && time.Since(fi.ModTime()) > age {
				_ = os.Remove(d) // not if a process is in it
			}
		}
	}
}
