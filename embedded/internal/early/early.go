//go:build linux && !noembedded

// Package early is what parts of a sandbox do before gVisor's packages
// initialise themselves, which takes 10 ms. Of the packages whose imports are
// initialised Go takes the first by its path, so that one in github.com comes
// before those of gvisor.dev; as long as it imports only what they import, too.
package early

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/pocketdock/pocketdock/embedded/internal/part"
)

// Procs is how many goroutines ran at once before there was one, see init.
var Procs int

func init() {
	switch part.Of(os.Args) {
	case part.Umount:
		os.Exit(umount(os.Args))
	case part.GVisor:
		// So that there are few threads when gVisor drops capabilities, which
		// interrupts each of them for each capability. The sandbox's number it
		// sets itself after that.
		Procs = runtime.GOMAXPROCS(1)
	}
}

// umount is gVisor's command of that name: "umount --sync-fd=FD DIR" waits for
// a byte, and takes the directory away from a process that may not any more.
func umount(args []string) int {
	fd, err := strconv.Atoi(strings.TrimPrefix(args[2], "--sync-fd="))
	if err != nil {
		return 2
	}
	var b [1]byte
	for {
		n, err := syscall.Read(fd, b[:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n != 1 {
			return 128
		}
		break
	}
	if syscall.Unmount(args[3], syscall.MNT_DETACH) != nil {
		return 128
	}
	return 0
}
