// Package cgroup reads what a process's control group uses, from the files of
// either version of the kernel's interface.
package cgroup

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Usage is what a control group uses. A number that cannot be read is -1; a
// limit of 0 is none.
type Usage struct {
	Memory      int64 // bytes
	MemoryLimit int64 // bytes
	CPUNanos    int64
	PIDs        int64
	PIDsLimit   int64
}

// root is where control groups are mounted.
const root = "/sys/fs/cgroup"

// OfProcess reads the usage of the groups that process pid of this host
// belongs to.
func OfProcess(pid int) Usage {
	// Of a process that has ended no group is known: nothing is read then,
	// rather than the root group, which is the whole machine.
	b, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
	return read(root, parseGroups(b))
}

// Own reads the usage of the container that the caller runs in, whose groups
// a container runtime mounts at /sys/fs/cgroup.
func Own() Usage { return read(root, nil) }

// parseGroups maps each controller to the path in /proc/PID/cgroup; "" is
// version 2.
func parseGroups(b []byte) map[string]string {
	groups := map[string]string{}
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			groups[name] = parts[2]
		}
	}
	return groups
}

// nowhere is the directory of a group that is not known.
const nowhere = "/nonexistent"

// read reads the groups, nil for the one that is mounted at root.
func read(root string, groups map[string]string) Usage {
	dir := func(mount, controller string) string {
		group, ok := groups[controller]
		if !ok && groups != nil {
			return nowhere
		}
		return filepath.Join(root, mount, group)
	}
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return readV2(dir("", ""))
	}
	return readV1(func(controller string) string { return dir(controller, controller) })
}

func readV2(dir string) Usage {
	u := Usage{
		Memory:      number(dir, "memory.current"),
		MemoryLimit: limit(dir, "memory.max"),
		CPUNanos:    -1,
		PIDs:        number(dir, "pids.current"),
		PIDsLimit:   limit(dir, "pids.max"),
	}
	b, _ := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("usage_usec ")); ok {
			if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
				u.CPUNanos = n * 1000
			}
		}
	}
	return u
}

// readV1 reads version 1, where each controller has its own tree.
func readV1(dir func(controller string) string) Usage {
	return Usage{
		Memory:      number(dir("memory"), "memory.usage_in_bytes"),
		MemoryLimit: limit(dir("memory"), "memory.limit_in_bytes"),
		CPUNanos:    number(dir("cpuacct"), "cpuacct.usage"),
		PIDs:        number(dir("pids"), "pids.current"),
		PIDsLimit:   limit(dir("pids"), "pids.max"),
	}
}

func number(dir, file string) int64 {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return -1
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// limit reads a number where "max", or version 1's largest multiple of a
// page, means none.
func limit(dir, file string) int64 {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return -1
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n >= 1<<62 {
		return 0
	}
	return n
}
