//go:build linux

// Package monitor is what the embedded engine and the monitors of its
// sandboxes say to each other. A monitor is the process that started a sandbox
// and waits for its end: it holds the lock of the container's directory, so
// that everybody sees whether the container runs, and takes requests on a
// socket there, one per connection.
package monitor

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/embedded/internal/group"
)

// Files of a container's directory that a monitor uses.
const (
	LaunchFile = "launch.json" // a Launch
	StateFile  = "state.json"  // a State
	LockFile   = "lock"        // held while the container runs
	SocketFile = "m"           // for requests
	LogFile    = "log"         // output, see Record
	UpperFile  = "upper.tar"   // what the container has written, as of its last stop
)

// EndSuffix is what a container that removed itself leaves for a while beside
// where it was moved to: its State, for those who wait for it.
const EndSuffix = "-end"

// Descriptors that a monitor is started with.
const (
	// OrderFD is a socket to whoever started it, which sends Joined, then an
	// Order, and gets a Reply when the container has started or failed to. A
	// monitor whose socket is closed before ends.
	OrderFD = 3
	// HighFD is not used: because of it the monitor, and who descends from it,
	// has a table of so many descriptors. gVisor uses the ones just below, and
	// where a program with threads needs a larger table, as any in Go is, the
	// kernel waits for all processors, some 10 ms.
	HighFD = 255
)

// Joined says that the monitor has been moved into the sandbox's control group.
type Joined struct {
	Group *group.Group `json:",omitempty"` // nil: gVisor is to make it
}

// An Order says which container a monitor is for. Its lock comes with it, and
// for a visit what is to be its standard input and output.
type Order struct {
	Dir string // the container's
}

// A Launch says what a monitor is to start.
type Launch struct {
	ID     string            // of the sandbox
	Bundle string            // directory with the OCI configuration
	Flags  map[string]string // gVisor's
	Stdin  bool              // keep standard input open, for attach
	// StdinOnce closes standard input when the first client that is attached goes.
	StdinOnce bool
	TTY       bool
	// AutoRemove is a directory to move the container's to when it has ended;
	// empty: it stays.
	AutoRemove string
	// Linger says that the first process reports its end on descriptor 3, and
	// waits on 4 until its files were saved.
	Linger bool
	User   string // whom the first process runs as, by the names of the image
	Agent  string // the agent's program
	Events string // the file of events
	Event  *Event // what every event of the container says
	// First says that the first process is the agent's program, for a command
	// of another tool; see agent.First.
	First bool
	// Visit says that it is for copying files only: standard streams come with
	// the order, and nothing is written but what was copied.
	Visit bool
}

// A State is what is known of the last run.
type State struct {
	Started  string `json:",omitempty"` // RFC 3339
	Finished string `json:",omitempty"` // empty while it runs, or if the monitor was killed
	Failed   string `json:",omitempty"` // when it could not be started; Error says why
	ExitCode int
	Sandbox  int // pid of the sandbox's process, as the monitor sees it
	OOM      bool
	Error    string `json:",omitempty"`
}

// Killed makes it that of a run whose monitor was killed.
func (s *State) Killed() {
	s.ExitCode, s.Error, s.Finished = 137, "the container's monitor was killed", s.Started
}

// A Request is one of these operations.
type Request struct {
	Op string // "signal", "kill", "killtree", "discard", "save", "exec", "visit", "ps", "usage", "attach", "resize", "pause", "resume", "wait"

	Signal int    // signal
	PID    int32  // signal, killtree: a process of an exec; 0: the first process
	Group  bool   // signal: to whom the process's terminal belongs
	Rows   uint16 // resize
	Cols   uint16
	Path   string // save: the file to write
	Exec   *Exec
	Replay bool // attach: what was printed before, too
	Fresh  bool // attach: what was printed since the start, too
	Stdin  bool // attach: what is sent is standard input
	Output bool // attach: output is sent
}

// An Exec is a process to start. Its standard streams come with the request.
type Exec struct {
	Args, Env, Caps []string
	Dir             string
	User            string // by the container's names, or numbers
	TTY             bool
}

// A Reply answers a request. An exec has two: at its start and at its end.
type Reply struct {
	Error    string `json:",omitempty"`
	PID      int32
	ExitCode int
	PS       []Process `json:",omitempty"`
	Memory   int64
	CPU      int64 // nanoseconds
	Count    int
}

// A Process of a sandbox.
type Process struct {
	UID        uint32
	PID, PPID  int32
	Start, CPU string
	Command    string
}

// maxMessage bounds a message: the arguments and the environment of a process
// have at most 2 MiB.
const maxMessage = 4 << 20

// Write sends a message, and open files with it.
func Write(c *net.UnixConn, v any, files ...*os.File) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	b = append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	n, _, err := c.WriteMsgUnix(b, oob, nil)
	if err == nil && n < len(b) {
		_, err = c.Write(b[n:])
	}
	return err
}

// Read receives a message, and the files that came with it.
func Read(c *net.UnixConn, v any) ([]*os.File, error) {
	var size [4]byte
	oob := make([]byte, unix.CmsgSpace(3*4))
	n, oobn, _, _, err := c.ReadMsgUnix(size[:], oob)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, io.EOF
	}
	files, err := received(oob[:oobn])
	if err == nil && n < len(size) {
		_, err = io.ReadFull(c, size[n:])
	}
	var b []byte
	if err == nil {
		l := binary.BigEndian.Uint32(size[:])
		if l > maxMessage {
			err = fmt.Errorf("message of %d bytes", l)
		} else {
			b = make([]byte, l)
			_, err = io.ReadFull(c, b)
		}
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return nil, err
	}
	return files, nil
}

func received(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, m := range list {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

// Dial connects to a container's monitor.
func Dial(dir string) (*net.UnixConn, error) {
	var c *net.UnixConn
	err := at(dir, func(path string) (err error) {
		c, err = net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		return err
	})
	return c, err
}

// Listen makes a container's socket.
func Listen(dir string) (*net.UnixListener, error) {
	var l *net.UnixListener
	err := at(dir, func(path string) (err error) {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		return err
	})
	if err == nil {
		l.SetUnlinkOnClose(false)
	}
	return l, err
}

// at gives the socket a path that is short enough whatever the directory's.
func at(dir string, do func(path string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return do(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), SocketFile))
}

// Ask sends a request and reads its one answer.
func Ask(dir string, r *Request) (*Reply, error) {
	c, err := Dial(dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := Write(c, r); err != nil {
		return nil, err
	}
	var reply Reply
	if _, err := Read(c, &reply); err != nil {
		return nil, err
	}
	if reply.Error != "" {
		return nil, errors.New(reply.Error)
	}
	return &reply, nil
}

// Wait returns when the container has ended, or its monitor; when there is none, or one that does not know this request, at once.
func Wait(ctx context.Context, dir string) {
	c, err := Dial(dir)
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer func() { stop(); c.Close() }()
	if Write(c, &Request{Op: "wait"}) == nil {
		c.Read(make([]byte, 1))
	}
}
