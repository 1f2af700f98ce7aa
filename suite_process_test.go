package pocketdock_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// TestSuiteTimeoutEndsTheTree: children that left the session, were orphaned
// twice, ignore SIGTERM or are stopped write no more after a timeout.
func TestSuiteTimeoutEndsTheTree(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		embeddedLacks(t, "stopped children that leave their group")
		mustRun(t, box, pocketdock.Shell("rm -f /tmp/tree.*"))
		cmd := pocketdock.Shell(`
			tick() { while true; do echo x >> /tmp/tree.$1; sleep 0.05; done; }
			tick plain &
			setsid sh -c 'while true; do echo x >> /tmp/tree.setsid; sleep 0.05; done' &
			(setsid sh -c '(while true; do echo x >> /tmp/tree.double; sleep 0.05; done) &' &)
			sh -c 'trap "" TERM HUP INT; while true; do echo x >> /tmp/tree.ignores; sleep 0.05; done' &
			setsid sleep 1063 & kill -STOP $!
			until [ -s /tmp/tree.plain ] && [ -s /tmp/tree.setsid ] && [ -s /tmp/tree.double ] && [ -s /tmp/tree.ignores ]; do sleep 0.02; done
			echo all up; wait`)
		cmd.Timeout, cmd.Grace = 2*time.Second, 200*time.Millisecond
		res, err := box.Run(t.Context(), cmd)
		if err != nil || !res.TimedOut || string(res.Stdout) != "all up\n" {
			t.Fatalf("%+v, %v", res, err)
		}
		sizes := func() string { return string(mustRun(t, box, pocketdock.Shell("wc -c /tmp/tree.*")).Stdout) }
		before := sizes()
		mustRun(t, box, pocketdock.Shell("sleep 0.3")) // six ticks
		if after := sizes(); after != before {
			t.Errorf("still written after the timeout:\n%s\n%s", before, after)
		}
		noProcess(t, box, "sleep 1063")
	})
}

// TestSuiteBackgroundChildrenStay: what a command leaves in the background
// does not hold up its result, and is not killed.
func TestSuiteBackgroundChildrenStay(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		begun := time.Now()
		res := mustRun(t, box, pocketdock.Shell("sleep 1064 & echo $! > /tmp/pid; echo started"))
		if string(res.Stdout) != "started\n" || time.Since(begun) > 10*time.Second {
			t.Errorf("%q after %v", res.Stdout, time.Since(begun))
		}
		mustRun(t, box, pocketdock.Shell("kill $(cat /tmp/pid)"))
	})
}

func TestSuiteDetached(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		cmd := pocketdock.Shell("echo one; echo two >&2; read x; echo got $x; exit 9")
		cmd.Stdin = pocketdock.Interactive
		p, err := box.Start(t.Context(), cmd)
		if err != nil {
			t.Fatal(err)
		}
		// Another handle, as another program has it.
		again := box.Process(p.ID())
		eventually(t, 10*time.Second, "its output is there", func() bool {
			o, err := again.Output(t.Context(), pocketdock.Offset{})
			return err == nil && string(o.Stdout) == "one\n" && string(o.Stderr) == "two\n" && o.Running && o.Next == pocketdock.Offset{Stdout: 4, Stderr: 4}
		})
		if running, err := again.Running(t.Context()); err != nil || !running {
			t.Errorf("running: %v, %v", running, err)
		}
		if err := again.Write(t.Context(), []byte("it\n")); err != nil {
			t.Fatal(err)
		}
		res, err := again.Wait(t.Context())
		if err != nil || res.ExitCode != 9 {
			t.Fatalf("%+v, %v", res, err)
		}
		o, err := p.Output(t.Context(), pocketdock.Offset{Stdout: 4, Stderr: 1})
		if err != nil || string(o.Stdout) != "got it\n" || string(o.Stderr) != "wo\n" || o.Running || o.Result == nil || o.Result.ExitCode != 9 {
			t.Errorf("%+v, %v", o, err)
		}
		info, err := p.Info(t.Context())
		if err != nil || info.Running || !info.Detached || info.Stdout != 11 || info.Args[0] != "/bin/sh" {
			t.Errorf("%+v, %v", info, err)
		}
		if _, err := box.Process("nosuch").Wait(t.Context()); !errors.Is(err, pocketdock.ErrProcessNotFound) || !strings.Contains(err.Error(), "nosuch") {
			t.Errorf("unknown process: %v", err)
		}
	})
}

// TestSuiteDetachedInput: input comes in pieces, from several handles, and ends.
func TestSuiteDetachedInput(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		cmd := pocketdock.Argv("cat")
		cmd.Stdin = pocketdock.Interactive
		p, err := box.Start(t.Context(), cmd)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"one ", "two "} {
			if err := box.Process(p.ID()).Write(t.Context(), []byte(s)); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Input(t.Context(), strings.NewReader("three")); err != nil {
			t.Fatal(err)
		}
		if res, err := p.Wait(t.Context()); err != nil || !res.OK() {
			t.Fatalf("%+v, %v", res, err)
		}
		if o, err := p.Output(t.Context(), pocketdock.Offset{}); err != nil || string(o.Stdout) != "one two three" {
			t.Errorf("%q, %v", o.Stdout, err)
		}
	})
}

func TestSuiteKill(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		p, err := box.Start(t.Context(), pocketdock.Shell("trap '' TERM; setsid sleep 1065 & echo up; while true; do sleep 0.1; done"))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "it is up", func() bool {
			o, err := p.Output(t.Context(), pocketdock.Offset{})
			return err == nil && len(o.Stdout) > 0
		})
		if err := p.Kill(t.Context(), 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		res, err := p.Wait(t.Context())
		if err != nil || res.Signal != int(pocketdock.SIGKILL) || res.OK() || res.TimedOut {
			t.Errorf("%+v, %v", res, err)
		}
		noProcess(t, box, "sleep 1065")
		if err := p.Kill(t.Context(), 0); err != nil {
			t.Errorf("killing it again: %v", err)
		}
		// A plain signal is the command's to handle.
		p, err = box.Start(t.Context(), pocketdock.Shell("trap 'echo usr; exit 3' USR1; echo up; while true; do sleep 0.05; done"))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "it is up", func() bool {
			o, err := p.Output(t.Context(), pocketdock.Offset{})
			return err == nil && len(o.Stdout) > 0
		})
		if err := p.Signal(t.Context(), pocketdock.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		if res, err := p.Wait(t.Context()); err != nil || res.ExitCode != 3 {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

func TestSuiteSoftTimeout(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		cmd := pocketdock.Shell("echo early; read x; sleep 1; echo late")
		cmd.SoftTimeout = 300 * time.Millisecond
		res, err := box.Run(t.Context(), cmd)
		if err != nil || !res.Running || res.OK() || res.TimedOut || string(res.Stdout) != "early\n" || res.ID == "" {
			t.Fatalf("%+v, %v", res, err)
		}
		p := box.Process(res.ID)
		end, err := p.Wait(t.Context())
		if err != nil || !end.OK() {
			t.Fatalf("%+v, %v", end, err)
		}
		o, err := p.Output(t.Context(), pocketdock.Offset{Stdout: int64(len(res.Stdout))})
		if err != nil || string(o.Stdout) != "late\n" || o.StdoutLost != 0 {
			t.Errorf("%+v, %v", o, err)
		}
	})
}

// TestSuiteLogOverflow: the oldest bytes go, and how many is said.
func TestSuiteLogOverflow(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		cmd := pocketdock.Shell("seq 1 200000")
		cmd.LogLimit = 64 << 10
		p, err := box.Start(t.Context(), cmd)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		const total = 1288895
		o, err := p.Output(t.Context(), pocketdock.Offset{})
		if err != nil {
			t.Fatal(err)
		}
		if o.StdoutLost+int64(len(o.Stdout)) != total || o.Next.Stdout != total || len(o.Stdout) == 0 || len(o.Stdout) > 64<<10 {
			t.Errorf("%d lost, %d kept, next %+v", o.StdoutLost, len(o.Stdout), o.Next)
		}
		if !bytes.HasSuffix(o.Stdout, []byte("\n199999\n200000\n")) {
			t.Errorf("ends with %q", o.Stdout[max(0, len(o.Stdout)-20):])
		}
	})
}

// TestSuiteClientKilled: a client that streams a process is killed; another
// one reads on from where it was, and has every byte.
func TestSuiteClientKilled(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		const size = 24 << 20
		cmd := pocketdock.Shell(fmt.Sprintf("head -c %d /dev/urandom | tee /tmp/original", size))
		cmd.LogLimit = size
		p, err := box.Start(t.Context(), cmd)
		if err != nil {
			t.Fatal(err)
		}
		// The first client is this test binary again.
		info, err := box.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var socket, state string
		for _, e := range engines {
			if strings.Contains(t.Name(), "/"+e.name+"/") {
				socket, state = e.client.Socket, e.client.StateDir
			}
		}
		client := exec.Command(os.Args[0], "follow", socket, state, info.ID, p.ID())
		client.Env = append(os.Environ(), helperEnv+"=1")
		client.Stderr = os.Stderr
		out, err := client.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Start(); err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		first, err := io.CopyN(sum, out, 5<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		client.Wait()

		s, err := p.Follow(t.Context(), pocketdock.Offset{Stdout: first})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		rest := int64(0)
		for c := range s.Chunks() {
			if c.Lost > 0 {
				t.Fatalf("%d bytes lost", c.Lost)
			}
			sum.Write(c.Data)
			rest += int64(len(c.Data))
		}
		if res, err := s.Result(); err != nil || !res.OK() {
			t.Fatalf("%+v, %v", res, err)
		}
		if first+rest != size {
			t.Errorf("%d + %d bytes of %d", first, rest, size)
		}
		want := strings.Fields(string(mustRun(t, box, pocketdock.Argv("sha256sum", "/tmp/original")).Stdout))[0]
		if got := fmt.Sprintf("%x", sum.Sum(nil)); got != want {
			t.Errorf("sha256 %s, want %s", got, want)
		}
		mustRun(t, box, pocketdock.Argv("rm", "/tmp/original"))
	})
}

// helperEnv makes this test binary a client of its own.
const helperEnv = "POCKETDOCK_TEST_HELPER"

// helper is that client: "follow" writes the output of a process to stdout,
// "stream" is for TestSuiteStreamInConstantMemory, "dies" for the tests of Sweep,
// "push" and "pull" for TestSuiteTransferOfAKilledClient, "session" for
// TestSuiteSessionOutlivesTheClient.
func helper(args []string) error {
	if args[0] == "dies" {
		return diesHelper(args[1])
	}
	ctx, cancel := helperContext()
	defer cancel()
	c := &pocketdock.Client{Socket: args[1], StateDir: args[2]}
	if args[0] == "pool" {
		return poolHelper(ctx, c, args[3])
	}
	box, err := c.Get(ctx, args[3])
	if err != nil {
		return err
	}
	switch args[0] {
	case "stream":
		return streamHelper(box, args[4])
	case "session":
		return sessionHelper(ctx, box, args[4])
	case "push", "pull":
		return transferHelper(ctx, box, args[0], args[4], args[5])
	}
	s, err := box.Process(args[4]).Follow(ctx, pocketdock.Offset{})
	if err != nil {
		return err
	}
	for chunk := range s.Chunks() {
		if _, err := os.Stdout.Write(chunk.Data); err != nil {
			return err
		}
	}
	_, err = s.Result()
	return err
}

func helperContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 10*time.Minute)
}

// TestSuiteTimeoutOutlivesTheClient: the agent keeps a timeout whose client
// has gone.
func TestSuiteTimeoutOutlivesTheClient(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		cmd := pocketdock.Argv("sleep", "1066")
		cmd.Timeout = 300 * time.Millisecond
		p, err := box.Start(t.Context(), cmd) // no connection is left
		if err != nil {
			t.Fatal(err)
		}
		noProcess(t, box, "sleep 1066")
		if res, err := p.Wait(t.Context()); err != nil || !res.TimedOut {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

// TestSuiteRecordsOutliveARestart of the container.
func TestSuiteRecordsOutliveARestart(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := create(t, e, busybox, pocketdock.CreateOptions{Persist: true})
		done, err := box.Start(t.Context(), pocketdock.Shell("echo kept; exit 4"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := done.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := box.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		o, err := done.Output(t.Context(), pocketdock.Offset{})
		if err != nil || string(o.Stdout) != "kept\n" || o.Result == nil || o.Result.ExitCode != 4 {
			t.Errorf("%+v, %v", o, err)
		}
		// The host's directory may be wiped, as by a reboot.
		if err := box.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(box.DataPath() + "/io"); err != nil {
			t.Fatal(err)
		}
		if err := box.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustRun(t, box, pocketdock.Argv("true"))
	})
}

func TestSuiteRlimitsAndCapabilities(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		embeddedLacks(t, "root with some of the capabilities only")
		cmd := pocketdock.Shell("ulimit -n; ulimit -c")
		cmd.Rlimits = map[string][2]int64{"nofile": {100, 200}, "core": {0, 0}}
		if res := mustRun(t, box, cmd); string(res.Stdout) != "100\n0\n" {
			t.Errorf("got %q", res.Stdout)
		}
		cmd = pocketdock.Shell("grep CapEff /proc/self/status; chown 1000 /tmp/owned")
		cmd.Capabilities, cmd.User = []string{"CHOWN"}, "root"
		mustRun(t, box, pocketdock.Shell("touch /tmp/owned"))
		if res := mustRun(t, box, cmd); !strings.Contains(string(res.Stdout), "CapEff:\t0000000000000001") {
			t.Errorf("got %q", res.Stdout)
		}
		cmd.Capabilities = []string{"SYS_ADMIN"}
		if _, err := box.Run(t.Context(), cmd); err == nil {
			t.Error("a capability that the container has not was given")
		}
	})
}

// TestSuiteManyOrphans: double-forked children in great number leave no zombie.
func TestSuiteManyOrphans(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		n := 18_000
		if testing.Short() {
			n = 1_000
		}
		box := create(t, e, busybox, pocketdock.CreateOptions{})
		cmd := pocketdock.Shell(fmt.Sprintf("i=0; while [ $i -lt %d ]; do (true &); i=$((i+1)); done; echo done", n))
		cmd.Timeout = 10 * time.Minute
		if res := mustRun(t, box, cmd); string(res.Stdout) != "done\n" {
			t.Fatalf("%q", res.Stdout)
		}
		eventually(t, 20*time.Second, "no zombie", func() bool {
			res := mustRun(t, box, pocketdock.Shell("cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ' || true"))
			return string(res.Stdout) == "0\n"
		})
	})
}

// TestSuiteForkBomb: the agent answers while a fork bomb has every process
// that the sandbox may have, and ends it.
func TestSuiteForkBomb(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "a quick end of a fork bomb")
		o := pocketdock.CreateOptions{PIDs: 100, Project: testProject}
		box, err := e.client.Create(t.Context(), busybox, o)
		if errors.Is(err, pocketdock.ErrUnsupported) {
			t.Logf("no limit of processes on this engine, no bomb: %v", err)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { destroy(t, box) })
		// The first shell forks once, so that it cannot fail when there is no room
		// left: what it leaves behind if it ends by itself would go on.
		cmd := pocketdock.Shell("(f() { f | f & }; f) & while :; do :; done")
		cmd.Timeout = 2 * time.Second
		res, err := box.Run(t.Context(), cmd)
		if err != nil || !res.TimedOut {
			t.Errorf("%+v, %v", res, err)
		}
		eventually(t, 20*time.Second, "the bomb is gone", func() bool {
			res, err := box.Run(t.Context(), pocketdock.Shell("set -- /proc/[0-9]*; echo $#"))
			return err == nil && string(res.Stdout) == "2\n" // the agent and this shell
		})
	})
}
