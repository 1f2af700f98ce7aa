package pocketdock

import (
	"bytes"
	"os"
	"strings"
)

// The labels on every container that this package creates.
const (
	labelPrefix    = "pocketdock."
	labelManaged   = labelPrefix + "managed"
	labelInstance  = labelPrefix + "instance"
	labelProject   = labelPrefix + "project"
	labelDir       = labelPrefix + "project-dir"
	labelProfile   = labelPrefix + "profile"
	labelPersist   = labelPrefix + "persist"
	labelDataPath  = labelPrefix + "data-path"
	labelCreatedAt = labelPrefix + "created-at"
	// labelOwner is the process that the container belongs to, see owner.
	labelOwner = labelPrefix + "owner"
	// labelAgent says how the agent is reached: "socket" or "bridge".
	labelAgent   = labelPrefix + "agent"
	labelTimeout = labelPrefix + "timeout" // default of a run, a Go duration
	// labelImage is the image as it was named at creation: a container's
	// configuration may show only an ID after the tag moved.
	labelImage = labelPrefix + "image"
)

// startTime is field 22 of /proc/PID/stat (proc(5)), or empty.
func startTime(pid string) string { return statField(pid, 22) }

// statField is a field of /proc/PID/stat, counted from 1 as in proc(5), from
// the third on; empty if it cannot be read.
func statField(pid string, n int) string {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return ""
	}
	// The second field, the command's name, may contain spaces and parentheses.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if n-3 >= len(fields) {
		return ""
	}
	return fields[n-3]
}
