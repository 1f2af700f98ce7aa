// Package state is the directory in which the library keeps what must be on
// disk: the agent's program, and for each container the directory with the
// agent's socket.
//
//	DIR/                        0700
//	DIR/agent/SHA256            0755, the program, written once
//	DIR/c/ID/                   0700, one per container
//	DIR/c/ID/key                0600, the private key of a bridged agent
//	DIR/c/ID/io/                mounted into the container
//	DIR/c/ID/io/s               the agent's socket
package state

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Dir is a state directory's absolute path.
type Dir string

// SocketName is the agent's socket in a container's io directory.
const SocketName = "s"

// Default is this user's state directory.
func Default() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/pocketdock", nil
	}
	if x := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(x) {
		return filepath.Join(x, "pocketdock"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no state directory: %w (set POCKETDOCK_STATE_DIR)", err)
	}
	return filepath.Join(home, ".local/state/pocketdock"), nil
}

// Make creates the directory.
func (d Dir) Make() error { return os.MkdirAll(string(d), 0o700) }

// Box is the directory of one container.
type Box string

// NewBox makes a directory for a container that is about to be created.
func (d Dir) NewBox() (Box, error) {
	var id [8]byte
	rand.Read(id[:])
	b := Box(filepath.Join(string(d), "c", hex.EncodeToString(id[:])))
	return b, b.Prepare()
}

// BoxOf is the directory for a container that was created by somebody else.
func (d Dir) BoxOf(containerID string) (Box, error) {
	b, ok := d.Box(filepath.Join(string(d), "c", containerID[:min(16, len(containerID))]))
	if !ok {
		return "", fmt.Errorf("container ID %q is not 64 hexadecimal digits", containerID)
	}
	return b, nil
}

// Prepare makes what is missing of the directory, as after a reboot that
// wiped it.
func (b Box) Prepare() error {
	return errors.Join(os.MkdirAll(string(b), 0o700), os.MkdirAll(b.IO(), 0o755))
}

// IO is the directory that is mounted into the container.
func (b Box) IO() string { return filepath.Join(string(b), "io") }

// Socket is the path of the agent's socket on this host.
func (b Box) Socket() string { return filepath.Join(b.IO(), SocketName) }

// Remove deletes the directory.
func (b Box) Remove() error { return os.RemoveAll(string(b)) }

// Box checks that path, which comes from a container's label, is a container
// directory of this state directory, and returns it.
func (d Dir) Box(path string) (Box, bool) {
	id, ok := strings.CutPrefix(path, filepath.Join(string(d), "c")+string(filepath.Separator))
	if !ok || len(id) != 16 || strings.Trim(id, "0123456789abcdef") != "" {
		return "", false
	}
	return Box(path), true
}

// Program puts the bytes of a program on disk, if they are not there, and
// returns its path. sum is their SHA-256 in hexadecimal; data is called only
// when the file is missing.
func (d Dir) Program(sum string, data func() ([]byte, error)) (string, error) {
	path := filepath.Join(string(d), "agent", sum)
	if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Size() > 0 {
		return path, nil
	}
	b, err := data()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	// A temporary name and a rename: two programs may do this at once, and
	// one may be killed in the middle.
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o755), f.Sync(), f.Close())
	if err != nil {
		return "", fmt.Errorf("writing the agent to %s: %w", path, err)
	}
	return path, os.Rename(f.Name(), path)
}
