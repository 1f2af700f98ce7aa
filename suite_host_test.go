package pocketdock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pocketdock/pocketdock"
)

// TestSuiteHostProfile: the host's programs run, and nothing of it but
// programs can be seen.
func TestSuiteHostProfile(t *testing.T) {
	// What must not be seen: a file in each place where people keep things.
	home, err := os.MkdirTemp("/var/tmp", "pdhost")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	if err := os.WriteFile(filepath.Join(home, "secret"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	onEngines(t, func(t *testing.T, e testEngine) {
		box := create(t, e, "", pocketdock.CreateOptions{Profile: pocketdock.ProfileHost, Persist: true})
		run := func(script string) string {
			t.Helper()
			return strings.TrimSpace(string(mustRun(t, box, pocketdock.Shell(script)).Stdout))
		}
		if got := run("id -un; id -u; pwd; echo $HOME"); got != "sandbox\n1000\n/home/sandbox\n/home/sandbox" {
			t.Errorf("user: %q", got)
		}
		for _, program := range []struct{ name, script, want string }{
			{"python3", "python3 -c 'import json, ssl, sqlite3, zlib; print(6*7)'", "42"},
			{"gcc", "cd /tmp && echo 'int main(){return 7;}' >a.c && gcc -o a a.c && { ./a; echo $?; }", "7"},
			{"node", "node -e 'console.log(6*7)'", "42"},
			{"perl", "perl -e 'print 6*7'", "42"},
		} {
			if _, err := os.Stat("/usr/bin/" + program.name); err != nil {
				t.Logf("this host has no %s", program.name)
			} else if got := run(program.script); got != program.want {
				t.Errorf("%s: %q", program.name, got)
			}
		}
		for _, gone := range []string{home, "/etc/shadow", "/etc/ssh", "/etc/machine-id", "/etc/sudoers", "/etc/environment", "/etc/profile",
			"/run/user", "/run/docker.sock", "/var/lib/dpkg", "/var/tmp/pocketdock-test", "/var/log/dpkg.log"} {
			if got := run("test -e '" + gone + "' && echo there || echo gone"); got != "gone" {
				t.Errorf("%s is there", gone)
			}
		}
		if got := run("ls -A /home /var/tmp /mnt /opt /srv | tr '\\n' ' '"); !strings.HasPrefix(got, "/home: sandbox ") || strings.Count(got, "sandbox") != 1 || strings.Contains(got, "pdhost") {
			t.Errorf("directories: %s", got)
		}
		if got := string(mustRun(t, box, pocketdock.Command{Args: []string{"ls", "-A", "/root"}, User: "root"}).Stdout); got != "" {
			t.Errorf("/root: %s", got)
		}
		if got := run("cut -d: -f1 /etc/passwd | tr '\\n' ' '"); got != "root nobody sandbox" {
			t.Errorf("users: %q", got)
		}
		// Nothing of the host can be changed, also by root.
		for _, dir := range []string{"/usr", "/usr/bin", "/usr/local"} {
			res, err := box.Run(t.Context(), pocketdock.Command{Args: []string{"touch", dir + "/pd-was-here"}, User: "root"})
			if err != nil || res.OK() || !strings.Contains(string(res.Stderr), "Read-only") && e.name != "embedded" {
				t.Errorf("%s: %v %s", dir, err, res.Stderr)
			}
		}
		// Its own files stay over a stop.
		run("echo kept >~/f; echo kept >/tmp/f")
		if err := box.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := run("cat ~/f /tmp/f; python3 -c 'print(1)'"); got != "kept\nkept\n1" {
			t.Errorf("after a reboot: %q", got)
		}
		info, err := box.Info(t.Context())
		if err != nil || info.Profile != "host" || info.Network {
			t.Errorf("%+v, %v", info, err)
		}
		// A fresh one has none of them, and a snapshot has.
		tag := "pocketdock-test/hostsnap-" + e.name + ":v1"
		if _, err := box.Snapshot(t.Context(), tag, pocketdock.SnapshotOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.client.RemoveImage(context.Background(), tag); err != nil {
				t.Error(err)
			}
		})
		fresh, err := box.RebootFresh(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		box = fresh
		if got := run("ls ~; python3 -c 'print(2)'"); got != "2" {
			t.Errorf("fresh: %q", got)
		}
		destroy(t, fresh)
		box = create(t, e, tag, pocketdock.CreateOptions{Profile: pocketdock.ProfileHost})
		if got := run("cat ~/f; python3 -c 'print(3)'"); got != "kept\n3" {
			t.Errorf("snapshot: %q", got)
		}
		destroy(t, box)
	})
}

// TestSuiteHostProfileRefused: an engine elsewhere has another host.
func TestSuiteHostProfileRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		c := &pocketdock.Client{Socket: e.client.Socket, StateDir: e.client.StateDir, NoMounts: true}
		_, err := c.Create(t.Context(), "", pocketdock.CreateOptions{Profile: pocketdock.ProfileHost})
		if !errors.Is(err, pocketdock.ErrUnsupported) {
			t.Errorf("%v", err)
		}
	})
}
