package pocketdock

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"path"
	"strings"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A dialect is how an interpreter is made a session: it reads its script on
// descriptor 0, is to give commands descriptor 3 as standard input, and says
// on descriptor 4 how each ended, see [wire.Send].
type dialect struct {
	args []string // of the interpreter, after those it was given
	env  []string
	// prelude is written first of all, init is the first command.
	prelude, init string
	// frame is what is written for a command, and after an interrupt of it.
	frame func(text, token string) (script, sync string)
	// dir and environ are scripts that write these to descriptor 4, where no
	// log is: an environment may have secrets. That of environ is NAME=value,
	// each with a zero byte behind it.
	dir, environ string
}

// A scripter is a command ready for its token.
type scripter func(token string) (script, sync []byte)

func (d *dialect) script(text string) scripter {
	return func(token string) ([]byte, []byte) {
		script, sync := d.frame(text, token)
		return []byte(script), []byte(sync)
	}
}

// check refuses what no interpreter can read.
func (d *dialect) check(text string) error {
	if strings.ContainsRune(text, 0) {
		return invalidf("session: the command contains a zero byte")
	}
	return nil
}

// Shells are interactive, because only then an interrupt ends a whole command
// line and not the shell. Their prompts are empty, and without a terminal they
// have no job control: +m.
var (
	posixShell = &dialect{args: []string{"-i", "+m", "-s"}, env: shellEnv, prelude: shPrelude, init: shellInit, frame: frameShell, dir: shellDir, environ: shellEnviron}
	bash       = &dialect{args: []string{"--norc", "--noprofile", "--noediting", "-i", "+m", "+H", "+o", "history", "-s"},
		env: shellEnv, init: shellInit, frame: frameShell, dir: shellDir, environ: shellEnviron}

	dialects = map[string]*dialect{
		"bash": bash, "sh": posixShell, "dash": posixShell, "ash": posixShell,
		"python": {args: []string{"-u", "-c", pythonSession}, frame: frameLines,
			dir: askLine("dir"), environ: askLine("environ")},
		"node": {args: []string{"-e", nodeSession}, frame: frameLines,
			dir: askLine("dir"), environ: askLine("environ")},
	}
)

var (
	//go:embed session.py
	pythonSession string
	//go:embed session.js
	nodeSession string
)

// dialectOf is the dialect's name for a program; empty if there is none.
func dialectOf(program string) string {
	name := path.Base(program)
	if strings.HasPrefix(name, "python3") {
		return "python"
	}
	if name == "nodejs" {
		return "node"
	}
	if dialects[name] == nil {
		return ""
	}
	return name
}

// shellEnv empties the prompts, and keeps a file of the user's from being run
// that shells of this kind would read at their start.
var shellEnv = []string{"PS1=", "PS2=", "ENV"}

// shPrelude turns line editing off, where what is called sh has it: bash.
const shPrelude = "set +o emacs +o vi 2>/dev/null\n"

// shellInit defines what frameShell uses to leave $? as the command left it.
const shellInit = `__pocketdock_status() { return "$1"; }`

// frameShell has the shell evaluate text, one word, so that it cannot reach
// beyond its end, whatever is unfinished in it. The line after that begins
// anew, as bash may still be inside of a broken one. Functions and aliases of
// the session's user do not matter: \command \echo is neither. With "set -e" a
// status other than 0 would end the shell.
func frameShell(text, token string) (script, sync string) {
	var b strings.Builder
	b.Grow(len(text) + 256)
	b.WriteString(`\command eval '`)
	b.WriteString(strings.ReplaceAll(text, "'", `'\''`))
	b.WriteString("' 0<&3 3<&- 4>&-\n\n{ __pocketdock=$?; \\command \\echo ")
	b.WriteString(token)
	b.WriteString(" $__pocketdock >&4; case $- in *e*) ;; *) __pocketdock_status $__pocketdock;; esac; } 2>/dev/null\n")
	return b.String(), "\n{ \\command \\echo " + token + wire.SyncMark + " $? >&4; } 2>/dev/null\n"
}

const (
	shellDir     = "\\command printf %s \"$PWD\" >&4\n"
	shellEnviron = "\\command -p env -0 >&4\n"
)

// frameLines is the way of our own loops in an interpreter: one line of JSON.
func frameLines(text, token string) (script, sync string) {
	line := func(v any) string {
		b, _ := json.Marshal(v) // strings: cannot fail
		return string(b) + "\n"
	}
	return line(map[string]string{"token": token, "source": text}), line(map[string]string{"token": token + wire.SyncMark})
}

// askLine is a question to these loops.
func askLine(what string) string { return `{"ask":"` + what + `"}` + "\n" }

// ask is a question ready for its token: its script, and then a command that
// does nothing, for its end.
func (d *dialect) ask(question string) scripter {
	return func(token string) (script, sync []byte) {
		script, sync = d.script("")(token)
		return append([]byte(question), script...), sync
	}
}

// parseEnviron reads NAME=value, each with a zero byte behind it.
func parseEnviron(b []byte) map[string]string {
	env := map[string]string{}
	for e := range bytes.SplitSeq(b, []byte{0}) {
		if name, value, ok := bytes.Cut(e, []byte("=")); ok && len(name) > 0 && !bytes.HasPrefix(name, []byte("__pocketdock")) {
			env[string(name)] = string(value)
		}
	}
	return env
}
