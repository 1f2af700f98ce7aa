// Package accounts resolves users as container engines do, by the text of an
// image's /etc/passwd and /etc/group, which may be anything.
package accounts

import (
	"bytes"
	"slices"
	"strconv"
)

// A User is whom a process runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32 // supplementary
	Name     string   // empty if the UID has no entry
	Home     string
}

// MaxFile bounds how much of /etc/passwd and /etc/group is read, in bytes.
const MaxFile = 4 << 20

// An UnknownError names a user or group that does not exist.
type UnknownError struct{ Kind, Name string }

func (e *UnknownError) Error() string {
	return "no " + e.Kind + " " + strconv.Quote(e.Name) + " in the sandbox; use a numeric ID or one of /etc/" +
		map[string]string{"user": "passwd", "group": "group"}[e.Kind]
}

// Resolve reads spec, a user in a container's configuration, as container engines do: "name", "uid", "name:group",
// "uid:gid". A number needs no entry. Without a group the user's own and all
// that list him hold; with one, only that.
func Resolve(spec string, passwd, group []byte) (*User, error) {
	user, groupName, hasGroup := cut(spec)
	id := &User{Home: "/"}
	fields, ok := findAccount(passwd, user, 7)
	switch {
	case ok:
		id.UID, _ = parseID(fields[2])
		id.GID, _ = parseID(fields[3])
		id.Name = string(fields[0])
		if h := string(fields[5]); h != "" {
			id.Home = h
		}
	default:
		n, numeric := parseID([]byte(user))
		if !numeric && user == "root" {
			n, numeric = 0, true // an image FROM scratch
		}
		if !numeric {
			return nil, &UnknownError{"user", user}
		}
		id.UID = n
		if n == 0 {
			id.Home = "/root"
			id.Name = "root"
		}
	}
	if hasGroup {
		if fields, ok := findAccount(group, groupName, 3); ok {
			id.GID, _ = parseID(fields[2])
		} else if n, numeric := parseID([]byte(groupName)); numeric {
			id.GID = n
		} else {
			return nil, &UnknownError{"group", groupName}
		}
		return id, nil
	}
	if id.Name != "" {
		id.Groups = memberships(group, id.Name, id.GID)
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

// MaxGroups is how many supplementary groups a process may have (NGROUPS_MAX),
// less the one that marks its tree.
const MaxGroups = 65536 - 1

// memberships are the groups that list name as a member.
func memberships(file []byte, name string, primary uint32) []uint32 {
	var gids []uint32
	for line := range bytes.SplitSeq(file, []byte("\n")) {
		f := bytes.SplitN(line, []byte(":"), 5)
		if len(f) < 4 {
			continue
		}
		gid, ok := parseID(f[2])
		if !ok || gid == primary || slices.Contains(gids, gid) || len(gids) >= MaxGroups {
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
