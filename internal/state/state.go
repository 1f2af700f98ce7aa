// Package state is the directory in which the library keeps what must be on
// disk: the agent's program, and for each container the directory with the
// agent's socket.
//
//	DIR/                        0700
//	DIR/agent/SHA256            0755, the program, written once
//	DIR/ids/SHA256              0600, what a user of an image is as numbers
//	DIR/images/HASH             0600, the record of an image that was made, see Image
//	DIR/c/ID/                   0700, one per container
//	DIR/c/ID/owner              0600, whose container it is, see Record
//	DIR/c/ID/key                0600, the private key of a bridged agent
//	DIR/c/ID/io/                mounted into the container
//	DIR/c/ID/io/s               the agent's socket
//	DIR/c/.new-OWNER-RANDOM/    one that is being made
//	DIR/c/.del-ID-RANDOM/       one that is being removed
//	DIR/gone/ID                 0600, the record of one whose container may still appear
//	DIR/work/OWNER-RANDOM/      0700, what an operation under way needs on disk
//
// A program can be killed between any two steps. So a directory has its
// owner's name before it has anything else, takes its own name when its record
// is written, and loses it before its content is removed.
package state

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
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
func (d Dir) NewBox(r Record) (Box, error) {
	b := Box(filepath.Join(d.boxes(), newID()))
	return b, d.Prepare(b, r)
}

func newID() string {
	var id [8]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// BoxOf is the directory for a container that was created by somebody else.
func (d Dir) BoxOf(containerID string) (Box, error) {
	b, ok := d.Box(filepath.Join(d.boxes(), containerID[:min(16, len(containerID))]))
	if !ok {
		return "", fmt.Errorf("container ID %q is not 64 hexadecimal digits", containerID)
	}
	return b, nil
}

// boxes is where the containers' directories are.
func (d Dir) boxes() string { return filepath.Join(string(d), "c") }

// Prepare makes what is missing of a container's directory, all of it after a
// reboot that wiped it. r is its record, unless it has one.
func (d Dir) Prepare(b Box, r Record) error {
	if _, err := os.Stat(b.recordFile()); err == nil {
		return os.MkdirAll(b.IO(), 0o755)
	}
	if _, err := os.Stat(string(b)); err == nil {
		return errors.Join(b.SetRecord(r), os.MkdirAll(b.IO(), 0o755))
	}
	Step("begin")
	if err := os.MkdirAll(d.boxes(), 0o700); err != nil {
		return err
	}
	half := Box(filepath.Join(d.boxes(), newPrefix+halfName(r.Owner, r.Machine)))
	if err := os.Mkdir(string(half), 0o700); err != nil {
		return err
	}
	Step("box")
	err := half.SetRecord(r)
	Step("owner")
	if err == nil {
		err = os.Mkdir(half.IO(), 0o755)
	}
	if err == nil {
		err = os.Rename(string(half), string(b))
	}
	if err != nil {
		err = errors.Join(err, os.RemoveAll(string(half)))
		if _, e := os.Stat(b.recordFile()); e == nil {
			return nil // another program was first
		}
	}
	Step("placed")
	return err
}

// IO is the directory that is mounted into the container.
func (b Box) IO() string { return filepath.Join(string(b), "io") }

// Socket is the path of the agent's socket on this host.
func (b Box) Socket() string { return filepath.Join(b.IO(), SocketName) }

// Remove deletes the directory: first its name, then what it has. One that
// does not exist is no error.
func (b Box) Remove() error {
	aside := filepath.Join(filepath.Dir(string(b)), delPrefix+filepath.Base(string(b))+"-"+newID())
	if err := os.Rename(string(b), aside); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	Step("unplaced")
	return RemoveAll(aside)
}

// RemoveAll is os.RemoveAll of a tree that code in a sandbox may have made: on
// rootless engines as this user, with directories that nobody may enter.
func RemoveAll(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	root, e := os.OpenRoot(path)
	if e != nil {
		return err
	}
	defer root.Close()
	// Opening a directory comes after its visit, so that what was closed is
	// open when it is read.
	fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			root.Chmod(name, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}

// Box checks that path, which comes from a container's label, is a container
// directory of this state directory, and returns it.
func (d Dir) Box(path string) (Box, bool) {
	id, ok := strings.CutPrefix(path, d.boxes()+string(filepath.Separator))
	if !ok || !isID(id) {
		return "", false
	}
	return Box(path), true
}

// ProgramPath is where Program puts it.
func (d Dir) ProgramPath(sum string) string { return filepath.Join(string(d), "agent", sum) }

// Program puts the bytes of a program on disk, if they are not there, and
// returns its path. sum is their SHA-256 in hexadecimal; data is called only
// when the file is missing.
func (d Dir) Program(sum string, data func() ([]byte, error)) (string, error) {
	path := d.ProgramPath(sum)
	fi, err := os.Stat(path)
	if err == nil && fi.Mode().IsRegular() && fi.Size() > 0 {
		return path, nil
	}
	if err == nil && fi.IsDir() {
		// Docker makes one of what it should mount and does not find.
		if err := os.Remove(path); err != nil {
			return "", err
		}
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
