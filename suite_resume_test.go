package pocketdock_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// everything sets each option that the engine can keep.
func everything(t *testing.T, e testEngine) pocketdock.CreateOptions {
	t.Helper()
	dir := t.TempDir()
	openUp(t, dir)
	o := pocketdock.CreateOptions{
		Project: testProject, ProjectDir: "/somewhere/else", Persist: true,
		Env: map[string]string{"A": "b c"}, Dir: "/work", User: "sandbox",
		Network: true, Ports: []pocketdock.Port{{Container: 80}},
		Volumes: []pocketdock.Volume{{Host: dir, Container: "/vol", ReadOnly: true}},
		Devices: []string{"/dev/full"},
		Tmpfs:   map[string]int64{"/scratch": 1 << 20},
		Labels:  map[string]string{"my.label": "x"},
		TTL:     time.Hour, Timeout: 7 * time.Second,
		Capabilities: []string{"NET_BIND_SERVICE"},
	}
	if e.name != "rootless" {
		o.Memory, o.CPUPercent, o.PIDs = 300<<20, 50, 100
	}
	return o
}

// settings are what a container with everything has, seen from outside and inside.
func settings(t *testing.T, box *pocketdock.Container) map[string]any {
	t.Helper()
	info, err := box.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	limits, err := box.TimeLimits(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for k, v := range info.Labels {
		if !slices.Contains([]string{"pocketdock.data-path", "pocketdock.created-at", "pocketdock.owner"}, k) {
			labels[k] = v
		}
	}
	for i := range info.Ports {
		info.Ports[i].Host = 0 // any that is free
	}
	cmd := pocketdock.Shell(`echo "$A $PWD $(id -un)"; df -k /scratch | tail -1; ls /vol; touch /vol/x 2>&1; ls /dev/full; grep CapEff /proc/self/status
		cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null; true`)
	cmd.Capabilities = []string{"NET_BIND_SERVICE"}
	return map[string]any{
		"name": info.Name, "image": info.Image, "memory": info.MemoryLimit, "pids": info.PIDsLimit, "network": info.Network,
		"ports": fmt.Sprint(info.Ports), "volumes": fmt.Sprint(info.Volumes), "caps": fmt.Sprint(info.Capabilities),
		"dir": box.ProjectDir(), "path": info.ExecPath, "persist": info.Persist, "labels": fmt.Sprint(labels), "limits": limits,
		"inside": string(mustRun(t, box, cmd).Stdout),
	}
}

// same compares settings.
func same(t *testing.T, what string, before, after map[string]any) {
	t.Helper()
	for k := range before {
		if !reflect.DeepEqual(before[k], after[k]) {
			t.Errorf("%s: %s was %v, is %v", what, k, before[k], after[k])
		}
	}
}

// wipe removes what matches below a directory.
func wipe(t *testing.T, pattern ...string) {
	t.Helper()
	m, err := filepath.Glob(filepath.Join(pattern...))
	if err != nil || len(m) == 0 {
		t.Fatalf("nothing to wipe: %q, %v", pattern, err)
	}
	for _, path := range m {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSuiteResume: a stopped container comes back with all its settings,
// files and records, also when a reboot has wiped the host's directories.
func TestSuiteResume(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "networks")
		c, _ := swept(t, e)
		box, err := c.Create(t.Context(), busybox, everything(t, e))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { destroy(t, box) })
		if err := box.SetTimeLimits(t.Context(), pocketdock.TimeLimits{TTL: 2 * time.Hour, Idle: 90 * time.Minute}); err != nil {
			t.Fatal(err)
		}
		before := settings(t, box)
		if len(before["inside"].(string)) < 100 || before["dir"] != "/somewhere/else" || !strings.HasPrefix(before["inside"].(string), "b c /work sandbox\n") {
			t.Fatalf("settings %v", before)
		}
		job, err := box.Start(t.Context(), pocketdock.Shell("echo said; echo kept > /tmp/kept; exit 4"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := job.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			what    string
			wiped   []string
			records bool
		}{
			{"a stop", nil, true},
			{"its directory was wiped", []string{box.DataPath(), "io"}, false},
			{"the programs were wiped", []string{c.StateDir, "agent"}, false},
			{"the state directory was wiped", []string{c.StateDir, "*"}, false},
		} {
			if err := box.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if tt.wiped != nil {
				wipe(t, tt.wiped...)
			}
			// Another program finds and resumes it.
			again, err := (&pocketdock.Client{Socket: c.Socket, StateDir: c.StateDir}).Get(t.Context(), box.Name())
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Resume(t.Context()); err != nil {
				t.Fatalf("%s: %v", tt.what, err)
			}
			after := settings(t, again)
			if tt.wiped != nil && tt.wiped[1] == "*" {
				// What was set later is not in the container.
				before["limits"] = pocketdock.TimeLimits{TTL: time.Hour}
			}
			same(t, tt.what, before, after)
			if res := mustRun(t, again, pocketdock.Shell("cat /tmp/kept")); string(res.Stdout) != "kept\n" {
				t.Errorf("%s: files: %q", tt.what, res.Stdout)
			}
			out, err := again.Process(job.ID()).Output(t.Context(), pocketdock.Offset{})
			if tt.records && (err != nil || string(out.Stdout) != "said\n" || out.Result == nil || out.Result.ExitCode != 4) {
				t.Errorf("%s: record %+v, %v", tt.what, out, err)
			}
			if info, err := again.Info(t.Context()); err != nil || info.TTLLeft < 0 {
				t.Errorf("%s: %+v, %v", tt.what, info, err)
			}
		}
		if _, err := c.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		mustRun(t, box, pocketdock.Argv("true"))
	})
}

// TestSuiteRebootFreshKeepsSettings: a new container with all the settings of
// the old one, made by a program elsewhere.
func TestSuiteRebootFreshKeepsSettings(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "networks")
		for _, way := range e.ways(socketWay, bridgeWay) {
			t.Run(way, func(t *testing.T) {
				o := everything(t, e)
				wd, err := os.Getwd()
				if err != nil {
					t.Fatal(err)
				}
				if o.Volumes[0].Host, err = filepath.Rel(wd, o.Volumes[0].Host); err != nil {
					t.Fatal(err)
				}
				c := &pocketdock.Client{Socket: e.client.Socket, StateDir: e.client.StateDir, NoMounts: way == bridgeWay}
				box, err := c.Create(t.Context(), busybox, o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { destroy(t, box) })
				before := settings(t, box)
				t.Chdir("/")
				other, err := e.client.Get(t.Context(), box.Name())
				if err != nil {
					t.Fatal(err)
				}
				fresh, err := other.RebootFresh(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { destroy(t, fresh) })
				same(t, "fresh", before, settings(t, fresh))
			})
		}
	})
}

// TestSuiteResumeWithoutKey: a bridged container whose key is lost says so,
// and can still be saved.
func TestSuiteResumeWithoutKey(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		c, _ := swept(t, e)
		c.NoMounts = true
		box, err := c.Create(t.Context(), busybox, pocketdock.CreateOptions{Project: testProject, Persist: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { destroy(t, box) })
		if err := box.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		wipe(t, c.StateDir, "c", "*")
		again, err := c.Get(t.Context(), box.Name())
		if err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"resume": again.Resume(t.Context()),
			"run":    func() error { _, err := again.Run(t.Context(), pocketdock.Argv("true")); return err }(),
		} {
			if err == nil || !strings.Contains(err.Error(), "/key") || !strings.Contains(err.Error(), "pocketdock snapshot "+box.Name()) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := again.Destroy(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
