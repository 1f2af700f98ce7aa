//go:build linux

package agent

import (
	"fmt"
	"os/exec"
)

// runIn runs a command in the namespaces of a process, as an engine's exec
// does.
func runIn(pid int, argv ...string) (string, error) {
	args := append([]string{fmt.Sprintf("--target=%d", pid), "--mount", "--pid", "--"}, argv...)
	out, err := exec.Command("nsenter", args...).CombinedOutput()
	return string(out), err
}
