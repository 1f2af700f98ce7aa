package pocketdock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// TestSuiteSafeDefaults reads back from inside what a plain sandbox may do.
func TestSuiteSafeDefaults(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := create(t, e, python, pocketdock.CreateOptions{})
		status := string(mustRun(t, box, pocketdock.Argv("cat", "/proc/self/status")).Stdout)
		for _, want := range []string{"Uid:\t1000\t1000\t1000\t1000", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000",
			"CapInh:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
			if want == "Seccomp:\t2" && e.name == "embedded" {
				continue // its own kernel answers system calls; the filter is around that
			}
			if !strings.Contains(status, want+"\n") {
				t.Errorf("no %q in\n%s", want, status)
			}
		}
		// Root has no more.
		cmd := pocketdock.Argv("cat", "/proc/self/status")
		cmd.User = "root"
		if root := string(mustRun(t, box, cmd).Stdout); !strings.Contains(root, "Uid:\t0\t") || !strings.Contains(root, "CapEff:\t0000000000000000\n") {
			t.Errorf("root: %s", root)
		}
		if links := string(mustRun(t, box, pocketdock.Shell("ls /sys/class/net 2>/dev/null || echo lo")).Stdout); links != "lo\n" {
			t.Errorf("network off, and yet: %q", links)
		}
		info, err := box.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !info.Running || info.ExecPath != socketWay || !info.NoNewPrivileges || info.Network || !info.ExactKill || info.Memory <= 0 {
			t.Errorf("info: %+v", info)
		}
	})
}

func TestSuiteCreateOptions(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte("from the host"), 0o644); err != nil {
			t.Fatal(err)
		}
		openUp(t, dir)
		o := pocketdock.CreateOptions{
			Env: map[string]string{"A": "1 2"}, Dir: "/made/here", User: "sandbox",
			Volumes:  []pocketdock.Volume{{Host: dir, Container: "/vol", ReadOnly: true}},
			Tmpfs:    map[string]int64{"/scratch": 1 << 20},
			ReadOnly: true, Labels: map[string]string{"my.label": "x"},
			Name: "pd-test-" + e.name, Timeout: 10 * time.Second,
		}
		o.ReadOnly = false
		box := create(t, e, busybox, o)
		res := mustRun(t, box, pocketdock.Shell(`echo "$A"; pwd; id -un; cat /vol/f; echo; touch /vol/g 2>&1; df -k /scratch | tail -1; touch mine && echo mine`))
		out := string(res.Stdout)
		refusal := "Read-only file system"
		if e.name == "embedded" {
			refusal = "Permission denied" // who may write there is asked first
		}
		for _, want := range []string{"1 2\n/made/here\nsandbox\nfrom the host\n", refusal, " 1024 ", "mine\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in %q", want, out)
			}
		}
		info, err := box.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.Name != o.Name || info.Labels["my.label"] != "x" || info.Project != testProject || len(info.Volumes) != 1 || !info.Volumes[0].ReadOnly {
			t.Errorf("info %+v", info)
		}
		if owner := info.Labels["pocketdock.owner"]; !strings.HasPrefix(owner, fmt.Sprint(os.Getpid(), ":")) {
			t.Errorf("owner %q", owner)
		}
		// The name is taken.
		_, err = e.client.Create(t.Context(), busybox, pocketdock.CreateOptions{Name: o.Name, Project: testProject})
		if !errors.Is(err, pocketdock.ErrNameInUse) {
			t.Errorf("second of that name: %v", err)
		}
		// By name and by the beginning of its ID.
		for _, ref := range []string{o.Name, box.ID(), box.ID()[:12]} {
			again, err := e.client.Get(t.Context(), ref)
			if err != nil || again.ID() != box.ID() {
				t.Errorf("get %s: %v, %v", ref, again, err)
				continue
			}
			mustRun(t, again, pocketdock.Argv("true"))
		}
	})
}

// openUp lets the users of a sandbox read a directory of the test.
func openUp(t *testing.T, dir string) {
	t.Helper()
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSuiteReadOnlyRoot(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := create(t, e, busybox, pocketdock.CreateOptions{ReadOnly: true})
		res, err := box.Run(t.Context(), pocketdock.Shell("touch /x; echo $?; touch /tmp/x; echo $?"))
		if err != nil || string(res.Stdout) != "1\n0\n" {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

// TestSuiteScratch: an image with nothing but one program.
func TestSuiteScratch(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := create(t, e, scratch, pocketdock.CreateOptions{})
		if res := mustRun(t, box, pocketdock.Argv("/busybox", "echo", "hello")); string(res.Stdout) != "hello\n" {
			t.Errorf("got %q", res.Stdout)
		}
		if _, err := box.Run(t.Context(), pocketdock.Shell("true")); !errors.Is(err, pocketdock.ErrCommandNotFound) {
			t.Errorf("without a shell: %v", err)
		}
	})
}

// TestSuiteDefaultLimits: a plain sandbox has limits, where the engine has any.
func TestSuiteDefaultLimits(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		limits := func(o pocketdock.CreateOptions) (memory, pids int64, cpu string) {
			box := create(t, e, busybox, o)
			info, err := box.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			res := mustRun(t, box, pocketdock.Shell("cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null; true"))
			return info.MemoryLimit, info.PIDsLimit, strings.TrimSpace(string(res.Stdout))
		}
		memory, pids, cpu := limits(pocketdock.CreateOptions{})
		if memory == 0 && e.name == "rootless" || e.name == "embedded" && os.Getuid() != 0 {
			t.Log("this rootless engine has no limits")
		} else if memory != 2<<30 || pids != 512 || !strings.HasPrefix(cpu, "200000") {
			t.Errorf("by default %d bytes, %d processes, processor %q", memory, pids, cpu)
		}
		memory, pids, cpu = limits(pocketdock.CreateOptions{Memory: -1, PIDs: -1, CPUPercent: -1})
		if e.name == "embedded" {
			memory = 0 // its kernel has a limit always: the machine's memory
		}
		if memory != 0 || pids != 0 || strings.HasPrefix(cpu, "200000") {
			t.Errorf("without limits %d bytes, %d processes, processor %q", memory, pids, cpu)
		}
	})
}

// TestSuiteLimits: a limit holds, or is refused; it is never dropped.
func TestSuiteLimits(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		o := pocketdock.CreateOptions{Memory: 64 << 20, PIDs: 50, CPUPercent: 50, Project: testProject}
		box, err := e.client.Create(t.Context(), python, o)
		if errors.Is(err, pocketdock.ErrUnsupported) || err != nil && e.name == "rootless" {
			t.Logf("refused: %v", err)
			if e.name != "rootless" && os.Getuid() == 0 {
				t.Error("a rootful engine can limit memory")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { destroy(t, box) })
		info, err := box.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.MemoryLimit != 64<<20 || info.PIDsLimit != 50 || info.MemoryPercent <= 0 {
			t.Errorf("info: %+v", info)
		}
		res, err := box.Run(t.Context(), pocketdock.Code("python", "x = bytearray(200 << 20)"))
		if e.name == "embedded" {
			// To the host a sandbox is one process.
			if ce, ok := errors.AsType[*pocketdock.ContainerError](err); !ok || !ce.OOMKilled {
				t.Errorf("200 MB in 64: %+v, %v", res, err)
			}
			return
		}
		if err != nil || res.OK() || !res.OOMKilled {
			t.Errorf("200 MB in 64: %+v, %v", res, err)
		}
		mustRun(t, box, pocketdock.Argv("true")) // it was the command that died
	})
}

func TestSuiteNetworkAndPorts(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "networks")
		box := create(t, e, busybox, pocketdock.CreateOptions{Network: true, Ports: []pocketdock.Port{{Container: 8080}}})
		if _, err := box.Start(t.Context(), pocketdock.Shell("while true; do echo answer | nc -l -p 8080; done")); err != nil {
			t.Fatal(err)
		}
		info, err := box.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !info.Network || len(info.Ports) != 1 || info.Ports[0].Address != "127.0.0.1" || info.Ports[0].Host == 0 {
			t.Fatalf("ports %+v", info.Ports)
		}
		eventually(t, 20*time.Second, "the port answers", func() bool {
			return dialled(fmt.Sprintf("127.0.0.1:%d", info.Ports[0].Host)) == "answer\n"
		})
	})
}

func dialled(addr string) string {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Second))
	b, _ := io.ReadAll(conn)
	return string(b)
}

func TestSuiteImageMissing(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		hint := "pull no-such/image:tag"
		if e.name == "embedded" {
			hint = "pocketdock import"
		}
		_, err := e.client.Create(t.Context(), "no-such/image:tag", pocketdock.CreateOptions{})
		ie, ok := errors.AsType[*pocketdock.ImageError](err)
		if !errors.Is(err, pocketdock.ErrImageNotFound) || !ok || ie.Image != "no-such/image:tag" || !strings.Contains(err.Error(), hint) {
			t.Errorf("got %v", err)
		}
		if ok, err := e.client.ImageExists(t.Context(), busybox); !ok || err != nil {
			t.Errorf("busybox: %v, %v", ok, err)
		}
		if ok, err := e.client.ImageExists(t.Context(), "no-such/image"); ok || err != nil {
			t.Errorf("no-such/image: %v, %v", ok, err)
		}
	})
}

func TestSuiteContainerMissing(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		if _, err := e.client.Get(t.Context(), "no-such-container"); !errors.Is(err, pocketdock.ErrContainerNotFound) || !strings.Contains(err.Error(), "no-such-container") {
			t.Errorf("got %v", err)
		}
	})
}

// TestSuiteStoppedBetweenCalls: the next call says what happened.
func TestSuiteStoppedBetweenCalls(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		for _, way := range e.ways(allWays...) {
			t.Run(way, func(t *testing.T) {
				box := ownBox(t, e, way, busybox)
				mustRun(t, box, pocketdock.Argv("true"))
				if err := box.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := box.Stop(t.Context()); err != nil {
					t.Errorf("stopping twice: %v", err)
				}
				_, err := box.Run(t.Context(), pocketdock.Argv("true"))
				ce, ok := errors.AsType[*pocketdock.ContainerError](err)
				if !errors.Is(err, pocketdock.ErrContainerNotRunning) || !ok || ce.Status != "exited" || !strings.Contains(err.Error(), "resume") {
					t.Errorf("stopped: %v", err)
				}
				info, err := box.Info(t.Context())
				if err != nil || info.Running || info.Status != "exited" {
					t.Errorf("info of a stopped one: %+v, %v", info, err)
				}
				destroy(t, box)
				for range 2 {
					if _, err := box.Run(t.Context(), pocketdock.Argv("true")); !errors.Is(err, pocketdock.ErrContainerGone) {
						t.Errorf("removed: %v", err)
					}
				}
				if _, err := box.Info(t.Context()); !errors.Is(err, pocketdock.ErrContainerGone) {
					t.Errorf("info of a removed one: %v", err)
				}
				destroy(t, box) // gone is no error
			})
		}
	})
}

// TestSuiteStoppedMidRun: a container that is stopped or removed under a
// command is an error in time, never a result.
func TestSuiteStoppedMidRun(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		for _, way := range e.ways(allWays...) {
			for _, how := range []string{"stop", "kill", "remove"} {
				t.Run(way+"/"+how, func(t *testing.T) {
					box := ownBox(t, e, way, busybox)
					s, err := box.Stream(t.Context(), pocketdock.Shell("echo up; exec sleep 100"))
					if err != nil {
						t.Fatal(err)
					}
					defer s.Close()
					for range s.Chunks() {
						break // it runs
					}
					ended := make(chan error, 1)
					go func() {
						switch how {
						case "stop":
							ended <- box.Stop(context.Background())
						case "kill":
							ended <- api(context.Background(), e, "POST", "/containers/"+box.ID()+"/kill", nil, nil)
						case "remove":
							ended <- box.Destroy(context.Background())
						}
					}()
					begun := time.Now()
					res, err := s.Result()
					if !errors.Is(err, pocketdock.ErrContainerNotRunning) && !errors.Is(err, pocketdock.ErrContainerGone) {
						t.Errorf("got %+v, %v", res, err)
					}
					if d := time.Since(begun); d > 15*time.Second {
						t.Errorf("took %v", d)
					}
					if err := <-ended; err != nil {
						t.Errorf("%s: %v", how, err)
					}
				})
			}
		}
	})
}

// TestSuiteRebootRefused: a sandbox that its engine removes when it stops
// could not come back, so that it is not stopped.
func TestSuiteRebootRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := create(t, e, busybox, pocketdock.CreateOptions{TTL: time.Hour})
		if err := box.Reboot(t.Context()); !errors.Is(err, pocketdock.ErrUnsupported) {
			t.Errorf("%v", err)
		}
		mustRun(t, box, pocketdock.Argv("true"))
	})
}

func TestSuiteRebootKeepsFiles(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		for _, way := range e.ways(socketWay, bridgeWay) {
			t.Run(way, func(t *testing.T) {
				box := ownBox(t, e, way, busybox)
				mustRun(t, box, pocketdock.Shell("echo kept > /tmp/kept"))
				if err := box.Reboot(t.Context()); err != nil {
					t.Fatal(err)
				}
				if res := mustRun(t, box, pocketdock.Shell("cat /tmp/kept")); string(res.Stdout) != "kept\n" {
					t.Errorf("got %q", res.Stdout)
				}
				if err := box.Resume(t.Context()); err != nil {
					t.Errorf("resuming a running one: %v", err)
				}
			})
		}
	})
}

func TestSuiteRebootFresh(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "networks")
		dir := t.TempDir()
		openUp(t, dir)
		o := pocketdock.CreateOptions{Network: true, Ports: []pocketdock.Port{{Container: 80}}, Env: map[string]string{"A": "b"},
			Volumes: []pocketdock.Volume{{Host: dir, Container: "/vol"}}, Labels: map[string]string{"l": "v"},
			Tmpfs: map[string]int64{"/t": 1 << 20}, Dir: "/work", Timeout: 7 * time.Second, Persist: true}
		box := create(t, e, busybox, o)
		mustRun(t, box, pocketdock.Shell("echo x > /tmp/gone"))
		before, err := box.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := box.RebootFresh(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { destroy(t, fresh) })
		after, err := fresh.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if after.ID == before.ID || after.Name != before.Name || !slices.Equal(after.Volumes, before.Volumes) ||
			len(after.Ports) != 1 || after.Ports[0].Container != 80 || after.Labels["l"] != "v" || !after.Persist {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
		res := mustRun(t, fresh, pocketdock.Shell("test -e /tmp/gone || echo $A $PWD; df -k /t | tail -1"))
		if !strings.HasPrefix(string(res.Stdout), "b /work\n") || !strings.Contains(string(res.Stdout), " 1024 ") {
			t.Errorf("got %q", res.Stdout)
		}
		if _, err := box.Run(t.Context(), pocketdock.Argv("true")); !errors.Is(err, pocketdock.ErrContainerGone) {
			t.Errorf("the old one: %v", err)
		}
	})
}

func TestSuiteShutdownIsQuick(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := create(t, e, busybox, pocketdock.CreateOptions{})
		begun := time.Now()
		if err := box.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The reference system needs 10 s; engines themselves 0.1 to 0.5 s.
		if d := time.Since(begun); d > 8*time.Second {
			t.Errorf("took %v", d)
		}
		if _, err := e.client.Get(t.Context(), box.ID()); !errors.Is(err, pocketdock.ErrContainerNotFound) {
			t.Errorf("still there: %v", err)
		}
	})
}

func TestSuiteListAndPrune(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		project := testProject + "-prune"
		o := pocketdock.CreateOptions{Project: project}
		var boxes []*pocketdock.Container
		for _, persist := range []bool{false, true, false} {
			o.Persist = persist
			box, err := e.client.Create(t.Context(), busybox, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { destroy(t, box) })
			boxes = append(boxes, box)
		}
		for _, box := range boxes[:2] {
			if err := box.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		names := func(o pocketdock.ListOptions) (names []string) {
			o.Project = project
			list, err := e.client.List(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range list {
				if it.Image != busybox || it.Project != project || it.Created.IsZero() || it.Status == "" {
					t.Errorf("item %+v", it)
				}
				names = append(names, it.Name)
			}
			return names
		}
		if got, want := names(pocketdock.ListOptions{}), []string{boxes[2].Name(), boxes[1].Name(), boxes[0].Name()}; !slices.Equal(got, want) {
			t.Errorf("all: %v, want %v", got, want)
		}
		if got, want := names(pocketdock.ListOptions{Running: true}), []string{boxes[2].Name()}; !slices.Equal(got, want) {
			t.Errorf("running: %v, want %v", got, want)
		}
		would, err := e.client.Prune(t.Context(), pocketdock.PruneOptions{Project: project, DryRun: true})
		if err != nil || !slices.Equal(would, []string{boxes[0].Name()}) || len(names(pocketdock.ListOptions{})) != len(boxes) {
			t.Errorf("would prune %v, %v", would, err)
		}
		removed, err := e.client.Prune(t.Context(), pocketdock.PruneOptions{Project: project})
		if err != nil || !slices.Equal(removed, []string{boxes[0].Name()}) {
			t.Errorf("pruned %v, %v", removed, err)
		}
		removed, err = e.client.Prune(t.Context(), pocketdock.PruneOptions{Project: project, Persistent: true})
		if err != nil || !slices.Equal(removed, []string{boxes[1].Name()}) {
			t.Errorf("pruned %v, %v", removed, err)
		}
	})
}

func TestSuiteSnapshot(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		image := "pocketdock-test/snapshot-" + e.name + ":v1"
		box := create(t, e, python, pocketdock.CreateOptions{Env: map[string]string{"KEPT": "x"}})
		mustRun(t, box, pocketdock.Shell("echo kept > /home/sandbox/f"))
		id, err := box.Snapshot(t.Context(), image, pocketdock.SnapshotOptions{Comment: "a test", Labels: map[string]string{"k": `v w $HOME "\`}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.client.RemoveImage(context.Background(), image); err != nil {
				t.Error(err)
			}
		})
		img, err := e.client.Image(t.Context(), image)
		if err != nil || img.Labels["k"] != `v w $HOME "\` || img.User != "sandbox" || strings.TrimPrefix(id, "sha256:") != strings.TrimPrefix(img.ID, "sha256:") {
			t.Errorf("image %+v, id %s, %v", img, id, err)
		}
		for k, v := range img.Labels {
			if strings.HasPrefix(k, "pocketdock.") && v != "" {
				t.Errorf("the image has the container's label %s=%s", k, v)
			}
		}
		copied := create(t, e, image, pocketdock.CreateOptions{})
		if res := mustRun(t, copied, pocketdock.Shell("cat /home/sandbox/f; id -un; pwd; echo \"<$KEPT>\"")); string(res.Stdout) != "kept\nsandbox\n/home/sandbox\n<x>\n" {
			t.Errorf("got %q", res.Stdout)
		}
		destroy(t, copied)
	})
}

func TestSuiteSaveLoadTag(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		ctx := t.Context()
		name := "pocketdock-test/saved-" + e.name + ":v1"
		if err := e.client.Tag(ctx, scratch, name); err != nil {
			t.Fatal(err)
		}
		var archive bytes.Buffer
		if err := e.client.SaveImages(ctx, &archive, name); err != nil {
			t.Fatal(err)
		}
		if err := e.client.RemoveImage(ctx, name); err != nil {
			t.Fatal(err)
		}
		if ok, err := e.client.ImageExists(ctx, name); ok || err != nil {
			t.Fatalf("removed: %v, %v", ok, err)
		}
		if err := e.client.LoadImages(ctx, &archive); err != nil {
			t.Fatal(err)
		}
		if ok, err := e.client.ImageExists(ctx, name); !ok || err != nil {
			t.Fatalf("loaded: %v, %v", ok, err)
		}
		if err := e.client.RemoveImage(ctx, name); err != nil {
			t.Fatal(err)
		}
		if err := e.client.RemoveImage(ctx, name); !errors.Is(err, pocketdock.ErrImageNotFound) {
			t.Errorf("removing it again: %v", err)
		}
		if err := e.client.SaveImages(ctx, io.Discard, name); !errors.Is(err, pocketdock.ErrImageNotFound) {
			t.Errorf("saving a missing one: %v", err)
		}
		if err := e.client.LoadImages(ctx, strings.NewReader("this is not an archive")); err == nil {
			t.Error("loading nonsense is no error")
		}
	})
}
