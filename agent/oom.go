//go:build linux

package agent

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// commandOOM is added to the badness of commands, in thousandths of the
// memory, so that the kernel ends one of them and not the agent, whose end is
// the sandbox's. To raise it is everybody's right.
const commandOOM = "300"

// preferForOOM offers p to the OOM killer. It is done after the start, off
// the way of short commands; what p has forked by then has the value of the
// agent.
func (a *agent) preferForOOM(p *process) {
	if a.gvisor {
		return // to the host's kernel the sandbox is one process
	}
	a.procs.mu.Lock()
	defer a.procs.mu.Unlock()
	if a.procs.byPID[p.pid] != p {
		return // has ended
	}
	fd, err := unix.Open("/proc/"+strconv.Itoa(p.pid)+"/oom_score_adj", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	unix.Write(fd, []byte(commandOOM))
	unix.Close(fd)
}
