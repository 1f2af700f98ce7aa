package pocketdock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pocketdock/pocketdock"
)

// newPool makes a pool in this run's project, closed at the test's end.
func newPool(t *testing.T, e testEngine, image string, o pocketdock.PoolOptions) *pocketdock.Pool {
	t.Helper()
	if o.Create.Project == "" {
		o.Create.Project = testProject
	}
	pool, err := e.client.NewPool(t.Context(), image, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closePool(t, pool) })
	return pool
}

func closePool(t *testing.T, pool *pocketdock.Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := pool.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

func acquire(t *testing.T, pool *pocketdock.Pool) *pocketdock.Container {
	t.Helper()
	box, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func release(t *testing.T, pool *pocketdock.Pool, box *pocketdock.Container) {
	t.Helper()
	if err := pool.Release(box); err != nil {
		t.Fatal(err)
	}
}

// settled waits until nothing goes on in the pool's background.
func settled(t *testing.T, pool *pocketdock.Pool) pocketdock.PoolStats {
	t.Helper()
	eventually(t, 30*time.Second, "the pool is settled", func() bool {
		s := pool.Stats()
		return s.Creating+s.Resetting+s.Removing == 0
	})
	return pool.Stats()
}

// asRoot is a script that is run as root.
func asRoot(script string) pocketdock.Command {
	return pocketdock.Command{Args: []string{"sh", "-c", script}, User: "root", Timeout: 2 * time.Minute}
}

// describeBox is a script that describes a sandbox: processes, files with their
// owners, modes, sizes and times (but those of what the engine mounts), IPC.
const describeBox = `cd /; find / -xdev | sort | xargs stat -c '%n %F %u:%g %a %Y' | grep -v '^/proc \|^/.pocketdock/io '
find /dev /dev/shm /dev/mqueue /scratchy /sys/fs/cgroup -xdev 2>/dev/null | sort | xargs stat -c '%n %F %u:%g %a %Y' | grep -v '^/dev/tty '
cat /proc/sysvipc/*; ls -a /.pocketdock/io; env | sort; cat /etc/hosts
for p in /proc/[0-9]*; do read -r name <$p/comm; case $name in sh) ;; *) echo process $name ;; esac; done 2>/dev/null`

// TestSuitePoolResets shows that a released sandbox, whatever was done in it,
// is the same container again and like new.
func TestSuitePoolResets(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "message queues that can be seen, so that no sandbox is reset")
		pool := newPool(t, e, python, pocketdock.PoolOptions{Max: 1, Create: pocketdock.CreateOptions{
			Env: map[string]string{"GREETING": "hello"}, Tmpfs: map[string]int64{"/scratchy": 1 << 20}}})
		box := acquire(t, pool)
		first, bounded := box.ID(), limitsProcesses(t, e)
		before := mustRun(t, box, asRoot(describeBox)).Stdout
		for _, tt := range []struct{ name, script string }{
			{"nothing", "true"},
			{"files", "echo x >/tmp/f; mkdir -p /home/sandbox/a/b; echo >/home/sandbox/a/b/c; ln -s /etc/passwd /home/sandbox/l; mkfifo /tmp/p"},
			{"files in the system", "echo x >/etc/new; mkdir -p /usr/lib/x/y; echo >/usr/lib/x/y/z"},
			{"directories", "chmod 700 /tmp /etc; chown 1000:1000 /usr /home; touch -d @5 /var /opt"},
			{"deep in the image", "cd /usr/lib/python3.11; mkdir re/new; echo >re/new/f; chmod 700 json; rmdir /etc/opt; mkdir -m 700 /etc/opt"},
			{"memory", "echo >/dev/shm/f; mkdir -p /scratchy/a/b; echo >/scratchy/a/b/c; touch /dev/mqueue/q; mkdir /sys/fs/cgroup/x; echo >/dev/new"},
			{"awkward names", `cd /tmp; for n in 'new
line' '-rf' '*' ' ' "$(printf '\377\001')"; do mkdir -- "$n"; echo >"./$n/$n"; done`},
			{"a deep tree", `python3 -c '
import os
os.chdir("/tmp")
for i in range(300):
    os.mkdir("d" * 100); os.chdir("d" * 100)
open("end", "w").close()'`},
			{"many files", `cd /tmp; python3 -c '
for i in range(2000): open(f"f{i}", "w").close()'`},
			{"closed directories", "mkdir -p /tmp/c/d; echo >/tmp/c/d/f; chmod 0 /tmp/c/d /tmp/c"},
			{"background", "setsid sleep 1000 & (setsid sh -c 'trap \"\" TERM HUP; sleep 1000 & sleep 1000' &) ; nohup sleep 1000 >/dev/null 2>&1 &"},
			{"a fork bomb", "sh -c 'f() { f | f & }; f' >/dev/null 2>&1 & sleep 0.1"},
			{"the agent's directory", "cd /.pocketdock/io; echo >x.json; mkdir -p d/e; echo '5 5' >limits.state"},
		} {
			if tt.name == "a fork bomb" && !bounded {
				continue // it would be the machine's problem
			}
			if res, err := box.Run(t.Context(), asRoot(tt.script)); err != nil || tt.name != "a fork bomb" && !res.OK() {
				t.Errorf("%s: %+v, %v", tt.name, res, err)
			}
			if _, err := box.Start(t.Context(), pocketdock.Shell("echo logged; sleep 1000")); err != nil && tt.name != "a fork bomb" {
				t.Errorf("%s: %v", tt.name, err)
			}
			if err := box.SetTimeLimits(t.Context(), pocketdock.TimeLimits{TTL: time.Hour}); err != nil {
				t.Error(err)
			}
			release(t, pool, box)
			begun := time.Now()
			box = acquire(t, pool)
			t.Logf("%s: %v", tt.name, time.Since(begun))
			if box.ID() != first {
				t.Fatalf("%s: the sandbox was replaced: %v", tt.name, pool.Stats().LastReplaced)
			}
			after := mustRun(t, box, asRoot(describeBox)).Stdout
			if diff := changedLines(before, after); diff != "" {
				t.Errorf("%s: not like new:\n%s", tt.name, diff)
			}
			if ps, err := box.Processes(t.Context()); err != nil || len(ps) != 0 {
				t.Errorf("%s: processes %v, %v", tt.name, ps, err)
			}
			if l, err := box.TimeLimits(t.Context()); err != nil || l.TTL != 0 || l.Idle != time.Minute {
				t.Errorf("%s: limits %+v, %v", tt.name, l, err)
			}
		}
	})
}

// limitsProcesses reports whether the engine can bound a sandbox's processes.
func limitsProcesses(t *testing.T, e testEngine) bool {
	t.Helper()
	d, err := e.client.EngineDetails(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(d.Controllers, "pids")
}

// changedLines are those that only one of two texts has.
func changedLines(before, after []byte) string {
	count := map[string]int{}
	for line := range bytes.Lines(before) {
		count[string(line)]--
	}
	for line := range bytes.Lines(after) {
		count[string(line)]++
	}
	var b strings.Builder
	for _, line := range slices.Sorted(maps.Keys(count)) {
		if n := count[line]; n != 0 {
			fmt.Fprintf(&b, "%+d %s", n, line)
		}
	}
	return b.String()
}

// soil looks for what others may have left, says so, and leaves all of it.
const soil = `
for f in /tmp/left /etc/left /root/left /home/sandbox/left /dev/shm/left /bin/left; do [ ! -e $f ] || echo left: $f; done
[ "$(stat -c %a:%u /tmp)" = 1777:0 ] || echo left: mode of /tmp
[ -f /etc/passwd ] && [ "$(tail -n1 /etc/group)" != soiled ] || echo left: changed files
[ -z "$LEFT" ] || echo left: environment
for p in /proc/[0-9]*; do read -r name <$p/comm; [ "$name" != sleep ] || echo left: process; done 2>/dev/null
for f in /tmp/left /etc/left /root/left /dev/shm/left /bin/left; do echo x >$f; done
mkdir -p /home/sandbox/left/a/b; echo x >/home/sandbox/left/a/b/c; chmod 700 /tmp; chown 1000 /tmp
export LEFT=1
setsid sleep 1000 >/dev/null 2>&1 &
`

// TestSuitePoolCycles is 1,000 cycles of acquire, run and release by 20
// goroutines, one in ten of which kills its sandbox and one in twenty spoils a
// file of the image. Nobody may see what another left, or share a sandbox, the
// numbers have to add up, and nothing is left.
func TestSuitePoolCycles(t *testing.T) {
	const workers = 20
	cycles := 50
	if testing.Short() {
		cycles = 10
	}
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "message queues that can be seen, so that no sandbox is reset")
		before := goleak.IgnoreCurrent()
		pool := newPool(t, e, busybox, pocketdock.PoolOptions{Min: 4, Max: 8})
		var (
			wg            sync.WaitGroup
			inUse         sync.Map
			kills, spoils atomic.Int64
			slowest       atomic.Int64
		)
		cycle := func(n int) error {
			box, err := pool.Acquire(t.Context())
			if err != nil {
				return err
			}
			defer func() {
				inUse.Delete(box.ID())
				if err := pool.Release(box); err != nil {
					t.Error(err)
				}
			}()
			if _, shared := inUse.LoadOrStore(box.ID(), n); shared {
				return fmt.Errorf("container %s is lent twice", box)
			}
			begun := time.Now()
			res, err := box.Run(t.Context(), asRoot(soil))
			if err != nil {
				return err
			}
			slowest.Store(max(slowest.Load(), int64(time.Since(begun))))
			if len(res.Stdout) > 0 || !res.OK() {
				return fmt.Errorf("in %s after %d leases: exit code %d, %s%s", box, pool.Stats().Released, res.ExitCode, res.Stdout, res.Stderr)
			}
			switch {
			case n%20 == 3:
				kills.Add(1)
				return box.Destroy(t.Context())
			case n%20 == 13:
				kills.Add(1)
				err := api(t.Context(), e, "POST", "/containers/"+box.ID()+"/kill?signal=KILL", nil, nil)
				if err != nil && strings.Contains(err.Error(), "no such container") {
					err = nil // Podman has removed it by the time it answers
				}
				return err
			case n%40 == 7:
				spoils.Add(1)
				_, err = box.Run(t.Context(), asRoot("echo soiled >>/etc/group"))
			case n%40 == 27:
				spoils.Add(1)
				_, err = box.Run(t.Context(), asRoot("rm /etc/passwd"))
			}
			return err
		}
		for w := range workers {
			wg.Go(func() {
				for i := range cycles {
					if err := cycle(w*cycles + i); err != nil {
						t.Errorf("cycle %d of worker %d: %v", i, w, err)
					}
				}
			})
		}
		wg.Wait()
		s := settled(t, pool)
		t.Logf("%+v, slowest run %v", s, time.Duration(slowest.Load()))
		total := int64(workers * cycles)
		if s.Hits+s.Misses != total || s.Waits != s.Misses || s.Abandoned != 0 || s.Released != total ||
			s.Replaced != kills.Load()+spoils.Load() || s.Resets != total-s.Replaced ||
			s.Created != s.Removed+int64(s.Warm) || s.InUse+s.Waiting != 0 || s.Died+s.Lingered+s.CreateFailures+s.RemoveFailures != 0 {
			t.Errorf("after %d kills and %d spoiled files the numbers do not add up: %+v", kills.Load(), spoils.Load(), s)
		}
		if s.Warm < 4 || s.Warm > 8 {
			t.Errorf("%d are ready, want 4 to 8", s.Warm)
		}
		closePool(t, pool)
		if s := pool.Stats(); s.Created != s.Removed || s.Warm+s.Removing+s.Creating != 0 {
			t.Errorf("closed: %+v", s)
		}
		left, err := e.client.List(t.Context(), pocketdock.ListOptions{Project: testProject})
		if err != nil || len(left) > len(shared) {
			t.Errorf("left: %v, %v", left, err)
		}
		goleak.VerifyNone(t, before)
	})
}

// TestSuitePoolClosedAtOnce: what is being created when the pool is closed is
// not made afterwards.
func TestSuitePoolClosedAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		for n := range 5 {
			project := fmt.Sprint(testProject, "-closed-", n)
			pool, err := e.client.NewPool(t.Context(), busybox, pocketdock.PoolOptions{Min: 2, Create: pocketdock.CreateOptions{Project: project}})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, 30*time.Second, "something is created", func() bool { return pool.Stats().Creating > 0 })
			time.Sleep(time.Duration(n) * 60 * time.Millisecond) // another moment of the creation
			closePool(t, pool)
			left, err := e.client.List(t.Context(), pocketdock.ListOptions{Project: project})
			if err != nil || len(left) > 0 {
				t.Errorf("left: %+v, %v", left, err)
			}
		}
	})
}

// TestSuitePoolReplaces: what cannot be brought back is replaced, and why is
// said.
func TestSuitePoolReplaces(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "message queues that can be seen, so that no sandbox is reset")
		pool := newPool(t, e, python, pocketdock.PoolOptions{Max: 2})
		for _, tt := range []struct{ name, script, why string }{
			{"a changed file", "echo x >>/etc/passwd", "/etc/passwd"},
			{"one with its time set back", "t=$(stat -c %Y /etc/passwd); sed -i s/x/y/ /etc/passwd; touch -d @$t /etc/passwd", "/etc/passwd"},
			{"a changed mode", "chmod 600 /etc/group", "/etc/group"},
			{"a removed file", "rm /etc/passwd", "/etc"},
			{"a removed directory", "rm -r /etc/opt", "/etc"},
			{"a link in the place of a directory", "rm -r /etc/opt; ln -s /tmp /etc/opt", "/etc/opt"},
			{"a moved file", "mv /etc/passwd /etc/p; mv /etc/p /etc/passwd", "/etc/passwd"},
			{"deep in the image", "echo >>/usr/lib/python3.11/re/__init__.py", "/usr/lib/python3.11/re/__init__.py"},
			{"one of several names", "echo >>$(find /usr /etc -xdev -type f -links +1 | head -n 1)", "changed"},
			{"one more name of a file", "ln /etc/passwd /tmp/p", "/etc/passwd"},
			{"a mounted file", "echo x >>/etc/hosts", "/etc/hosts"},
			{"a link to a device", "rm /dev/ptmx; ln -s pts/ptmx /dev/ptmx", "/dev/ptmx"},
			{"the agent's limits", "python3 -c 'import resource; resource.prlimit(1, resource.RLIMIT_CORE, (1, 1))'", "limits"},
			{"System V IPC", "ipcmk -Q", "System V"},
			{"the agent's socket", "cd /.pocketdock/io; for f in *.sock s; do mv $f x; mv x $f; done; true", "socket"},
		} {
			box := acquire(t, pool)
			if res, err := box.Run(t.Context(), asRoot(tt.script)); err != nil || !res.OK() {
				t.Errorf("%s: %+v, %v", tt.name, res, err)
			}
			before := pool.Stats()
			release(t, pool, box)
			after := settled(t, pool)
			if after.Replaced != before.Replaced+1 || !strings.Contains(fmt.Sprint(after.LastReplaced), tt.why) {
				t.Errorf("%s: %d replaced, %v", tt.name, after.Replaced-before.Replaced, after.LastReplaced)
			}
		}
		// Where an earlier lease has left its traces in the container's layer.
		pool = newPool(t, e, python, pocketdock.PoolOptions{Max: 1})
		box := acquire(t, pool)
		mustRun(t, box, asRoot("echo >/usr/lib/python3.11/re/new"))
		release(t, pool, box)
		settled(t, pool)
		again := acquire(t, pool)
		mustRun(t, again, asRoot("echo >>/usr/lib/python3.11/re/__init__.py"))
		before := pool.Stats()
		release(t, pool, again)
		if s := settled(t, pool); box.ID() != again.ID() || s.Replaced != before.Replaced+1 {
			t.Errorf("the same sandbox twice: %v, %v", box.ID() == again.ID(), s.LastReplaced)
		}
	})
}

// TestSuitePoolHandles: a handle that was given back leads nowhere.
func TestSuitePoolHandles(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "message queues that can be seen, so that no sandbox is reset")
		ctx := t.Context()
		pool := newPool(t, e, busybox, pocketdock.PoolOptions{Max: 1})
		old := acquire(t, pool)
		p, err := old.Start(ctx, pocketdock.Shell("sleep 1000"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := old.Stream(ctx, pocketdock.Shell("sleep 1000"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		pr, pw := io.Pipe()
		defer pw.Close()
		writing := make(chan error, 1)
		go func() {
			err := old.CopyIn(ctx, "/tmp/late", pr, pocketdock.FileOptions{})
			pr.Close() // it may have noticed before the next write
			writing <- err
		}()
		pw.Write([]byte("x"))
		release(t, pool, old)
		box := acquire(t, pool)
		if box.ID() != old.ID() {
			t.Fatalf("replaced: %v", pool.Stats().LastReplaced)
		}
		for name, op := range map[string]func() error{
			"run":     func() error { _, err := old.Run(ctx, pocketdock.Argv("true")); return err },
			"process": func() error { return p.Kill(ctx, 0) },
			"write":   func() error { return old.WriteFile(ctx, "/tmp/f", nil, pocketdock.FileOptions{}) },
			"info":    func() error { _, err := old.Info(ctx); return err },
			"stop":    func() error { return old.Stop(ctx) },
			"reboot":  func() error { return old.Reboot(ctx) },
			"snapshot": func() error {
				_, err := old.Snapshot(ctx, "pool-snapshot:1", pocketdock.SnapshotOptions{})
				return err
			},
		} {
			if err := op(); !errors.Is(err, pocketdock.ErrContainerGone) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := old.Destroy(ctx); err != nil {
			t.Errorf("destroy: %v", err)
		}
		if _, err := s.Result(); err == nil {
			t.Error("a stream of before ended without an error")
		}
		pw.Write([]byte("y"))
		pw.Close()
		if err := <-writing; err == nil {
			t.Error("a file was written on after the release")
		}
		res := mustRun(t, box, pocketdock.Shell("ls /tmp"))
		if len(res.Stdout) > 0 {
			t.Errorf("left: %s", res.Stdout)
		}
		for name, box := range map[string]*pocketdock.Container{"twice": old, "a foreign one": sharedBox(t, e, socketWay), "nil": nil} {
			if err := pool.Release(box); !errors.Is(err, pocketdock.ErrInvalid) {
				t.Errorf("release %s: %v", name, err)
			}
		}
		release(t, pool, box)
	})
}

// TestSuitePoolNoticesDeath: a sandbox that ends while it is ready is not
// lent, and is replaced.
func TestSuitePoolNoticesDeath(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "message queues that can be seen, so that no sandbox is reset")
		pool := newPool(t, e, busybox, pocketdock.PoolOptions{Max: 2})
		box := acquire(t, pool)
		id := box.ID()
		release(t, pool, box)
		settled(t, pool)
		if err := api(t.Context(), e, "POST", "/containers/"+id+"/kill?signal=KILL", nil, nil); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if box := acquire(t, pool); box.ID() == id {
				t.Error("a dead sandbox was lent")
			} else if _, err := box.Run(t.Context(), pocketdock.Argv("true")); err != nil {
				t.Error(err)
			}
		}
		if s := pool.Stats(); s.Died != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestSuitePoolOfAKilledProgram ends by itself, what was in use included.
func TestSuitePoolOfAKilledProgram(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		project := testProject + "-killed"
		program := exec.Command(os.Args[0], "pool", e.client.Socket, e.client.StateDir, project)
		program.Env = append(os.Environ(), helperEnv+"=1")
		program.Stderr = os.Stderr
		out, err := program.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := program.Start(); err != nil {
			t.Fatal(err)
		}
		count := func() int {
			list, err := e.client.List(t.Context(), pocketdock.ListOptions{Project: project})
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		var ready string
		fmt.Fscanln(out, &ready)
		// It has been idle for longer than its limit: it is held.
		if n := count(); ready != "ready" || n != 3 {
			t.Errorf("%q, %d containers", ready, n)
		}
		program.Process.Kill()
		program.Wait()
		eventually(t, 20*time.Second, "the containers are gone", func() bool { return count() == 0 })
	})
}

// poolHelper has a pool with two sandboxes ready and one in use for longer
// than their idle limit, says so, and waits.
func poolHelper(ctx context.Context, c *pocketdock.Client, project string) error {
	pool, err := c.NewPool(ctx, busybox, pocketdock.PoolOptions{Min: 2, Max: 3,
		Create: pocketdock.CreateOptions{Project: project, IdleTimeout: time.Second}})
	if err != nil {
		return err
	}
	if _, err := pool.Acquire(ctx); err != nil {
		return err
	}
	for pool.Stats().Warm < 2 {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(2 * time.Second)
	if s := pool.Stats(); s.Warm < 2 || s.Died > 0 {
		return fmt.Errorf("idle sandboxes have ended: %+v", s)
	}
	fmt.Println("ready")
	<-ctx.Done()
	return nil
}

// TestSuitePoolWithoutResets: where a reset cannot be relied on, every lease
// is of a new sandbox, and the pool works all the same.
func TestSuitePoolWithoutResets(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		for _, tt := range []struct {
			name   string
			client *pocketdock.Client
			create pocketdock.CreateOptions
			why    string
		}{
			{"bridge", &pocketdock.Client{Socket: e.client.Socket, StateDir: e.client.StateDir, NoMounts: true},
				pocketdock.CreateOptions{Project: testProject + "-bridge"}, "bridge"},
			{"capability", e.client, pocketdock.CreateOptions{Capabilities: []string{"SYS_CHROOT"}}, "SYS_CHROOT"},
		} {
			pool := newPool(t, testEngine{e.name, tt.client}, busybox, pocketdock.PoolOptions{Max: 2, Create: tt.create})
			seen := map[string]bool{}
			for range 3 {
				box := acquire(t, pool)
				if seen[box.ID()] {
					t.Errorf("%s: a sandbox came twice", tt.name)
				}
				seen[box.ID()] = true
				if res := mustRun(t, box, asRoot(soil)); len(res.Stdout) > 0 {
					t.Errorf("%s: %s", tt.name, res.Stdout)
				}
				release(t, pool, box)
			}
			if s := settled(t, pool); s.Replaced != 3 || s.Died != 0 || !strings.Contains(fmt.Sprint(s.LastReplaced), tt.why) {
				t.Errorf("%s: %+v", tt.name, s)
			}
			// One that ends while it is ready is noticed here as well.
			if tt.name == "bridge" {
				eventually(t, 20*time.Second, "one is ready", func() bool { return pool.Stats().Warm > 0 })
				list, err := e.client.List(t.Context(), pocketdock.ListOptions{Project: tt.create.Project})
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range list {
					api(t.Context(), e, "POST", "/containers/"+c.ID+"/kill?signal=KILL", nil, nil)
				}
				eventually(t, 20*time.Second, "its death is noticed", func() bool { return pool.Stats().Died > 0 })
			}
			closePool(t, pool)
		}
	})
}

// TestSuitePoolIsQuick: an Acquire of a ready sandbox takes far less than a
// millisecond.
func TestSuitePoolIsQuick(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		pool := newPool(t, e, busybox, pocketdock.PoolOptions{Min: 2, Max: 2})
		var took []time.Duration
		for range 50 {
			eventually(t, 20*time.Second, "one is ready", func() bool { return pool.Stats().Warm > 0 })
			begun := time.Now()
			box := acquire(t, pool)
			took = append(took, time.Since(begun))
			release(t, pool, box)
		}
		slices.Sort(took)
		t.Logf("median %v, slowest %v, %+v", took[len(took)/2], took[len(took)-1], pool.Stats())
		if took[len(took)/2] > time.Millisecond {
			t.Errorf("the median is %v", took[len(took)/2])
		}
	})
}
