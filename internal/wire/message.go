package wire

import "encoding/json"

// Version is the protocol's version. An agent answers every version up to its
// own; a client says in [Request.Version] the one it speaks, and asks nothing
// that the version in the agent's [Info] does not have. Fields may be added
// within a version when leaving them out means what it meant before.
const Version = 1

// The operations.
const (
	OpInfo    = "info"    // → Reply.Info
	OpRun     = "run"     // Start → Started, output, Exit (or Started, Reply when Start.Detach)
	OpAttach  = "attach"  // Attach → Started, output and gaps, Exit
	OpSend    = "send"    // Send → Started, output, Exit (or Started, Reply when Send.Detach): a command for a session
	OpInput   = "input"   // Attach (ID only), then Data… End → Reply: writes a detached process's stdin
	OpSignal  = "signal"  // Signal → Reply.Process
	OpResize  = "resize"  // Resize → Reply.Process
	OpList    = "list"    // → Entry.Process…, Reply
	OpEvents  = "events"  // → Entry.Process…, Reply, then Entry.Process for each detached process that is started
	OpForget  = "forget"  // Signal (ID only) → Reply: drops the record and log of an ended process
	OpLimits  = "limits"  // Limits (nil fields only read) → Reply.Limits
	OpSecrets = "secrets" // Secrets → Reply: environment of all later commands
	OpPorts   = "ports"   // → Entry.Port…, Reply
	OpDial    = "dial"    // Dial → Reply, then a raw stream both ways
	OpHold    = "hold"    // Hold → Reply.Held, then requests for info and reset → Reply each, until the client closes
	OpReset   = "reset"   // within OpHold only → Reply.Reset

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
	// OpWriteSparse is OpWrite of content as package holes has it; without
	// Offset and Append. What must be written in place is CodeUnsupported.
	OpWriteSparse = "writesparse"
	OpTarOut      = "tarout" // File → Data…, End, Reply
	OpTarIn       = "tarin"  // File, then Data…, End → Reply
	OpWatch       = "watch"  // File (Recursive) → Reply (watching), then Entry.Event… until the client closes
	OpDone        = "done"   // nothing → Reply; the last request of a visit of the embedded engine
)

// A Request opens an operation. Only the field that belongs to Op is set.
type Request struct {
	Version int     `json:"v"`
	Op      string  `json:"op"`
	Start   *Start  `json:"start,omitempty"`
	Attach  *Attach `json:"attach,omitempty"`
	Send    *Send   `json:"send,omitempty"`
	Signal  *Signal `json:"signal,omitempty"`
	Resize  *Resize `json:"resize,omitempty"`
	Limits  *Limits `json:"limits,omitempty"`
	// Secrets are "NAME=value" for the environment of every command, in place
	// of what was said before.
	Secrets Strings `json:"secrets,omitempty"`
	Dial    *Dial   `json:"dial,omitempty"`
	File    *File   `json:"file,omitempty"`
	Hold    *Hold   `json:"hold,omitempty"`
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
	// Session, if not empty, makes a detached process one that takes commands
	// by OpSend, and names its kind, which the agent only reports: 1 to 64 of
	// a-z, 0-9 and '-'. The process has its script on descriptor 0, its
	// standard input (as by Stdin) on 3, and on 4 a socket of packets on
	// which it says how a command ended, see Send.
	Session string `json:"session,omitempty"`
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

// Send gives a session a command. Commands are taken one at a time; the others
// wait, in order.
type Send struct {
	ID string `json:"id"`
	// Script is written to the session's descriptor 0. When it has been
	// executed, the session is to send one packet, Token and the exit code
	// with a space between, on descriptor 4. A token is 1 to 64 of a-z, 0-9
	// and '-', and is not to be guessed.
	Script []byte `json:"script"`
	Token  string `json:"token"`
	// Sync is written after each interrupt, perhaps more than once, and has the
	// session send Token, SyncMark and a code. Before, the agent puts a number
	// after SyncMark wherever it follows Token, and knows the answer by it.
	Sync []byte `json:"sync"`
	// TimeoutMS interrupts the command. What it has started and is left
	// GraceMS (0: 500) later is killed, the session that long (2000 at least) after.
	// 0: none.
	TimeoutMS int64 `json:"timeout_ms,omitempty"`
	GraceMS   int64 `json:"grace_ms,omitempty"`
	// Answer takes what else comes on descriptor 4 meanwhile, whoever sends it,
	// as the command's output: it is in no log, in place of what is.
	Answer bool `json:"answer,omitempty"`
	// Detach: the operation ends with a Reply as soon as the command runs.
	// Otherwise the end of the connection ends the command as a timeout does.
	Detach bool `json:"detach,omitempty"`
}

// SyncMark follows the token in the answer to [Send.Sync].
const SyncMark = "+"

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
	// Sparse says that the client takes files that have holes as package
	// holes has them: read then says so in its Reply, tarout makes entries of
	// type holes.TarType. tarin takes such entries always.
	Sparse bool `json:"sparse,omitempty"`
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
	// Secrets says that OpSecrets will come: before it nothing is started,
	// Main neither.
	Secrets bool `json:"secrets,omitempty"`
}
