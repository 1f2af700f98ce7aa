// Package enginetest tells tests which real engines to run on.
package enginetest

import (
	"fmt"
	"os"
	"strings"
)

// vars name the engines' sockets; scripts/engines prints them.
var vars = []struct{ name, env string }{
	{"docker", "POCKETDOCK_TEST_DOCKER"},
	{"podman", "POCKETDOCK_TEST_PODMAN"},
	{"rootless", "POCKETDOCK_TEST_ROOTLESS"},
}

// embeddedVar names the socket of an embedded engine, which scripts/embedded
// serves. Its tests are a run of their own: gVisor does not build with the race
// detector in a bearable time, and does not run with it at all.
const embeddedVar = "POCKETDOCK_TEST_EMBEDDED"

// An Engine is one to run on. An empty Socket is the machine's own engine.
type Engine struct{ Name, Socket string }

// onlyVar names one engine to run on, where several test runs share the work.
const onlyVar = "POCKETDOCK_TEST_ONLY"

func wanted(name string) bool {
	only := os.Getenv(onlyVar)
	return only == "" || only == name
}

// Engines are those that the environment names, or the machine's own; what is
// not run is said on stderr. In CI a missing one is an error. Rootless Podman
// is left out for root: see Rootless.
func Engines() ([]Engine, error) {
	if socket := os.Getenv(embeddedVar); socket != "" {
		return []Engine{{"embedded", socket}}, nil
	}
	var list []Engine
	var missing []string
	for _, v := range vars {
		socket := os.Getenv(v.env)
		switch {
		case socket == "":
			missing = append(missing, v.name)
		case !wanted(v.name):
		case v.name != "rootless" || os.Getuid() != 0:
			list = append(list, Engine{v.name, socket})
		}
	}
	switch {
	case len(missing) == 0:
	case os.Getenv("CI") != "":
		return nil, fmt.Errorf("no %s: in CI the tests run on all engines; see scripts/engines", strings.Join(missing, ", "))
	case len(missing) == len(vars):
		fmt.Fprintln(os.Stderr, "tests: on this machine's own engine; not run: the others, see scripts/engines")
		list = append(list, Engine{Name: "own"})
	default:
		fmt.Fprintf(os.Stderr, "tests: not run on %s; see scripts/engines\n", strings.Join(missing, ", "))
	}
	return list, nil
}
