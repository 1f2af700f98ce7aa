//go:build linux

package agent

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/pocketdock/pocketdock/agent/fileops"
)

// identity is whom a command runs as.
type identity struct {
	uid, gid uint32
	groups   []uint32 // supplementary
	name     string   // empty if the uid has no entry
	home     string
}

// files is i for operations on files.
func (i *identity) files() fileops.Identity {
	return fileops.Identity{UID: i.uid, GID: i.gid, Groups: i.groups, Root: i.uid == 0}
}

// maxAccounts bounds how much of /etc/passwd and /etc/group is read; the
// image, or a root command, may put anything there.
const maxAccounts = 4 << 20

// accounts resolves users by /etc/passwd and /etc/group of the image, which
// may change at any time: two stats decide whether what is known still holds.
type accounts struct {
	mu     sync.Mutex
	stamps [2]stamp
	known  map[string]*identity
}

const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

type stamp struct {
	ino         uint64
	size        int64
	mtime, ctim syscall.Timespec
}

func stampOf(path string) (s stamp) {
	var st syscall.Stat_t
	if syscall.Stat(path, &st) == nil {
		s = stamp{st.Ino, st.Size, st.Mtim, st.Ctim}
	}
	return s
}

// lookup resolves spec, see [wire.Start].User. The result is shared: it must
// not be changed.
func (a *accounts) lookup(spec string) (*identity, error) {
	if spec == "" {
		spec = "0"
	}
	stamps := [2]stamp{stampOf(passwdFile), stampOf(groupFile)}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stamps != stamps || a.known == nil || len(a.known) > 64 {
		a.stamps, a.known = stamps, map[string]*identity{}
	}
	if id := a.known[spec]; id != nil {
		return id, nil
	}
	id, err := resolveUser(spec, readAccounts(passwdFile), readAccounts(groupFile))
	if err != nil {
		return nil, err
	}
	a.known[spec] = id
	return id, nil
}

func readAccounts(path string) []byte {
	// O_NONBLOCK: it may be a FIFO.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(f, maxAccounts))
	return b
}

// An unknownUserError names a user or group that does not exist.
type unknownUserError struct{ kind, name string }

func (e *unknownUserError) Error() string {
	return "no " + e.kind + " " + strconv.Quote(e.name) + " in the sandbox; use a numeric ID or one of /etc/" +
		map[string]string{"user": "passwd", "group": "group"}[e.kind]
}

// resolveUser reads spec as container engines do: "name", "uid", "name:group",
// "uid:gid". A number needs no entry. Without a group the user's own and all
// that list him hold; with one, only that.
func resolveUser(spec string, passwd, group []byte) (*identity, error) {
	user, groupName, hasGroup := cut(spec)
	id := &identity{home: "/"}
	fields, ok := findAccount(passwd, user, 7)
	switch {
	case ok:
		id.uid, _ = parseID(fields[2])
		id.gid, _ = parseID(fields[3])
		id.name = string(fields[0])
		if h := string(fields[5]); h != "" {
			id.home = h
		}
	default:
		n, numeric := parseID([]byte(user))
		if !numeric && user == "root" {
			n, numeric = 0, true // an image FROM scratch
		}
		if !numeric {
			return nil, &unknownUserError{"user", user}
		}
		id.uid = n
		if n == 0 {
			id.home = "/root"
			id.name = "root"
		}
	}
	if hasGroup {
		if fields, ok := findAccount(group, groupName, 3); ok {
			id.gid, _ = parseID(fields[2])
		} else if n, numeric := parseID([]byte(groupName)); numeric {
			id.gid = n
		} else {
			return nil, &unknownUserError{"group", groupName}
		}
		return id, nil
	}
	if id.name != "" {
		id.groups = memberships(group, id.name, id.gid)
	}
	return id, nil
}

func cut(spec string) (user, group string, found bool) {
	for i := range len(spec) {
		if spec[i] == ':' {
			return spec[:i], spec[i+1:], spec[i+1:] != ""
		}
	}
	return spec, "", false
}

// findAccount returns the fields of the line whose name is key, or else of
// the first whose ID is key.
func findAccount(file []byte, key string, want int) (fields [][]byte, ok bool) {
	if key == "" {
		return nil, false
	}
	id, numeric := parseID([]byte(key))
	for line := range bytes.SplitSeq(file, []byte("\n")) {
		f := bytes.SplitN(line, []byte(":"), want+1)
		if len(f) < want {
			continue
		}
		n, valid := parseID(f[2])
		if !valid {
			continue
		}
		if want == 7 {
			if _, valid := parseID(f[3]); !valid {
				continue
			}
		}
		if string(f[0]) == key {
			return f, true
		}
		if numeric && n == id && !ok {
			fields, ok = f, true
		}
	}
	return fields, ok
}

// maxGroups is how many supplementary groups a process may have (NGROUPS_MAX),
// less the one that marks its tree.
const maxGroups = 65536 - 1

// memberships are the groups that list name as a member.
func memberships(file []byte, name string, primary uint32) []uint32 {
	var gids []uint32
	for line := range bytes.SplitSeq(file, []byte("\n")) {
		f := bytes.SplitN(line, []byte(":"), 5)
		if len(f) < 4 {
			continue
		}
		gid, ok := parseID(f[2])
		if !ok || gid == primary || slices.Contains(gids, gid) || len(gids) >= maxGroups {
			continue
		}
		for member := range bytes.SplitSeq(f[3], []byte(",")) {
			if string(bytes.TrimSpace(member)) == name {
				gids = append(gids, gid)
				break
			}
		}
	}
	return gids
}

// parseID reads a user or group ID. 4294967295 means "none" to the kernel.
func parseID(b []byte) (uint32, bool) {
	n, err := strconv.ParseUint(string(b), 10, 32)
	return uint32(n), err == nil && n != 1<<32-1
}
