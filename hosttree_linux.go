package pocketdock

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// hostKill signals a process of this host.
func hostKill(pid, sig int) error { return syscall.Kill(pid, syscall.Signal(sig)) }

// hostTree is root and its descendants, as far as their parents still live.
func hostTree(root int) []int {
	children := map[int][]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if ppid := statField(e.Name(), 4); ppid != "" {
			if n, err := strconv.Atoi(ppid); err == nil {
				children[n] = append(children[n], pid)
			}
		}
	}
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// innerPID is a process's number in its innermost PID namespace.
func innerPID(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			if f := strings.Fields(rest); len(f) > 1 {
				return f[len(f)-1]
			}
		}
	}
	return ""
}
