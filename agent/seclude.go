//go:build linux

package agent

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// seclude keeps commands out of the store where it is not the agent's own: a
// directory of the host's user, who may well be the user that commands run
// as. The directory above it is the container's, and the agent can close it.
// (A mode given to the engine does not do: runc forgets it at the second
// start.)
func (st *store) seclude(path string) error {
	var s unix.Stat_t
	if err := unix.Fstat(st.dir, &s); err != nil {
		return fmt.Errorf("stat %s: %w", path, err)
	}
	above := filepath.Dir(path)
	if int(s.Uid) == os.Geteuid() || os.Geteuid() != 0 || above == "/" {
		return nil
	}
	if err := unix.Chmod(above, 0o700); err != nil {
		return fmt.Errorf("close %s to commands, as %s belongs to uid %d: %w", above, path, s.Uid, err)
	}
	return nil
}
