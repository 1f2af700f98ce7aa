package wire

import (
	"encoding/json"
	"errors"
)

// Reply ends an operation that succeeded.
type Reply struct {
	Info    *Info    `json:"info,omitempty"`
	Process *Process `json:"process,omitempty"`
	Limits  *Limits  `json:"limits,omitempty"`
	Stat    *Stat    `json:"stat,omitempty"`
	// Sparse: what a read sends is as package holes has it.
	Sparse bool   `json:"sparse,omitempty"`
	Held   *Held  `json:"held,omitempty"`
	Reset  *Reset `json:"reset,omitempty"`
}

// Hold opens a connection that is kept: it breaks when the sandbox ends.
type Hold struct {
	// Mark takes note of what the sandbox is like now, so that OpReset on
	// this connection can bring that back. No process may be running.
	Mark bool `json:"mark,omitempty"`
}

// Held answers a Hold.
type Held struct {
	// Marked: this connection can reset the sandbox. Why says why not.
	Marked bool   `json:"marked,omitempty"`
	Why    string `json:"why,omitempty"`
	// Files that are watched over.
	Files int `json:"files,omitempty"`
}

// Reset says what became of a sandbox.
type Reset struct {
	// Clean: it was seen to be as at the mark. Anything else is in Why, and
	// then the sandbox must not be used any more.
	Clean bool   `json:"clean"`
	Why   string `json:"why,omitempty"`
	// Removed is how many files or trees of files were removed, Records how
	// many ended processes were forgotten.
	Removed int   `json:"removed,omitempty"`
	Records int   `json:"records,omitempty"`
	TookUS  int64 `json:"us,omitempty"` // microseconds
}

// Entry is one element of a sequence.
type Entry struct {
	Process *Process `json:"process,omitempty"`
	Stat    *Stat    `json:"stat,omitempty"`
	Port    *Port    `json:"port,omitempty"`
	Event   *Event   `json:"event,omitempty"`
}

// Info describes the agent and its sandbox.
type Info struct {
	Version int    `json:"v"`      // protocol version
	Build   string `json:"build"`  // agent version
	PID     int    `json:"pid"`    // 1 as init of its container
	Started int64  `json:"start"`  // Unix nanoseconds
	RSS     int64  `json:"rss"`    // the agent's resident memory, bytes
	Running int    `json:"run"`    // processes it runs now
	Exact   bool   `json:"exact"`  // trees are tracked by group: kills are exact
	Limits  Limits `json:"limits"` // TTL and idle limit
	// Usage of the sandbox's cgroup; negative where it cannot be read, limit
	// 0 where there is none.
	MemoryBytes int64 `json:"mem"`
	MemoryLimit int64 `json:"mem_max"`
	CPUNanos    int64 `json:"cpu_ns"`
	PIDs        int64 `json:"pids"`
	PIDsLimit   int64 `json:"pids_max"`
	// User is what commands run as by default, NoNewPrivs and Caps what they
	// get, read back from the kernel.
	User       string `json:"user"`
	NoNewPrivs bool   `json:"nnp"`
}

// Process describes a process that the agent started.
type Process struct {
	ID       string  `json:"id"`
	Argv     Strings `json:"argv"`
	PID      int     `json:"pid"` // inside the sandbox
	User     string  `json:"user,omitempty"`
	TTY      bool    `json:"tty,omitempty"`
	Detached bool    `json:"detached,omitempty"`
	Session  string  `json:"session,omitempty"` // its kind
	Started  int64   `json:"start"`             // Unix nanoseconds
	// Bytes of output so far, and how many of the first were dropped from the log.
	Stdout        int64 `json:"out"`
	Stderr        int64 `json:"err"`
	StdoutDropped int64 `json:"out_drop,omitempty"`
	StderrDropped int64 `json:"err_drop,omitempty"`
	// Exit is nil while it runs.
	Exit *Exit `json:"exit,omitempty"`
}

// Exit says how a process ended, or that it goes on.
type Exit struct {
	// Running: the operation ends, the process does not (soft timeout, or
	// attach without follow).
	Running bool `json:"running,omitempty"`
	// Code is the exit code, 128+Signal after a death by signal. It means
	// nothing when Running or Lost.
	Code   int `json:"code"`
	Signal int `json:"signal,omitempty"`
	// TimedOut: TimeoutMS ended it. OOM: the kernel's OOM killer ended a
	// process of the sandbox meanwhile and this one died of SIGKILL.
	TimedOut bool `json:"timed_out,omitempty"`
	OOM      bool `json:"oom,omitempty"`
	// Lost: the container stopped while it ran; how it ended is not known.
	Lost bool `json:"lost,omitempty"`
	// Closed: of a command for a session; the session has ended with it.
	Closed bool `json:"closed,omitempty"`
	// Ended in Unix nanoseconds.
	Ended int64 `json:"end,omitempty"`
	// Bytes of output in all.
	Stdout int64 `json:"out,omitempty"`
	Stderr int64 `json:"err,omitempty"`
}

// UnmarshalJSON refuses an end without a code: a code that is not there must
// not read as 0.
func (e *Exit) UnmarshalJSON(b []byte) error {
	type plain Exit
	v := struct {
		*plain
		Code *int `json:"code"`
	}{plain: (*plain)(e)}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch {
	case v.Code != nil:
		e.Code = *v.Code
	case !e.Running && !e.Lost:
		return errors.New("the end of a process without an exit code")
	}
	return nil
}

// Gap says that bytes [From, To) of a stream are no longer in the log.
type Gap struct {
	Stderr bool  `json:"stderr,omitempty"`
	From   int64 `json:"from"`
	To     int64 `json:"to"`
}

// Stat describes a file.
type Stat struct {
	Path   Path   `json:"path"` // as asked, or relative to the directory listed
	Size   int64  `json:"size"`
	Mode   uint32 `json:"mode"`  // st_mode of stat(2): type and permissions
	MTime  int64  `json:"mtime"` // Unix nanoseconds
	UID    uint32 `json:"uid"`
	GID    uint32 `json:"gid"`
	Nlink  uint64 `json:"nlink,omitempty"`
	Inode  uint64 `json:"ino,omitempty"`
	Target Path   `json:"target,omitempty"` // of a symbolic link
}

// Port is a listening socket inside the sandbox.
type Port struct {
	Network string `json:"network"` // "tcp", "tcp6"
	Address string `json:"address"` // IP address
	Port    int    `json:"port"`
}

// Event is one change in a watched directory.
type Event struct {
	// Op is "create", "write", "remove", "rename", "chmod", or "overflow":
	// events were lost, look again.
	Op   string `json:"op"`
	Path Path   `json:"path,omitempty"` // relative to the watched path
	Dir  bool   `json:"dir,omitempty"`
}

// The codes of [Error].
const (
	CodeInvalid     = "invalid"     // the request makes no sense
	CodeUnsupported = "unsupported" // this agent cannot do that
	CodeNotFound    = "not-found"   // no such file or directory
	CodeNoProcess   = "no-process"  // no such process
	CodeExists      = "exists"      // it is there already
	CodePermission  = "permission"  // EACCES, EPERM
	CodeNotCommand  = "no-command"  // the program was not found (shells say 127)
	CodeNotExec     = "not-exec"    // found and cannot be executed (shells say 126)
	CodeIsDir       = "is-dir"
	CodeNotDir      = "not-dir"
	CodeNotEmpty    = "not-empty"
	CodeNoSpace     = "no-space"
	CodeResource    = "resource" // out of processes, memory or descriptors (EAGAIN, ENOMEM, EMFILE)
	CodeRefused     = "refused"  // connection refused
	CodeDenied      = "denied"   // the peer may not talk to the agent
	CodeOther       = "other"
)

// Error says why an operation failed.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Path    Path   `json:"path,omitempty"`
	Errno   int    `json:"errno,omitempty"` // Linux's, 0 if none
}

func (e *Error) Error() string { return e.Message }
