//go:build linux && !noembedded && !race

package embedded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/embedded"
	"github.com/pocketdock/pocketdock/internal/hostimage"
)

// monitors are the processes that watch, or are to watch, a sandbox of the
// engine in a directory.
func monitors(t *testing.T, dir string) (pids []int) {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		line, err := os.ReadFile(name)
		if args := bytes.Split(line, []byte{0}); err != nil || len(args) < 2 || string(args[0]) != "pocketdock-monitor" || string(args[1]) != dir {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// until waits for something that happens soon.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: ", what)
		}
	}
}

// expect tells the engine in a directory that a container comes.
func expect(t *testing.T, dir string) {
	t.Helper()
	h, err := embedded.Handler(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, httptest.NewRequest("POST", "/containers/expect", nil)); w.Code != http.StatusNoContent {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}

// TestSpareUsed: a container that was expected gets the monitor that was
// started for it, and takes it with it.
func TestSpareUsed(t *testing.T) {
	state := t.TempDir()
	t.Setenv("POCKETDOCK_STATE_DIR", state)
	dir := filepath.Join(state, "embedded")
	expect(t, dir)
	var before []int
	until(t, "a monitor", func() bool { before = monitors(t, dir); return len(before) == 1 })
	c := &pocketdock.Client{EngineName: "embedded"}
	box, err := c.Create(t.Context(), "", pocketdock.CreateOptions{Profile: pocketdock.ProfileHost, Memory: 300 << 20})
	if err != nil {
		t.Fatal(err)
	}
	// Create expects one itself, which may wait for the next container.
	if now := monitors(t, dir); !slices.Contains(now, before[0]) || len(now) > 2 {
		t.Errorf("monitors %v, and before %v", now, before)
	}
	info, err := box.Info(t.Context())
	if err != nil || os.Geteuid() == 0 && info.MemoryLimit != 300<<20 {
		t.Errorf("memory limit %d, %v", info.MemoryLimit, err)
	}
	res, err := box.Run(t.Context(), pocketdock.Argv("echo", "hello"))
	if err != nil || string(res.Stdout) != "hello\n" {
		t.Errorf("%+v, %v", res, err)
	}
	if err := box.Destroy(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	until(t, "the end of the monitor", func() bool { return !slices.Contains(monitors(t, dir), before[0]) })
	// One that nobody uses goes by itself.
	until(t, "the end of all monitors", func() bool { return len(monitors(t, dir)) == 0 })
}

// TestSpareDropped: a container that is removed before it was started takes the
// monitor with it that it would have had.
func TestSpareDropped(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("POCKETDOCK_STATE_DIR", filepath.Dir(dir))
	h, err := embedded.Handler(dir)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body string, want int) string {
		t.Helper()
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body))); w.Code != want {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	img, err := hostimage.Make("/", runtime.GOARCH, "test/host", nil)
	if err != nil {
		t.Fatal(err)
	}
	ask("POST", "/images/load", string(img.Archive), http.StatusOK)
	expect(t, dir)
	until(t, "a monitor", func() bool { return len(monitors(t, dir)) == 1 })
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(ask("POST", "/containers/create", `{"Image":"`+img.Name+`","HostConfig":{"NetworkMode":"none"}}`, http.StatusCreated)), &made); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	ask("DELETE", "/containers/"+made.ID, "", http.StatusNoContent)
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("removing it took %v", took)
	}
	until(t, "the end of the monitor", func() bool { return len(monitors(t, dir)) == 0 })
	if took := time.Since(begun); took > 9*time.Second {
		t.Errorf("the monitor was there for %v", took)
	}
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/pocketdock/" + made.ID[:16]); len(left) > 0 {
		t.Errorf("control groups left: %q", left)
	}
}

// TestSpareSeesMounts: what was mounted after the spare monitor was started is
// seen in the sandbox all the same.
func TestSpareSeesMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("only root mounts")
		}
		t.Skip("only root mounts")
	}
	state, volume := t.TempDir(), t.TempDir()
	t.Setenv("POCKETDOCK_STATE_DIR", state)
	dir := filepath.Join(state, "embedded")
	expect(t, dir)
	until(t, "a monitor", func() bool { return len(monitors(t, dir)) == 1 })
	if err := syscall.Mount("none", volume, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(volume, 0)
	if err := os.WriteFile(filepath.Join(volume, "mounted"), []byte("yes"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := &pocketdock.Client{EngineName: "embedded"}
	box, err := c.Create(t.Context(), "", pocketdock.CreateOptions{Profile: pocketdock.ProfileHost,
		Volumes: []pocketdock.Volume{{Host: volume, Container: "/volume", ReadOnly: true}}})
	if err != nil {
		t.Fatal(err)
	}
	res, err := box.Run(t.Context(), pocketdock.Argv("cat", "/volume/mounted"))
	if err != nil || string(res.Stdout) != "yes" {
		t.Errorf("%+v, %v", res, err)
	}
	if err := box.Destroy(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}

const spareHelper = "POCKETDOCK_TEST_SPARE" // the helper's directory

// TestSpareKilled: a monitor ends, and leaves no control group, when who
// expected a container was killed.
func TestSpareKilled(t *testing.T) {
	if dir := os.Getenv(spareHelper); dir != "" {
		expect(t, dir)
		os.Stdout.WriteString("expected\n")
		select {}
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestSpareKilled$")
	cmd.Env = append(os.Environ(), spareHelper+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	line := make([]byte, len("expected\n"))
	if _, err := out.Read(line); err != nil || string(line) != "expected\n" {
		t.Fatalf("%q, %v", line, err)
	}
	var pids []int
	until(t, "a monitor", func() bool { pids = monitors(t, dir); return len(pids) == 1 })
	var group string
	if _, err := os.Stat("/sys/fs/cgroup/memory/cgroup.procs"); err == nil && os.Geteuid() == 0 {
		until(t, "its control group", func() bool {
			text, _ := os.ReadFile("/proc/" + strconv.Itoa(pids[0]) + "/cgroup")
			for l := range strings.Lines(string(text)) {
				if _, path, ok := strings.Cut(l, ":memory:"); ok && strings.HasPrefix(path, "/pocketdock/") {
					group = "/sys/fs/cgroup/memory" + strings.TrimSpace(path)
				}
			}
			return group != ""
		})
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, "the end of the monitor", func() bool { return len(monitors(t, dir)) == 0 })
	if group != "" {
		until(t, "the end of its control group", func() bool {
			_, err := os.Stat(group)
			return os.IsNotExist(err)
		})
	}
}
