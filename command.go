package pocketdock

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A Command is what to run in a container. One of Args, Shell and Code says
// what; [Argv], [Shell] and [Code] make one.
type Command struct {
	// Args is a program and its arguments, run as they are.
	Args []string
	// Shell is a line for the container's /bin/sh.
	Shell string
	// Code is source text, run by the interpreter of Lang: "python", "bash",
	// "sh", "node", "bun", "ruby", "perl", "php", "lua" or "go".
	Code, Lang string

	// ID names the process, see [Container.Process]: 1 to 64 of a-z, 0-9 and
	// '-', and not that of another. Empty: one is made.
	ID string
	// Env is added to the container's environment.
	Env map[string]string
	// Dir is the working directory. Empty: the container's.
	Dir string
	// User to run as: "name", "uid", "name:group" or "uid:gid". Empty: the
	// container's.
	User string
	// Stdin is read until its end and given to the command. Nil: no input.
	// A Read that is under way when the command ends is not waited for.
	Stdin io.Reader
	// Stdout and Stderr, if not nil, take the output of [Container.Run] as it
	// comes, and nothing of it is kept in the result. If one fails, the
	// command is killed.
	Stdout, Stderr io.Writer
	// Terminal, if not nil, runs the command in a terminal of that size. All
	// output is then stdout.
	Terminal *TerminalSize
	// Timeout ends the command and every process that it started: SIGTERM,
	// Grace, SIGKILL. 0: the container's default (30 s unless created with
	// another; none for [Container.Start]); negative: none.
	Timeout time.Duration
	// Grace is how long the processes have after SIGTERM. 0: half a second.
	Grace time.Duration
	// SoftTimeout, if positive, makes [Container.Run] and [Container.Stream]
	// return after that long with [Result.Running] set, while the command
	// goes on as a detached process; see [Container.Process]. It needs an agent.
	SoftTimeout time.Duration
	// MaxOutput is how much of each stream [Container.Run] keeps, in bytes:
	// half of it from the beginning and half from the end. The command is
	// not slowed by it. 0: 10 MiB; negative: everything.
	MaxOutput int64
	// Rlimits are resource limits of the command: "nofile", "nproc", "core",
	// "fsize", "cpu", "as", "stack", "data" or "memlock" to soft and hard limit.
	Rlimits map[string][2]int64
	// Capabilities to give the command, of those that the container has, by
	// name without CAP_; "ALL" for all of them. Nil: none.
	Capabilities []string
	// LogLimit is how much of each output stream is kept in the container, in
	// bytes; the oldest bytes go first. 0: 1 MiB of a detached process, and of
	// every one in a container that has a [CreateOptions.ProjectDir], where the
	// project's history finds it; otherwise nothing. Negative: as 0, but nothing
	// in a project's container, either.
	LogLimit int64
}

// Argv is a program and its arguments.
func Argv(args ...string) Command { return Command{Args: args} }

// Shell is a line for /bin/sh.
func Shell(line string) Command { return Command{Shell: line} }

// Code is source text in a language, see [Command].
func Code(lang, source string) Command { return Command{Lang: lang, Code: source} }

// TerminalSize is a terminal's size in characters.
type TerminalSize struct{ Rows, Cols int }

func (t TerminalSize) wire() wire.Size {
	clamp := func(n int) uint16 { return uint16(min(max(n, 0), 65535)) }
	return wire.Size{Rows: clamp(t.Rows), Cols: clamp(t.Cols)}
}

// interpreters are the commands that run a file of source text, and the
// name's ending that they expect.
var interpreters = map[string]struct {
	argv []string
	ext  string
}{
	"python": {[]string{"python3"}, "py"},
	"bash":   {[]string{"bash"}, "sh"},
	"sh":     {[]string{"sh"}, "sh"},
	"node":   {[]string{"node"}, "js"},
	"bun":    {[]string{"bun", "run"}, "ts"},
	"ruby":   {[]string{"ruby"}, "rb"},
	"perl":   {[]string{"perl"}, "pl"},
	"php":    {[]string{"php"}, "php"},
	"lua":    {[]string{"lua"}, "lua"},
	"go":     {[]string{"go", "run"}, "go"},
}

// Languages are the names that [Command.Lang] may have.
func Languages() []string { return slices.Sorted(maps.Keys(interpreters)) }

// source is a file that has to be in the container before a command starts,
// in a directory of its own.
type source struct{ dir, path, text string }

// resolve checks the command and says what to start. A command of source text
// needs its file first: an argument would be limited to 128 KiB.
func (cmd *Command) resolve() (*wire.Start, *source, error) {
	forms := 0
	for _, set := range []bool{len(cmd.Args) > 0, cmd.Shell != "", cmd.Lang != "" || cmd.Code != ""} {
		if set {
			forms++
		}
	}
	if forms != 1 {
		return nil, nil, invalidf("command: set one of Args, Shell, and Code with Lang")
	}
	if err := checkEnv(cmd.Env); err != nil {
		return nil, nil, err
	}
	if cmd.ID != "" && !validID(cmd.ID) {
		return nil, nil, invalidf("command: ID %q: use 1 to 64 of a-z, 0-9 and '-'", cmd.ID)
	}
	s := &wire.Start{
		ID: cmd.ID, Argv: cmd.Args, Env: envList(cmd.Env), Dir: cmd.Dir, User: cmd.User,
		Stdin: cmd.Stdin != nil, GraceMS: cmd.Grace.Milliseconds(), LogLimit: max(0, cmd.LogLimit),
		Caps: cmd.Capabilities, SoftMS: cmd.SoftTimeout.Milliseconds(),
	}
	if cmd.Grace < 0 || cmd.SoftTimeout < 0 {
		return nil, nil, invalidf("command: Grace and SoftTimeout must not be negative")
	}
	for _, name := range slices.Sorted(maps.Keys(cmd.Rlimits)) {
		l := cmd.Rlimits[name]
		s.Rlimits = append(s.Rlimits, wire.Rlimit{Name: name, Soft: l[0], Hard: l[1]})
	}
	if cmd.Terminal != nil {
		z := cmd.Terminal.wire()
		s.TTY = &z
	}
	var src *source
	switch {
	case cmd.Shell != "":
		s.Argv = []string{"/bin/sh", "-c", cmd.Shell}
	case cmd.Lang != "":
		in, ok := interpreters[cmd.Lang]
		if !ok {
			return nil, nil, invalidf("language %q: must be one of %s", cmd.Lang, strings.Join(Languages(), ", "))
		}
		var b [6]byte
		rand.Read(b[:])
		dir := "/tmp/pocketdock-" + hex.EncodeToString(b[:])
		src = &source{dir: dir, path: path.Join(dir, "main."+in.ext), text: cmd.Code}
		s.Argv = append(slices.Clone(in.argv), src.path)
	case len(cmd.Args) == 0:
		return nil, nil, invalidf("command: Code without Lang")
	}
	for _, a := range s.Argv {
		if strings.ContainsRune(a, 0) {
			return nil, nil, invalidf("command: an argument contains a zero byte")
		}
	}
	if s.Argv[0] == "" {
		return nil, nil, invalidf("command: the program's name is empty")
	}
	return s, src, nil
}
