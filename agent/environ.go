//go:build linux

package agent

import (
	"os"
	"slices"
	"strings"
)

// defaultPath is what container engines set.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// baseEnviron is the container's environment: the agent's own. The runtime
// has put the home of the agent's user there if the image named none; a
// command of another user must not get that. Podman puts TERM=xterm into every
// container, by which programs such as IPython take a pipe for a terminal.
func baseEnviron(own *identity) []string {
	env := os.Environ()
	podman := slices.Contains(env, "container=podman")
	keep := env[:0]
	for _, e := range env {
		if own != nil && e == "HOME="+own.home || podman && e == "TERM=xterm" {
			continue
		}
		keep = append(keep, e)
	}
	return keep
}

// environ is base with changes applied, and with what every command has.
func environ(base, changes []string, id *identity, tty bool) []string {
	env := make([]string, 0, len(base)+len(changes)+5)
	at := make(map[string]int, cap(env))
	set := func(e string) {
		name, _, valued := strings.Cut(e, "=")
		i, there := at[name]
		switch {
		case !valued && there:
			env[i] = "" // dropped below
			delete(at, name)
		case !valued:
		case there:
			env[i] = e
		default:
			at[name] = len(env)
			env = append(env, e)
		}
	}
	unset := func(name, value string) {
		if _, there := at[name]; !there && value != "" {
			env = append(env, name+"="+value)
		}
	}
	for _, e := range base {
		set(e)
	}
	for _, e := range changes {
		set(e)
	}
	unset("PATH", defaultPath)
	unset("HOME", id.home)
	unset("USER", id.name)
	unset("LOGNAME", id.name)
	if tty {
		unset("TERM", "xterm-256color")
	}
	keep := env[:0]
	for _, e := range env {
		if e != "" {
			keep = append(keep, e)
		}
	}
	return keep
}

// variable is the value of name in env.
func variable(env []string, name string) string {
	for _, e := range env {
		if len(e) > len(name) && e[len(name)] == '=' && e[:len(name)] == name {
			return e[len(name)+1:]
		}
	}
	return ""
}
