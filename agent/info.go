//go:build linux

package agent

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// info describes the agent and its sandbox.
func (a *agent) info() *wire.Info {
	u := a.cgroup.usage()
	var buf [8 << 10]byte
	self := seen{status: readAt(unix.AT_FDCWD, "/proc/self/status", buf[:])}
	user := a.conf.User
	if user == "" {
		user = a.own.name
	}
	return &wire.Info{
		Version: wire.Version, Build: Version, PID: os.Getpid(), Started: a.started.UnixNano(),
		RSS: kilobytes(self.field("VmRSS")), Running: a.procs.running(), Exact: a.exact,
		Limits:      a.rest.limits(),
		MemoryBytes: u.memory, MemoryLimit: u.memoryLimit, CPUNanos: u.cpuNanos,
		PIDs: u.pids, PIDsLimit: u.pidsLimit,
		User: user, NoNewPrivs: string(self.field("NoNewPrivs")) == "1",
	}
}

// kilobytes reads "1234 kB" as bytes.
func kilobytes(b []byte) int64 {
	for i, c := range b {
		if c == ' ' {
			b = b[:i]
			break
		}
	}
	n, _ := number(b)
	return int64(n) << 10
}
