//go:build linux

package fileops

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// threadStatus is what the kernel says of the calling thread, which must be locked.
func threadStatus(t *testing.T) map[string]string {
	t.Helper()
	fd, err := unix.Open("/proc/thread-self/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must0(t, err)
	defer unix.Close(fd)
	buf := make([]byte, 8192)
	n, err := unix.Read(fd, buf)
	must0(t, err)
	status := make(map[string]string)
	for line := range bytes.Lines(buf[:n]) {
		name, value, _ := strings.Cut(string(line), ":")
		status[name] = strings.Join(strings.Fields(value), " ")
	}
	return status
}

// The thread that acts has the user's effective and file system IDs, the
// user's groups and no capability, and afterwards what it had before.
func TestActTakesAndRestoresCredentials(t *testing.T) {
	needRoot(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadStatus(t)
	for name, test := range map[string]struct {
		id               Identity
		uid, gid, groups string
	}{
		"user":              {user, "0 1000 0 1000", "0 1000 0 1000", "1000 2000"},
		"no groups":         {Identity{UID: 7, GID: 8}, "0 7 0 7", "0 8 0 8", ""},
		"root without caps": {Identity{}, "0 0 0 0", "0 0 0 0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			// The subtest has a goroutine of its own.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			err := test.id.act(func() error {
				s := threadStatus(t)
				if s["Uid"] != test.uid || s["Gid"] != test.gid || s["Groups"] != test.groups {
					t.Errorf("Uid %q Gid %q Groups %q", s["Uid"], s["Gid"], s["Groups"])
				}
				if strings.Trim(s["CapEff"], "0") != "" {
					t.Errorf("effective capabilities %s", s["CapEff"])
				}
				return unix.ENOTTY
			})
			if err != unix.ENOTTY {
				t.Errorf("act returned %v", err)
			}
			after := threadStatus(t)
			for _, field := range []string{"Uid", "Gid", "Groups", "CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"} {
				if before[field] != after[field] {
					t.Errorf("%s was %q and is %q", field, before[field], after[field])
				}
			}
		})
	}
}

// A panic must not leave a thread of the agent with a user's credentials.
func TestActRestoresAfterAPanic(t *testing.T) {
	needRoot(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	func() {
		defer func() { recover() }()
		user.act(func() error { panic("of fn") })
	}()
	if s := threadStatus(t); s["Uid"] != "0 0 0 0" {
		t.Fatalf("Uid %q", s["Uid"])
	}
}

// An identity that the kernel refuses is a failure, and no reason to act as
// somebody else.
func TestActRefusesAnImpossibleUser(t *testing.T) {
	needRoot(t)
	bad := Identity{UID: 1<<32 - 1, GID: 1000}
	err := bad.act(func() error { t.Error("acted"); return nil })
	var failed *wire.Error
	// setresuid(2) reads -1 as "leave it"; the check of the result catches it.
	if !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
}

// Many operations at once, of two users, never see each other's credentials.
func TestConcurrentIdentities(t *testing.T) {
	dir := workDir(t)
	must0(t, os.Chmod(dir, 0o777))
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			id := Identity{UID: 1000 + uint32(i%4), GID: 3000 + uint32(i%4)}
			name := filepath.Join(dir, string(rune('A'+i)))
			o := put(t, wire.OpWrite, wire.File{Path: wire.Path(name)}, id, []byte("x"))
			if o.failure != nil {
				t.Error(o.failure)
				return
			}
			if st := o.reply.Stat; st.UID != id.UID || st.GID != id.GID {
				t.Errorf("owner %d:%d, want %d:%d", st.UID, st.GID, id.UID, id.GID)
			}
		})
	}
	wait.Wait()
}

// What belongs to root and is closed to others stays closed, whatever the
// agent itself may do.
func TestPermissionsAreTheUsers(t *testing.T) {
	dir := workDir(t)
	secret := filepath.Join(dir, "secret")
	must0(t, os.Mkdir(secret, 0o700))
	must0(t, os.WriteFile(filepath.Join(secret, "key"), []byte("k"), 0o600))
	must0(t, os.WriteFile(filepath.Join(dir, "private"), []byte("k"), 0o600)) // root's, in the user's directory
	must0(t, os.WriteFile(filepath.Join(dir, "grouped"), []byte("g"), 0o640))
	must0(t, os.Chown(filepath.Join(dir, "grouped"), 0, 2000))
	must0(t, os.Mkdir(filepath.Join(dir, "rootdir"), 0o755))

	for name, test := range map[string]struct {
		op   string
		file wire.File
		data []byte
	}{
		"read":                    {wire.OpRead, wire.File{Path: at(dir, "private")}, nil},
		"read in closed":          {wire.OpRead, wire.File{Path: at(secret, "key")}, nil},
		"stat in closed":          {wire.OpStat, wire.File{Path: at(secret, "key")}, nil},
		"list closed":             {wire.OpReadDir, wire.File{Path: at(secret)}, nil},
		"write":                   {wire.OpWrite, wire.File{Path: at(dir, "private")}, []byte("x")},
		"append":                  {wire.OpWrite, wire.File{Path: at(dir, "private"), Append: true}, []byte("x")},
		"write in root's":         {wire.OpWrite, wire.File{Path: at(dir, "rootdir/f")}, []byte("x")},
		"write group-readable":    {wire.OpWrite, wire.File{Path: at(dir, "grouped")}, []byte("x")},
		"mkdir":                   {wire.OpMkdir, wire.File{Path: at(dir, "rootdir/d")}, nil},
		"chmod":                   {wire.OpChmod, wire.File{Path: at(dir, "private"), Mode: mode(0o666)}, nil},
		"chown to another":        {wire.OpChown, wire.File{Path: at(dir, "grouped"), Owner: "1000"}, nil},
		"remove":                  {wire.OpRemove, wire.File{Path: "/etc/passwd"}, nil},
		"move":                    {wire.OpMove, wire.File{Path: at(dir, "grouped"), To: at(dir, "rootdir/g")}, nil},
		"symlink":                 {wire.OpSymlink, wire.File{Path: at(dir, "rootdir/l"), To: "x"}, nil},
		"archive closed":          {wire.OpTarOut, wire.File{Path: at(secret)}, nil},
		"watch closed":            {wire.OpWatch, wire.File{Path: at(secret)}, nil},
		"write in closed":         {wire.OpWrite, wire.File{Path: at(secret, "new"), Parents: true}, []byte("x")},
		"remove closed non-empty": {wire.OpRemove, wire.File{Path: at(secret), Recursive: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := put(t, test.op, test.file, user, test.data)
			if o.failure == nil || o.failure.Code != wire.CodePermission {
				t.Fatalf("got %+v", o.failure)
			}
		})
	}
	if got := string(do(t, wire.OpRead, wire.File{Path: at(dir, "grouped")}, user).succeed(t).data); got != "g" {
		t.Errorf("by a supplementary group: %q", got)
	}
	if got := string(do(t, wire.OpRead, wire.File{Path: at(secret, "key")}, root).succeed(t).data); got != "k" {
		t.Errorf("as root: %q", got)
	}
	if got := contentOf(t, filepath.Join(dir, "private")); got != "k" {
		t.Errorf("private is now %q", got)
	}
}

func BenchmarkAct(b *testing.B) {
	needRoot(b)
	for b.Loop() {
		if err := user.act(func() error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
