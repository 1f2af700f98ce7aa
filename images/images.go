// Package images has what pocketdock's profiles are made of: for each a
// Dockerfile, and a smoke script that uses what the profile promises. All are
// based on debian:bookworm-slim and its packages.
package images

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
)

// Base is the image that every Dockerfile begins with.
const Base = "debian:bookworm-slim"

// A Profile is one of the built-in ones.
type Profile struct {
	Name        string
	Description string // one line
	// Network says whether its sandboxes have a network unless told otherwise.
	Network bool
}

// The profiles in which somebody works have a network; those in which programs
// run that nobody has read have none.
var profiles = []Profile{
	{"minimal-python", "Python 3, pip and venv", false},
	{"minimal-node", "Node.js and npm", false},
	{"minimal-bun", "Bun: TypeScript and JavaScript", false},
	{"dev", "Git, curl, jq, vim, compilers, gdb, Python with IPython", true},
	{"agent", "Python with requests, httpx, pandas, numpy, beautifulsoup4, lxml, pyyaml, pillow; curl, jq", false},
	{"embedded", "GCC, Arm Cortex-M cross compiler, CMake, Ninja, gdb, OpenOCD, picocom", true},
}

// Profiles are the built-in ones, smallest purposes first.
func Profiles() []Profile { return append([]Profile(nil), profiles...) }

//go:embed */Dockerfile */smoke.sh
var files embed.FS

// Dockerfile of a built-in profile.
func Dockerfile(name string) ([]byte, error) { return read(name, "Dockerfile") }

// Smoke is a shell script that uses what the profile promises, without a
// network. It ends with 0 and prints "ok NAME", or fails.
func Smoke(name string) ([]byte, error) { return read(name, "smoke.sh") }

func read(name, file string) ([]byte, error) {
	if !fs.ValidPath(name) || name != path.Base(name) {
		return nil, fmt.Errorf("no built-in profile %q", name)
	}
	b, err := files.ReadFile(name + "/" + file)
	if err != nil {
		return nil, fmt.Errorf("no built-in profile %q", name)
	}
	return b, nil
}
