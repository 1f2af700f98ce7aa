package wire

import (
	"encoding/json"
	"errors"
)

// Version is the protocol's version. An agent answers every version up to its
// own; a client says in [Request.Version] the one it speaks, and asks nothing
// that the version in the agent's [Info] does not have. Fields may be added
// within a version when leaving them out means what it meant before.
const Version = 1

// The operations.
const (
	OpInfo   = "info"   // → Reply.Info
	OpRun    = "run"    // Start → Started, output, Exit (or Started, Reply when Start.Detach)
	OpAttach = "attach" // Attach → Started, output and gaps, Exit
	OpInput  = "input"  // Attach (ID only), then Data… End → Reply: writes a detached process's stdin
	OpSignal = "signal" // Signal → Reply.Process
	OpResize = "resize" // Resize → Reply.Process
	OpList   = "list"   // → Entry.Process…, Reply
	OpForget = "forget" // Signal (ID only) → Reply: drops the record and log of an ended process
	OpLimits = "limits" // Limits (nil fields only read) → Reply.Limits
	OpPorts  = "ports"  // → Entry.Port…, Reply
	OpDial   = "dial"   // Dial → Reply, then a raw stream both ways

	OpStat    = "stat"    // File → Reply.Stat
	OpReadDir = "readdir" // File (Depth, Glob) → Entry.Stat…, Reply
	OpMkdir   = "mkdir"   // File (Mode, Parents) → Reply.Stat
	OpRemove  = "remove"  // File (Recursive) → Reply
	OpMove    = "move"    // File (To, Replace) → Reply
	OpChmod   = "chmod"   // File (Mode) → Reply.Stat
	OpChown   = "chown"   // File (Owner) → Reply.Stat
	OpSymlink = "symlink" // File (Path is made, To is what it says) → Reply.Stat
	OpRead    = "read"    // File (Offset, Length) → Reply.Stat, then Data…, End
	OpWrite   = "write"   // File (Mode, Offset…), then Data…, End → Reply.Stat
	OpTarOut  = "tarout"  // File → Data…, End, Reply
	OpTarIn   = "tarin"   // File, then Data…, End → Reply
	OpWatch   = "watch"   // File (Recursive) → Reply (watching), then Entry.Event… until the client closes
)

// A Request opens an operation. Only the field that belongs to Op is set.
type Request struct {
	Version int     `json:"v"`
	Op      string  `json:"op"`
	Start   *Start  `json:"start,omitempty"`
	Attach  *Attach `json:"attach,omitempty"`
	Signal  *Signal `json:"signal,omitempty"`
	Resize  *Resize `json:"resize,omitempty"`
	Limits  *Limits `json:"limits,omitempty"`
	Dial    *Dial   `json:"dial,omitempty"`
	File    *File   `json:"file,omitempty"`
}

// Size is a terminal's size in characters.
type Size struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

// Start describes a process to start.
type Start struct {
	// ID, if not empty, names the process: 1 to 64 of a-z, 0-9 and '-'. The
	// agent answers with an error if it is taken. Empty: the agent makes one.
	ID   string  `json:"id,omitempty"`
	Argv Strings `json:"argv"`
	// Env is added to the container's environment, "NAME=value", later wins;
	// "NAME" without "=" removes it.
	Env Strings `json:"env,omitempty"`
	// Dir is the working directory. Empty: the container's.
	Dir string `json:"dir,omitempty"`
	// User is "name", "uid", "name:group" or "uid:gid" as in container
	// configs. Empty: the container's.
	User string `json:"user,omitempty"`
	// TTY gives the process a terminal of this size. Then all output is stdout.
	TTY *Size `json:"tty,omitempty"`
	// Stdin says that KindData frames with input follow, and KindEnd. False:
	// stdin is /dev/null (or a silent terminal). With Detach, input comes
	// through OpInput.
	Stdin bool `json:"stdin,omitempty"`
	// Detach: the operation ends with a Reply as soon as the process runs.
	Detach bool `json:"detach,omitempty"`
	// Keep: the process goes on when this connection breaks. Otherwise it
	// and its tree are killed then. Detach implies it.
	Keep bool `json:"keep,omitempty"`
	// TimeoutMS ends the process and its tree: SIGTERM, GraceMS (0: 500),
	// SIGKILL. 0: none.
	TimeoutMS int64 `json:"timeout_ms,omitempty"`
	GraceMS   int64 `json:"grace_ms,omitempty"`
	// SoftMS: after this long the connection ends with Exit.Running, and the
	// process goes on as a detached one. 0: none. It implies Keep.
	SoftMS int64 `json:"soft_ms,omitempty"`
	// LogLimit bounds the log of each stream, in bytes. 0: 1 MiB when
	// Detach, Keep or SoftMS is set, no log otherwise. The oldest bytes go first.
	LogLimit int64 `json:"log_limit,omitempty"`
	// Rlimits are set on the process.
	Rlimits []Rlimit `json:"rlimits,omitempty"`
	// Caps are Linux capabilities to give it, of those the container has:
	// "CHOWN", or "ALL" for all of them. Empty: none.
	Caps []string `json:"caps,omitempty"`
}

// Rlimit is one resource limit, named as in setrlimit(2) without RLIMIT_, in
// lower case: "nofile", "nproc", "core", "fsize", "cpu", "as", "stack",
// "data", "memlock". -1 is unlimited.
type Rlimit struct {
	Name string `json:"name"`
	Soft int64  `json:"soft"`
	Hard int64  `json:"hard"`
}

// Attach names a process and where to read its output from.
type Attach struct {
	ID string `json:"id"`
	// Stdout and Stderr are byte offsets since the process's start. Negative:
	// from the end, that is, only what comes.
	Stdout int64 `json:"stdout,omitempty"`
	Stderr int64 `json:"stderr,omitempty"`
	// Follow goes on until the process has ended and all output was sent.
	// Without it the operation ends with what is there now (Exit.Running says
	// whether the process still runs).
	Follow bool `json:"follow,omitempty"`
	// Quiet sends no output, only the Exit.
	Quiet bool `json:"quiet,omitempty"`
	// Hold makes the process wait, as for a full pipe, rather than let the
	// log drop bytes that this connection has not been sent yet.
	Hold bool `json:"hold,omitempty"`
	// Stdin says that KindData frames with input may come on this connection.
	Stdin bool `json:"stdin,omitempty"`
	// Close, with OpInput: its KindEnd is the end of the process's input.
	// Without it more may come with a later operation.
	Close bool `json:"close,omitempty"`
}

// Signal sends a signal to a process.
type Signal struct {
	ID string `json:"id"`
	// Signal is its number. 0: SIGTERM to the tree, GraceMS (0: 500), then
	// SIGKILL to the tree: freeze, kill, repeat until none is left.
	Signal  int   `json:"signal,omitempty"`
	GraceMS int64 `json:"grace_ms,omitempty"`
	// Tree sends Signal to every process of the tree; otherwise the process
	// group of the first one gets it. SIGKILL always goes to the tree.
	Tree bool `json:"tree,omitempty"`
}

// Resize sets the size of a process's terminal.
type Resize struct {
	ID   string `json:"id"`
	Size Size   `json:"size"`
}

// Limits are the sandbox's own, in milliseconds; 0 is none, nil leaves as is.
type Limits struct {
	TTLMS  *int64 `json:"ttl_ms,omitempty"`
	IdleMS *int64 `json:"idle_ms,omitempty"`
	// Remaining times, in the answer only. Negative: no limit.
	TTLLeftMS  int64 `json:"ttl_left_ms,omitempty"`
	IdleLeftMS int64 `json:"idle_left_ms,omitempty"`
}

// Dial names an address inside the sandbox: "tcp" and "host:port", or "unix"
// and a path.
type Dial struct {
	Network string `json:"network"`
	Address string `json:"address"`
}

// File describes an operation on files. Paths are absolute, or relative to
// the container's working directory. They are base64 as JSON because a Linux
// path is bytes.
type File struct {
	Path Path `json:"path"`
	To   Path `json:"to,omitempty"`
	// User runs the operation as this user, as in Start.User. Empty: the
	// container's. "root" or "0" acts with the agent's capabilities.
	User string `json:"user,omitempty"`
	// Mode is the permission bits (with setuid, setgid, sticky as in
	// stat(2)). nil: 0644 for files, 0755 for directories.
	Mode *uint32 `json:"mode,omitempty"`
	// Owner is "user", "user:group", names or IDs, for chown.
	Owner string `json:"owner,omitempty"`
	// Parents makes missing parent directories.
	Parents bool `json:"parents,omitempty"`
	// Recursive: remove a tree; watch a tree; chown and chmod a tree.
	Recursive bool `json:"recursive,omitempty"`
	// NoFollow acts on a symbolic link itself.
	NoFollow bool `json:"nofollow,omitempty"`
	// Replace lets move overwrite the target.
	Replace bool `json:"replace,omitempty"`
	// Offset and Length select a range to read. Length 0: to the end.
	// A negative Offset counts from the end.
	Offset int64 `json:"offset,omitempty"`
	Length int64 `json:"length,omitempty"`
	// Depth of readdir: 0 and 1 are the directory itself, n its n levels,
	// negative all.
	Depth int `json:"depth,omitempty"`
	// Glob filters readdir by base name, as in path.Match.
	Glob string `json:"glob,omitempty"`
	// ModTime of a written file, Unix nanoseconds. 0: now.
	ModTime int64 `json:"mtime,omitempty"`
	// Exclusive write fails if the path exists. Append adds to it.
	Exclusive bool `json:"exclusive,omitempty"`
	Append    bool `json:"append,omitempty"`
	// Exclude leaves out of tarout what matches one of these patterns, each
	// matched with path.Match against the base name and the path relative to Path.
	Exclude []string `json:"exclude,omitempty"`
	// Contents makes tarout emit what is in the directory without the
	// directory's own name in front.
	Contents bool `json:"contents,omitempty"`
}

// Path is a file name, exact to the byte.
type Path string

// MarshalJSON writes p as base64.
func (p Path) MarshalJSON() ([]byte, error) { return json.Marshal([]byte(p)) }

// UnmarshalJSON reads base64.
func (p *Path) UnmarshalJSON(b []byte) error {
	var raw []byte
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*p = Path(raw)
	return nil
}

// Reply ends an operation that succeeded.
type Reply struct {
	Info    *Info    `json:"info,omitempty"`
	Process *Process `json:"process,omitempty"`
	Limits  *Limits  `json:"limits,omitempty"`
	Stat    *Stat    `json:"stat,omitempty"`
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
	Started  int64   `json:"start"` // Unix nanoseconds
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

// Config is what the agent is started with: the argument of
// "pocketdock-agent init", as JSON. It is in the container's configuration,
// where everybody who may inspect the container reads it: no secrets.
type Config struct {
	// Socket is the path of the Unix socket to listen on; its directory also
	// keeps the records and logs of processes.
	Socket string `json:"socket"`
	// User and Dir are the defaults of commands, from the image and the
	// create options. Empty: root, "/".
	User string `json:"user,omitempty"`
	Dir  string `json:"dir,omitempty"`
	// Key is an Ed25519 public key: a peer inside the sandbox that proves to
	// hold the private one may talk to the agent. nil: none may.
	Key    []byte `json:"key,omitempty"`
	TTLMS  int64  `json:"ttl_ms,omitempty"`
	IdleMS int64  `json:"idle_ms,omitempty"`
	// Main, if not empty, is run as a supervised, detached process named
	// "main" at start; with Exit the agent ends when it does, with its code.
	Main []string `json:"main,omitempty"`
	Exit bool     `json:"exit,omitempty"`
	// Caps are the capabilities that commands may be given.
	Caps []string `json:"caps,omitempty"`
}
