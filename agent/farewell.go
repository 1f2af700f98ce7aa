//go:build linux

package agent

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// What is written in a sandbox of the embedded engine is in memory, and has to
// be saved when all processes have ended and before PID 1 has. Such an engine
// sets farewellEnv and gives two pipes: on the first it is told the code that
// the agent would end with, the second tells the agent, by its end, to end. The
// engine kills the sandbox instead.
const (
	farewellEnv  = "POCKETDOCK_FAREWELL"
	farewellTell = 3
	farewellWait = 4
)

// pidsEnv is the limit of processes, which such an engine cannot set from
// outside. It holds for commands as ordinary users: root could write there, too.
const (
	pidsEnv  = "POCKETDOCK_PIDS"
	pidsFile = "/sys/fs/cgroup/pids/pids.max"
)

type farewell struct{ tell, done *os.File }

// takeFarewell takes the pipes, so that no command has them; nil: there are
// none.
func takeFarewell() *farewell {
	if n := os.Getenv(pidsEnv); n != "" {
		os.Unsetenv(pidsEnv)
		if fd, err := unix.Open(pidsFile, unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
			unix.Write(fd, []byte(n)) // whoever counts on it reads it back
			unix.Close(fd)
		}
	}
	if os.Getenv(farewellEnv) == "" {
		return nil
	}
	os.Unsetenv(farewellEnv)
	unix.CloseOnExec(farewellTell)
	unix.CloseOnExec(farewellWait)
	return &farewell{os.NewFile(farewellTell, "tell"), os.NewFile(farewellWait, "wait")}
}

// wait says that all other processes have ended, and waits until the engine
// has what it needs.
func (f *farewell) wait(code int) {
	if f == nil {
		return
	}
	if f.say(fmt.Sprintf("exit %d\n", code)) == nil {
		f.done.Read(make([]byte, 1))
	}
}

func (f *farewell) say(line string) error {
	_, err := f.tell.WriteString(line)
	return err
}
