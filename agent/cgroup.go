//go:build linux

package agent

import (
	"bytes"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A cgroup is the sandbox's control group, as far as it is visible inside.
type cgroup struct {
	v2                bool
	memory, cpu, pids string // directories; empty: none
	oomFile           int    // with the count of OOM kills, kept open; -1: none
	oomKey            string
}

const cgroupRoot = "/sys/fs/cgroup"

// find looks for the group's directories. In a container its own group is
// mostly mounted as the root.
func (c *cgroup) find() {
	c.oomFile = -1
	own := map[string]string{} // controller to path
	var buf [4 << 10]byte
	for line := range bytes.SplitSeq(readAt(unix.AT_FDCWD, "/proc/self/cgroup", buf[:]), []byte("\n")) {
		f := strings.SplitN(string(line), ":", 3)
		if len(f) != 3 || strings.Contains(f[2], "..") {
			continue
		}
		for name := range strings.SplitSeq(f[1], ",") {
			own[name] = f[2]
		}
	}
	pick := func(file string, dirs ...string) string {
		for _, d := range dirs {
			if unix.Access(d+"/"+file, unix.R_OK) == nil {
				return d
			}
		}
		return ""
	}
	if unix.Access(cgroupRoot+"/cgroup.controllers", unix.F_OK) == nil {
		c.v2 = true
		c.memory = pick("memory.current", cgroupRoot+own[""], cgroupRoot)
		c.cpu = pick("cpu.stat", cgroupRoot+own[""], cgroupRoot)
		c.pids = pick("pids.current", cgroupRoot+own[""], cgroupRoot)
		c.oomKey = "oom_kill"
		c.openOOM(c.memory + "/memory.events")
		return
	}
	c.memory = pick("memory.usage_in_bytes", cgroupRoot+"/memory"+own["memory"], cgroupRoot+"/memory")
	c.cpu = pick("cpuacct.usage", cgroupRoot+"/cpuacct"+own["cpuacct"], cgroupRoot+"/cpu,cpuacct"+own["cpuacct"],
		cgroupRoot+"/cpuacct", cgroupRoot+"/cpu,cpuacct")
	c.pids = pick("pids.current", cgroupRoot+"/pids"+own["pids"], cgroupRoot+"/pids")
	c.oomKey = "oom_kill"
	c.openOOM(c.memory + "/memory.oom_control")
}

func (c *cgroup) openOOM(path string) {
	if fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil && c.memory != "" {
		c.oomFile = fd
	}
}

// oomKills is how many processes the kernel has killed for want of memory.
func (c *cgroup) oomKills() int64 {
	if c.oomFile < 0 {
		return 0
	}
	var buf [512]byte
	n, _ := unix.Pread(c.oomFile, buf[:], 0)
	return keyed(buf[:max(n, 0)], c.oomKey)
}

// room reports that n more processes may be made, as far as it is known.
func (c *cgroup) room(n int64) bool {
	limit := c.number(c.pids, "pids.max")
	return limit <= 0 || limit-c.number(c.pids, "pids.current") > n
}

// keyed is the number after key at the start of a line; 0 if there is none.
func keyed(b []byte, key string) int64 {
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		if len(line) > len(key) && line[len(key)] == ' ' && string(line[:len(key)]) == key {
			n, _ := strconv.ParseInt(string(bytes.TrimSpace(line[len(key)+1:])), 10, 64)
			return n
		}
	}
	return 0
}

// number is the number in a file, -1 if it cannot be read; "max" and what v1
// means by it is 0.
func (c *cgroup) number(dir, file string) int64 {
	if dir == "" {
		return -1
	}
	var buf [64]byte
	text := strings.TrimSpace(string(readAt(unix.AT_FDCWD, dir+"/"+file, buf[:])))
	if text == "max" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return -1
	case n > math.MaxInt64-int64(os.Getpagesize())*2:
		return 0
	}
	return n
}

// A usage is in the units of [wire.Info].
type usage struct {
	memory, memoryLimit, cpuNanos, pids, pidsLimit int64
}

// usage reads what the sandbox uses. Memory is without the page cache that
// the kernel would drop first, as engines count it.
func (c *cgroup) usage() usage {
	var u usage
	var buf [8 << 10]byte
	if c.v2 {
		u.memory = c.number(c.memory, "memory.current")
		u.memoryLimit = max(0, c.number(c.memory, "memory.max"))
		u.cpuNanos = -1
		if c.cpu != "" {
			u.cpuNanos = keyed(readAt(unix.AT_FDCWD, c.cpu+"/cpu.stat", buf[:]), "usage_usec") * int64(time.Microsecond)
		}
		if u.memory > 0 {
			u.memory = max(0, u.memory-keyed(readAt(unix.AT_FDCWD, c.memory+"/memory.stat", buf[:]), "inactive_file"))
		}
	} else {
		u.memory = c.number(c.memory, "memory.usage_in_bytes")
		u.memoryLimit = max(0, c.number(c.memory, "memory.limit_in_bytes"))
		u.cpuNanos = c.number(c.cpu, "cpuacct.usage")
		if u.memory > 0 {
			u.memory = max(0, u.memory-keyed(readAt(unix.AT_FDCWD, c.memory+"/memory.stat", buf[:]), "total_inactive_file"))
		}
	}
	u.pids = c.number(c.pids, "pids.current")
	u.pidsLimit = max(0, c.number(c.pids, "pids.max"))
	return u
}
