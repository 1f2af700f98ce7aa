package pocketdock

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pocketdock/pocketdock/internal/state"
)

// An owner is a process that containers belong to, as text: pid, start time in
// clock ticks since boot, boot ID, and PID namespace, separated by colons. A
// pid alone is reused, and means another process in another namespace. Where
// /proc does not tell, only the pid is known.
type owner string

// nobody stands for the owner of a container that outlives every program.
const nobody owner = state.Nobody

// self is this process.
var self = sync.OnceValue(func() owner { return ownerOf(os.Getpid(), "self") })

// processOwner is the process that has a pid in this PID namespace.
func processOwner(pid int) (owner, error) {
	name := strconv.Itoa(pid)
	if pid <= 0 || startTime(name) == "" && (bootID() != "" || !exists(pid)) {
		return "", invalidf("owner %d: no such process", pid)
	}
	return ownerOf(pid, name), nil
}

func ownerOf(pid int, name string) owner {
	return owner(strings.Join([]string{strconv.Itoa(pid), startTime(name), bootID(), pidNamespace()}, ":"))
}

var bootID = sync.OnceValue(func() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(b))
})

// pidNamespace is the number of ours.
var pidNamespace = sync.OnceValue(func() string {
	link, _ := os.Readlink("/proc/self/ns/pid") // "pid:[4026531836]"
	return strings.Trim(strings.TrimPrefix(link, "pid:"), "[]")
})

// machineID tells machines apart that share a home directory; empty where it
// is not known.
var machineID = sync.OnceValue(func() string {
	b, _ := os.ReadFile("/etc/machine-id")
	return string(bytes.TrimSpace(b))
})

// procIsOurs reports that the numbers in /proc are those of our PID namespace.
var procIsOurs = sync.OnceValue(func() bool {
	link, err := os.Readlink("/proc/self")
	return err == nil && link == strconv.Itoa(os.Getpid())
})

// A coroner knows who is dead; it asks about each owner once.
type coroner map[owner]bool

// dead reports that a process has certainly ended. One of which that cannot
// be known, because it is another machine's or another PID namespace's, lives.
func (c coroner) dead(o owner, machine string) bool {
	if machine != machineID() {
		return false
	}
	dead, known := c[o]
	if !known {
		dead = o.dead()
		c[o] = dead
	}
	return dead
}

func (o owner) dead() bool {
	f := strings.Split(string(o), ":")
	pid, err := strconv.Atoi(f[0])
	if err != nil || pid <= 0 || len(f) < 3 {
		return false
	}
	if f[2] != bootID() {
		return f[2] != "" && bootID() != "" // the machine was started again
	}
	if bootID() == "" {
		return !exists(pid) // no /proc here
	}
	if len(f) < 4 || f[3] == "" || f[3] != pidNamespace() || !procIsOurs() {
		return false
	}
	start := startTime(f[0])
	if start == "" {
		return !exists(pid) // it may only be hidden (hidepid)
	}
	return start != f[1] || defunct(f[0])
}

// exists reports that there is a process of that number, unless it is certain
// that there is none.
func exists(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return true
	}
	defer p.Release()
	return !errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// defunct reports a process that has ended and was not waited for. With more
// threads than one, only its first thread has ended.
func defunct(pid string) bool {
	state := statField(pid, 3)
	return state == "X" || state == "Z" && statField(pid, 20) == "1"
}

// ancestry is this process and those that started it, as far as /proc tells.
func ancestry() map[owner]bool {
	line := map[owner]bool{self(): true}
	pid := os.Getppid()
	for range 100 {
		o, err := processOwner(pid)
		if err != nil {
			break
		}
		line[o] = true
		if pid, err = strconv.Atoi(statField(strconv.Itoa(pid), 4)); err != nil {
			break
		}
	}
	return line
}

// bootTime is when this machine was started; zero where that is not known.
var bootTime = sync.OnceValue(func() time.Time {
	b, _ := os.ReadFile("/proc/stat")
	for line := range strings.Lines(string(b)) {
		if s, ok := strings.CutPrefix(line, "btime "); ok {
			if sec, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
				return time.Unix(sec, 0)
			}
		}
	}
	return time.Time{}
})
