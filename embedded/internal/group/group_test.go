//go:build linux

package group

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestHomes(t *testing.T) {
	text := "9:name=systemd:/init.scope\n4:memory:/a/b:c\n3:cpu,cpuacct:/\n0::/unified\nnonsense\n\n"
	want := map[string]string{"name=systemd": "/init.scope", "memory": "/a/b:c", "cpu": "/", "cpuacct": "/", "": "/unified"}
	if got := homes(text); !maps.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// fresh is the path of a group that nobody has.
func fresh(t *testing.T) string {
	t.Helper()
	var b [8]byte
	rand.Read(b[:])
	return Parent + hex.EncodeToString(b[:])
}

// made makes a group, where there are any of version 1.
func made(t *testing.T, path string) *Group {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("only root makes control groups")
		}
		t.Skip("only root makes control groups")
	}
	g, err := Make(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat(filepath.Join(root, "memory", "cgroup.procs"))
	if (g != nil) != (err == nil) {
		t.Fatalf("group %v; version 1: %v", g, err)
	}
	if g == nil {
		t.Skip("this machine has version 2, where gVisor makes the group")
	}
	t.Cleanup(func() {
		if err := Remove(path, EndTime); err != nil {
			t.Error(err)
		}
	})
	return g
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// TestGroup: a process is in all of the group, limited, until it goes home; and
// a group is removed when its processes have ended.
func TestGroup(t *testing.T) {
	path := fresh(t)
	g := made(t, path)
	memory, period, quota := int64(64<<20), uint64(50_000), int64(25_000)
	if err := g.Limit(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &memory}, CPU: &specs.LinuxCPU{Period: &period, Quota: &quota}}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"memory/%/memory.limit_in_bytes": "67108864",
		"cpu/%/cpu.cfs_period_us":        "50000",
		"cpu/%/cpu.cfs_quota_us":         "25000",
		"cpuset/%/cpuset.cpus":           read(t, filepath.Join(root, "cpuset/cpuset.cpus")),
	} {
		if got := read(t, filepath.Join(root, strings.Replace(file, "%", path, 1))); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
	child := exec.Command("sleep", "1000")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { child.Process.Kill() })
	before := homes(read(t, "/proc/self/cgroup"))
	if err := g.Put(child.Process.Pid); err != nil {
		t.Fatal(err)
	}
	in := homes(read(t, filepath.Join("/proc", strconv.Itoa(child.Process.Pid), "cgroup")))
	for _, c := range controllers {
		if in[c] != path {
			t.Errorf("by %s it is in %s", c, in[c])
		}
	}
	// This process goes there and back.
	if err := g.Put(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	if now := homes(read(t, "/proc/self/cgroup")); now["memory"] != path {
		t.Errorf("this process is in %s", now["memory"])
	}
	if err := g.Leave(); err != nil {
		t.Fatal(err)
	}
	if now := homes(read(t, "/proc/self/cgroup")); !maps.Equal(now, before) {
		t.Errorf("this process was in %v and came back to %v", before, now)
	}

	removed := make(chan error, 1)
	go func() { removed <- Remove(path, EndTime) }()
	child.Process.Kill()
	child.Wait()
	if err := <-removed; err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(root + "/*" + path); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestMakeAnew: what a killed program has left of a group, of whose limits
// nobody knows, is not used.
func TestMakeAnew(t *testing.T) {
	path := fresh(t)
	g := made(t, path)
	limit := int64(32 << 20)
	if err := g.Limit(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}); err != nil {
		t.Fatal(err)
	}
	made(t, path)
	if got := read(t, filepath.Join(root, "memory", path, "memory.limit_in_bytes")); len(got) < len("9223372036854771712") {
		t.Errorf("limit %s", got)
	}
}

func TestRemoveOnlyOurs(t *testing.T) {
	for _, path := range []string{"", "/", "/docker/x", Parent, "/pocketdock/../docker/x", "/pocketdock/a/b", "/pocketdock/*"} {
		if err := Remove(path, EndTime); err == nil {
			t.Errorf("%q was removed", path)
		}
	}
}

// TestNoGroup: with version 2 there is none.
func TestNoGroup(t *testing.T) {
	var g *Group
	if err := g.Put(1); err != nil {
		t.Error(err)
	}
	if err := g.Limit(&specs.LinuxResources{}); err != nil {
		t.Error(err)
	}
	if err := g.Leave(); err != nil {
		t.Error(err)
	}
}

// TestSweep: a group that nothing is in goes when it is old.
func TestSweep(t *testing.T) {
	path := fresh(t)
	g := made(t, path)
	exists := func() bool {
		_, err := os.Stat(g.Dirs[0].Path)
		return err == nil
	}
	child := exec.Command("sleep", "1000")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() { child.Process.Kill(); child.Wait() }
	t.Cleanup(end)
	if err := g.Put(child.Process.Pid); err != nil {
		t.Fatal(err)
	}
	made := time.Now().Add(-2 * time.Hour)
	age := func() {
		for _, d := range g.Dirs {
			if err := os.Chtimes(d.Path, made, made); err != nil {
				t.Fatal(err)
			}
		}
	}
	age()
	if Sweep(time.Hour); !exists() {
		t.Fatal("a group was removed that a process is in")
	}
	end()
	if Sweep(3 * time.Hour); !exists() {
		t.Fatal("a new group was removed")
	}
	if Sweep(time.Hour); exists() {
		t.Error("an empty group stays")
	}
}

const abandonHelper = "POCKETDOCK_TEST_ABANDON" // the helper's group

// TestAbandon: a process that was put into a group without being told leaves
// it, and the group goes.
func TestAbandon(t *testing.T) {
	if path := os.Getenv(abandonHelper); path != "" {
		Abandon(path)
		os.Stdout.WriteString(homes(read(t, "/proc/self/cgroup"))["cpu"] + "\n")
		return
	}
	path := fresh(t)
	g := made(t, path)
	// In some of it, as it is while it is put there.
	some := &Group{Path: path, Dirs: g.Dirs[:2]}
	cmd := exec.Command("sh", "-c", `read line; exec "$0" -test.run '^TestAbandon$'`, os.Args[0])
	cmd.Env = append(os.Environ(), abandonHelper+"="+path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := some.Put(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	in.Write([]byte("go\n"))
	if err := cmd.Wait(); err != nil || !strings.HasPrefix(out.String(), "/\n") {
		t.Errorf("%v: %s", err, out.String())
	}
	if left, _ := filepath.Glob(root + "/*" + path); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
