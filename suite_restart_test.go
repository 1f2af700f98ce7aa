//go:build linux

package pocketdock_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// A restartable engine is one of this test's own, which it may kill.
type restartable struct {
	socket string
	args   []string
	cmd    *exec.Cmd
	log    *os.File
}

// start starts the engine and waits until it answers.
func (r *restartable) start(t *testing.T) {
	t.Helper()
	// A killed engine leaves these. Docker's own number may be another
	// process's by now, which it would then wait for.
	os.Remove(r.socket)
	os.Remove(filepath.Join(filepath.Dir(r.socket), "dockerd.pid"))
	os.Remove(filepath.Join(filepath.Dir(r.socket), "run/containerd/containerd.pid"))
	r.cmd = exec.Command(r.args[0], r.args[1:]...)
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		if _, err := (&pocketdock.Client{Socket: r.socket}).Engine(t.Context()); err == nil {
			return
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(r.log.Name())
			t.Fatalf("%s does not come up: %s", r.args, said)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (r *restartable) end(sig syscall.Signal) {
	r.cmd.Process.Signal(sig)
	r.cmd.Wait()
}

// ownEngine starts an engine like e for this test alone: Podman's is a second
// service on the same storage, Docker's has everything for itself.
func ownEngine(t *testing.T, e testEngine) *restartable {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can start another engine")
	}
	socket := strings.TrimPrefix(e.client.Socket, "unix://")
	home := filepath.Dir(socket)
	dir := shortDir(t)
	r := &restartable{socket: filepath.Join(dir, "e.sock")}
	var err error
	if r.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.log.Close() })
	switch e.name {
	case "podman":
		pid, err := os.ReadFile(filepath.Join(home, "pid")) // as scripts/engines keeps it
		if err != nil {
			t.Skipf("this Podman is not one of scripts/engines: %v", err)
		}
		r.args = []string{"nsenter", "--mount", "--target", strings.TrimSpace(string(pid)),
			"env", "--ignore-environment", "PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_RUNTIME_DIR=" + home + "/run",
			"TMPDIR=" + home + "/tmp", "CONTAINERS_CONF=" + home + "/containers.conf",
			"podman", "--root", home + "/storage", "--runroot", home + "/run/containers", "--storage-driver", "overlay",
			"system", "service", "--time=0", "unix://" + r.socket}
	case "docker":
		if _, err := exec.LookPath("dockerd"); err != nil {
			t.Skip(err)
		}
		if err := os.WriteFile(dir+"/daemon.json", []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		// Namespaces that outlive the engine, as the host's do. The network one
		// is needed: with --bridge=none dockerd removes the docker0 that it finds,
		// which would be another Docker's.
		// They are settled before Start returns; entering too early would
		// be entering the host's.
		holder := exec.Command("sleep", "3600")
		holder.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
		if err := holder.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			killNaming(dir + "/run/containerd")
			removeCgroups(filepath.Base(dir))
			holder.Process.Kill()
			holder.Wait()
		})
		own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", holder.Process.Pid))
		host, err2 := os.Readlink("/proc/self/ns/net")
		if err != nil || err2 != nil || own == host {
			t.Fatalf("no network namespace of its own: %q, the host's %q, %v, %v", own, host, err, err2)
		}
		r.args = []string{"nsenter", "--net", "--mount", "--target", fmt.Sprint(holder.Process.Pid),
			"env", "--ignore-environment", "PATH=" + os.Getenv("PATH"), "HOME=" + dir, "dockerd",
			"--config-file", dir + "/daemon.json", "--data-root", dir + "/data", "--exec-root", dir + "/run", "--pidfile", dir + "/dockerd.pid",
			"--host", "unix://" + r.socket, "--bridge=none", "--iptables=false", "--exec-opt", "native.cgroupdriver=cgroupfs",
			"--cgroup-parent", "/" + filepath.Base(dir), "--log-level", "warn"}
	default:
		t.Skipf("no way to start another %s", e.name)
	}
	r.start(t)
	t.Cleanup(func() { r.end(syscall.SIGTERM) })
	return r
}

// killNaming kills the processes, and their children, whose arguments have a
// path: what is left of an engine that did not come up again.
func killNaming(path string) {
	m, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range m {
		args, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(args), path) {
			continue
		}
		pid := filepath.Base(filepath.Dir(file))
		children, _ := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
		for _, p := range append(strings.Fields(string(children)), pid) {
			if n, err := strconv.Atoi(p); err == nil {
				syscall.Kill(n, syscall.SIGKILL)
			}
		}
	}
}

// removeCgroups removes the empty cgroups of an engine that has ended.
func removeCgroups(parent string) {
	m, _ := filepath.Glob("/sys/fs/cgroup/*/" + parent)
	for _, dir := range append(m, "/sys/fs/cgroup/"+parent) {
		os.Remove(dir)
	}
}

// TestSuiteEngineRestart: persistent containers come back after their engine
// was killed and started again; so do their settings, files and records.
func TestSuiteEngineRestart(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		r := ownEngine(t, e)
		c := &pocketdock.Client{Socket: r.socket, StateDir: shortDir(t)}
		if e.name == "docker" {
			copyImage(t, e.client, c, busybox)
		}
		o := everything(t, e)
		if e.name == "docker" { // it has no network
			o.Network, o.Ports = false, nil
		}
		boxes := map[string]*pocketdock.Container{}
		for _, way := range []string{socketWay, bridgeWay} {
			client := &pocketdock.Client{Socket: c.Socket, StateDir: c.StateDir, NoMounts: way == bridgeWay}
			box, err := client.Create(t.Context(), busybox, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { destroy(t, box) })
			boxes[way] = box
		}
		before, jobs := map[string]map[string]any{}, map[string]string{}
		for way, box := range boxes {
			before[way] = settings(t, box)
			job, err := box.Start(t.Context(), pocketdock.Shell("echo said; echo kept > /tmp/kept; sleep 1000"))
			if err != nil {
				t.Fatal(err)
			}
			jobs[way] = job.ID()
			eventually(t, 10*time.Second, "it prints", func() bool {
				out, err := job.Output(t.Context(), pocketdock.Offset{})
				return err == nil && string(out.Stdout) == "said\n"
			})
		}
		r.end(syscall.SIGKILL)
		if _, err := c.Sweep(t.Context()); err != nil {
			t.Errorf("sweep without an engine to ask: %v", err)
		}
		r.start(t)
		for way, box := range boxes {
			again, err := c.Get(t.Context(), box.Name())
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Resume(t.Context()); err != nil {
				t.Fatalf("%s: %v", way, err)
			}
			same(t, way, before[way], settings(t, again))
			if res := mustRun(t, again, pocketdock.Shell("cat /tmp/kept")); string(res.Stdout) != "kept\n" {
				t.Errorf("%s: files: %q", way, res.Stdout)
			}
			out, err := again.Process(jobs[way]).Output(t.Context(), pocketdock.Offset{})
			// How it ended is known if its agent had the time to write that down.
			if err != nil && !errors.Is(err, pocketdock.ErrOutputLost) || out == nil || string(out.Stdout) != "said\n" {
				t.Errorf("%s: record %+v, %v", way, out, err)
			}
			if err := again.Reboot(t.Context()); err != nil {
				t.Errorf("%s: %v", way, err)
			}
			same(t, way+" rebooted", before[way], settings(t, again))
		}
	})
}

// copyImage copies an image from one engine to another.
func copyImage(t *testing.T, from, to *pocketdock.Client, image string) {
	t.Helper()
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(from.SaveImages(context.Background(), pw, image)) }()
	if err := to.LoadImages(t.Context(), pr); err != nil {
		t.Fatal(err)
	}
}
