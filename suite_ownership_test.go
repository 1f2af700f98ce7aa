package pocketdock_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pocketdock/pocketdock"
)

// uidOn is a file's owner on this host, as ls has it.
func uidOn(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return ownerOf(info)
}

// TestSuiteVolumeOwners: what commands make in a mounted directory belongs to
// the host's user, and the other way round, where the engine can map them; and
// the container works as any other: it stops, goes on, is made anew and leaves
// nothing.
func TestSuiteVolumeOwners(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		for user, inside := range map[string]string{"sandbox": "1000:1000", "1000": "1000:1000", "2000:3000": "2000:3000", "": "0:0"} {
			t.Run("user "+strings.ReplaceAll(user, ":", "-"), func(t *testing.T) {
				volumeOwners(t, e, user, inside)
			})
		}
	})
}

func volumeOwners(t *testing.T, e testEngine, user, inside string) {
	ctx := t.Context()
	work := t.TempDir()
	if e.name == "embedded" && os.Getuid() != 0 && user != "" {
		_, err := e.client.Create(ctx, busybox, pocketdock.CreateOptions{User: user, Project: testProject, Volumes: []pocketdock.Volume{{Host: work, Container: "/work"}}})
		if !errors.Is(err, pocketdock.ErrUnsupported) {
			t.Errorf("a user that cannot write to the volume: %v", err)
		}
		return
	}
	mapped := e.name == "rootless"
	if !mapped { // as who shares a directory with root's engine would do
		if err := os.Chmod(work, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(work, "host"), []byte("from the host\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	box := create(t, e, busybox, pocketdock.CreateOptions{User: user, Persist: true, ReadOnly: user == "1000",
		Volumes: []pocketdock.Volume{{Host: work, Container: "/work"}}})
	host := fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())

	check := func(box *pocketdock.Container, name string) {
		t.Helper()
		out := mustRun(t, box, pocketdock.Shell("echo text >/work/"+name+" && mkdir /work/d-"+name+" && stat -c %u:%g /work/"+name+" && stat -c %u:%g /work/host"))
		lines := strings.Fields(string(out.Stdout))
		if lines[0] != inside {
			t.Errorf("inside, a command's file is %s's, want %s", lines[0], inside)
		}
		if err := box.Push(ctx, filepath.Join(work, "host"), "/work/pushed-"+name, pocketdock.TransferOptions{}); err != nil {
			t.Error(err)
		}
		if !mapped {
			return
		}
		if lines[1] != inside {
			t.Errorf("inside, the host's file is %s's, want %s", lines[1], inside)
		}
		for _, f := range []string{name, "d-" + name, "pushed-" + name} {
			if got := uidOn(t, filepath.Join(work, f)); got != host {
				t.Errorf("on the host %s is %s's, want %s", f, got, host)
			}
		}
		mustRun(t, box, pocketdock.Shell("echo more >>/work/host"))
		if res, err := box.Run(ctx, pocketdock.Argv("ls", "/.pocketdock/io")); err != nil || user != "" && res.OK() {
			t.Errorf("the sandbox's user sees the agent's directory: %+v, %v", res, err)
		}
	}
	check(box, "one")
	p, err := box.Start(ctx, pocketdock.Shell("echo kept"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if err := box.Reboot(ctx); err != nil {
		t.Fatal(err)
	}
	if out, err := box.Process(p.ID()).Output(ctx, pocketdock.Offset{}); err != nil || string(out.Stdout) != "kept\n" {
		t.Errorf("after a reboot the record has %+v, %v", out, err)
	}
	check(box, "two")
	fresh, err := box.RebootFresh(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer destroy(t, fresh)
	check(fresh, "three")
	if _, err := os.Stat(box.DataPath()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old container's directory: %v", err)
	}
	if err := fresh.Destroy(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(fresh.DataPath()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its directory: %v", err)
	}
	if mapped { // the host's user can remove it all
		if err := os.RemoveAll(work); err != nil {
			t.Error(err)
		}
	}
}

// TestSuiteVolumeUnknownUser: a user that the image does not have is an error
// that says so, and leaves nothing.
func TestSuiteVolumeUnknownUser(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		if e.name != "rootless" {
			return // elsewhere the first command says it
		}
		box, err := e.client.Create(t.Context(), busybox, pocketdock.CreateOptions{User: "nobody-there", Project: testProject,
			Volumes: []pocketdock.Volume{{Host: t.TempDir(), Container: "/work"}}})
		if err == nil {
			destroy(t, box)
		}
		if err == nil || !strings.Contains(err.Error(), "nobody-there") {
			t.Errorf("got %v", err)
		}
	})
}
