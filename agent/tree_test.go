//go:build linux

package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// ticking is a shell script whose descendants, however they hide, each append
// to a file every 10 ms.
func ticking(dir string) string {
	tick := func(name string) string {
		return fmt.Sprintf("while :; do echo >> %s/%s; sleep 0.01; done", dir, name)
	}
	return strings.Join([]string{
		fmt.Sprintf("(%s) &", tick("child")),
		fmt.Sprintf("setsid sh -c '%s' </dev/null >/dev/null 2>&1 &", tick("session")),
		fmt.Sprintf("(setsid sh -c '(%s) & exit' </dev/null >/dev/null 2>&1 &)", tick("daemon")),
		fmt.Sprintf("(trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM HUP INT; %s' >/dev/null 2>&1) &", tick("deaf")),
		fmt.Sprintf("setsid sh -c 'kill -STOP $$; %s' >/dev/null 2>&1 &", tick("stopped")),
	}, "\n")
}

var tickers = []string{"child", "session", "daemon", "deaf"}

// sizes is how often each has ticked.
func sizes(dir string) (all [4]int64) {
	for i, name := range tickers {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil {
			all[i] = st.Size()
		}
	}
	return all
}

// processes counts what lives in the sandbox besides the agent and the look.
func (s *sandbox) processes() (n int) {
	out := s.sh(`for p in /proc/[0-9]*; do read -r line < $p/stat 2>/dev/null || continue; echo "${p#/proc/} ${line##*) }"; done; echo $$`)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	look := lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		f := strings.Fields(line)
		if f[0] != "1" && f[0] != look && f[1] != "X" {
			n++
		}
	}
	return n
}

// Whatever ends a run ends all of its tree, and nothing else.
func TestKillTree(t *testing.T) {
	for _, ids := range []int{1 << 20, 10_000, 1} {
		for _, how := range []string{"kill", "end", "timeout", "disconnect"} {
			t.Run(fmt.Sprintf("%s/ids=%d", how, ids), func(t *testing.T) {
				s := newSandbox(t, withFewIDs(ids))
				user := "1234"
				if ids == 1 {
					user = "root"
				}
				if exact := s.info().Exact; exact != (ids > 1) {
					t.Fatalf("exact is %v", exact)
				}
				dir := tempDir(t)
				other := s.detach(wire.Start{Argv: []string{"sleep", "1000"}})
				start := wire.Start{ID: "victim", Argv: []string{"sh", "-c", ticking(dir) + "\nsleep 1000"}, User: user, GraceMS: 100}
				if how == "timeout" {
					start.TimeoutMS = 400
				}
				d := s.ask(wire.Request{Op: wire.OpRun, Start: &start})
				s.await("all tick", func() bool {
					for _, n := range sizes(dir) {
						if n == 0 {
							return how == "timeout" && s.info().Running == 1
						}
					}
					return true
				})
				switch how {
				case "kill":
					s.do(wire.Request{Op: wire.OpSignal, Signal: &wire.Signal{ID: "victim", Signal: 9}})
				case "end":
					s.do(wire.Request{Op: wire.OpSignal, Signal: &wire.Signal{ID: "victim", GraceMS: 100}})
				case "disconnect":
					d.Close()
				}
				if how != "disconnect" {
					o := d.collect(nil)
					if o.exit == nil || o.exit.Signal == 0 || o.exit.TimedOut != (how == "timeout") || o.exit.OOM {
						t.Errorf("exit %+v %v", o.exit, o.err)
					}
				} else {
					s.await("it is gone", func() bool { return s.info().Running == 1 })
					s.await("its tree is gone", func() bool { return s.processes() == 1 })
				}
				before := sizes(dir)
				if n := s.processes(); n != 1 {
					t.Errorf("%d processes are left: %s", n, s.sh("ps axo pid,ppid,sid,stat,args"))
				}
				time.Sleep(100 * time.Millisecond) // they would tick ten times
				if after := sizes(dir); after != before {
					t.Errorf("something still ticks: %v, then %v", before, after)
				}
				if p := s.list()[other.ID]; p == nil || p.Exit != nil {
					t.Errorf("another run was hurt: %+v", p)
				}
			})
		}
	}
}

func TestSignalToTree(t *testing.T) {
	s := newSandbox(t)
	p := s.detach(wire.Start{Argv: []string{"sh", "-c",
		`setsid sh -c 'trap "echo inner; exit" USR1; echo up; while :; do sleep 0.01; done' & trap "echo outer; wait; exit 3" USR1; echo up; while :; do sleep 0.01; done`}})
	s.await("both are up", func() bool { return s.attach(wire.Attach{ID: p.ID}).stdout() == "up\nup\n" })
	s.do(wire.Request{Op: wire.OpSignal, Signal: &wire.Signal{ID: p.ID, Signal: int(unix.SIGUSR1), Tree: true}})
	if e := s.ended(p.ID); e.Code != 3 && e.Signal != int(unix.SIGUSR1) {
		t.Errorf("%+v", e)
	}
	o := s.attach(wire.Attach{ID: p.ID})
	if !strings.Contains(o.stdout(), "inner") || !strings.Contains(o.stdout(), "outer") {
		t.Errorf("%q", o.stdout())
	}
}

// SIGTERM reaches a process that is stopped.
func TestEndOfStopped(t *testing.T) {
	s := newSandbox(t)
	p := s.detach(wire.Start{Argv: []string{"sh", "-c", `trap "echo bye; exit 5" TERM; echo up; kill -STOP $$; while :; do sleep 0.01; done`}})
	s.await("it is stopped", func() bool {
		return strings.Contains(s.sh(fmt.Sprintf("cat /proc/%d/status", p.PID)), "State:\tT")
	})
	r := s.do(wire.Request{Op: wire.OpSignal, Signal: &wire.Signal{ID: p.ID, GraceMS: 10_000}})
	if r.Process.Exit == nil || r.Process.Exit.Code != 5 {
		t.Errorf("%+v", r.Process.Exit)
	}
}

// The grace is used in full by who needs it, and not waited out by who obeys.
func TestGrace(t *testing.T) {
	s := newSandbox(t)
	start := time.Now()
	o := s.run(wire.Start{Argv: []string{"sleep", "100"}, TimeoutMS: 100, GraceMS: 10_000})
	if took := time.Since(start); o.exit == nil || !o.exit.TimedOut || o.exit.Signal != int(unix.SIGTERM) || took > 5*time.Second {
		t.Errorf("exit %+v after %v", o.exit, took)
	}
	stubborn := s.helper("stubborn")
	stubborn.TimeoutMS, stubborn.GraceMS = 300, 400
	start = time.Now()
	o = s.run(stubborn)
	if took := time.Since(start); o.exit == nil || !o.exit.TimedOut || o.exit.Signal != int(unix.SIGKILL) || took < 700*time.Millisecond {
		t.Errorf("exit %+v after %v", o.exit, took)
	}
	if o.stdout() != "ready\n" {
		t.Errorf("the output of a run that timed out: %q", o.stdout())
	}
}

// A timeout holds when nobody is there any more.
func TestTimeoutWithoutClient(t *testing.T) {
	s := newSandbox(t)
	d := s.ask(wire.Request{Op: wire.OpRun, Start: &wire.Start{ID: "left", Argv: []string{"sleep", "1000"}, Keep: true, TimeoutMS: 300}})
	d.collect(func(k wire.Kind, o *outcome) bool { return k != wire.KindStarted })
	d.Close()
	if e := s.ended("left"); !e.TimedOut || e.Signal != int(unix.SIGTERM) {
		t.Errorf("%+v", e)
	}
}

func TestSoftTimeout(t *testing.T) {
	s := newSandbox(t)
	o := s.run(wire.Start{Argv: []string{"sh", "-c", "echo first; sleep 0.5; echo second; exit 6"}, SoftMS: 200})
	if o.exit == nil || !o.exit.Running || o.stdout() != "first\n" || o.exit.Stdout != 6 {
		t.Fatalf("exit %+v, %q", o.exit, o.stdout())
	}
	o = s.attach(wire.Attach{ID: o.started.ID, Stdout: o.exit.Stdout, Follow: true})
	o.mustExit(t, 6)
	if o.stdout() != "second\n" {
		t.Errorf("%q", o.stdout())
	}
	// One that ends in time ends as any other.
	o = s.run(wire.Start{Argv: []string{"sh", "-c", "exit 3"}, SoftMS: 10_000})
	o.mustExit(t, 3)
}

// A fork bomb is ended, with the sandbox's processes exhausted and while it
// goes on.
func TestForkBomb(t *testing.T) {
	s := newSandbox(t)
	bomb := s.helper("bomb")
	// RLIMIT_NPROC stands in for a pids cgroup.
	s.detach(wire.Start{ID: "bomb", User: "4242", Argv: bomb.Argv, Env: bomb.Env,
		Rlimits: []wire.Rlimit{{Name: "nproc", Soft: 500, Hard: 500}}})
	s.await("it has filled its limit", func() bool { return s.processes() > 350 })
	start := time.Now()
	s.do(wire.Request{Op: wire.OpSignal, Signal: &wire.Signal{ID: "bomb", Signal: 9}})
	t.Logf("ended in %v", time.Since(start))
	s.await("nothing is left", func() bool { return s.processes() == 0 })
}

// With the pids cgroup full, thread and process alike, the agent answers,
// says what is wrong, and ends what fills it.
func TestPidsExhausted(t *testing.T) {
	group := "/sys/fs/cgroup/pids/pocketdock-test-" + strconv.Itoa(os.Getpid())
	if os.Mkdir(group, 0o755) != nil {
		t.Skip("no pids cgroup can be made here")
	}
	t.Cleanup(func() { os.Remove(group) })
	s := newSandbox(t)
	if err := os.WriteFile(group+"/cgroup.procs", []byte(strconv.Itoa(s.cmd.Process.Pid)), 0); err != nil {
		t.Skip(err)
	}
	os.WriteFile(group+"/pids.max", []byte("100"), 0)
	bomb := s.helper("bomb")
	s.detach(wire.Start{ID: "bomb", User: "4242", Argv: bomb.Argv, Env: bomb.Env})
	full := func() bool {
		b, _ := os.ReadFile(group + "/pids.current")
		n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		return n >= 98
	}
	s.await("all processes are taken", full)
	refused := 0
	for range 50 {
		if o := s.run(wire.Start{Argv: []string{"true"}}); o.failure != nil {
			if o.failure.Code != wire.CodeResource {
				t.Fatalf("%+v", o.failure)
			}
			refused++
		}
		s.info()
	}
	if refused == 0 {
		t.Error("every command found a free process")
	}
	// Many at once, so that the agent would want threads.
	done := make(chan bool)
	for range 40 {
		go func() {
			s.try(wire.Request{Op: wire.OpReadDir, File: &wire.File{Path: "/usr", Depth: 3}})
			done <- true
		}()
	}
	for range 40 {
		<-done
	}
	start := time.Now()
	s.do(wire.Request{Op: wire.OpSignal, Signal: &wire.Signal{ID: "bomb", Signal: 9}})
	t.Logf("%d of 50 refused; ended in %v", refused, time.Since(start))
	s.await("commands run again", func() bool { return s.run(wire.Start{Argv: []string{"true"}}).exit != nil })
}

// A command that stops all of its user's processes in a loop meets children of
// the agent between setuid and exec; that must not stop the agent.
func TestStopperInALoop(t *testing.T) {
	s := newSandbox(t)
	d := s.ask(wire.Request{Op: wire.OpRun, Start: &wire.Start{ID: "stopper", User: "4242",
		Argv: []string{"sh", "-c", "while :; do kill -STOP -1; done 2>/dev/null"}}})
	go d.collect(nil)
	for range 300 {
		d := s.ask(wire.Request{Op: wire.OpRun, Start: &wire.Start{User: "4242", Argv: []string{"true"}, TimeoutMS: 20, GraceMS: 1}})
		if o := d.collect(nil); o.exit == nil {
			t.Fatalf("%+v %v", o.failure, o.err)
		}
		d.Close()
	}
	s.do(wire.Request{Op: wire.OpSignal, Signal: &wire.Signal{ID: "stopper", Signal: 9}})
	s.run(wire.Start{User: "4242", Argv: []string{"true"}}).mustExit(t, 0)
}

// No orphan stays a zombie.
func TestZombies(t *testing.T) {
	n := 18_000
	if testing.Short() || raceEnabled {
		n = 1000
	}
	s := newSandbox(t)
	s.sh(fmt.Sprintf(`i=0; while [ $i -lt %d ]; do (true &); i=$((i+1)); done`, n))
	s.await("all are reaped", func() bool { return s.processes() == 0 })
	// Orphans without any run: nothing else wakes the reaper.
	s.sh(`(setsid sh -c 'sleep 0.2; (sleep 0.1 &) ; exit' &)`)
	s.await("late orphans are reaped", func() bool { return s.processes() == 0 })
}

// An orphan of an exec of the engine's, which the agent has not started, is
// reaped when no child of the agent's own runs.
func TestForeignOrphan(t *testing.T) {
	s := newSandbox(t)
	s.sh("true")
	time.Sleep(1200 * time.Millisecond) // the reaper's way of waiting changes after a second
	out, err := runIn(s.cmd.Process.Pid, "sh", "-c", "(sleep 0.05 & ) ; (sleep 0.3 &) ; true")
	if err != nil {
		t.Skip(err, out)
	}
	s.await("both are reaped", func() bool {
		_, err := os.ReadDir(fmt.Sprintf("/proc/%d/root/proc", s.cmd.Process.Pid))
		return err == nil && len(pidsIn(s)) == 1
	})
}

// pidsIn lists the sandbox's processes without a run in it.
func pidsIn(s *sandbox) (pids []string) {
	names, _ := os.ReadDir(fmt.Sprintf("/proc/%d/root/proc", s.cmd.Process.Pid))
	for _, n := range names {
		if _, err := strconv.Atoi(n.Name()); err == nil {
			pids = append(pids, n.Name())
		}
	}
	return pids
}

func TestGroupPool(t *testing.T) {
	const first, last = 1_000_000, 1_000_999 // nobody on this machine has them
	g := groupPool{first: first, last: last}
	avoid := []uint32{first + 1, first + 2, last}
	given := map[uint32]bool{}
	var ended []*mark
	for range last - first + 1 - len(avoid) {
		m := &mark{}
		gid := g.take(m, avoid)
		if gid < first || gid > last || given[gid] || slices.Contains(avoid, gid) {
			t.Fatalf("group %d", gid)
		}
		given[gid] = true
		ended = append(ended, m)
	}
	next := &mark{}
	if gid := g.take(next, avoid); gid != 0 {
		t.Fatalf("all are taken, and there is still %d", gid)
	}
	ended[7].ended.Store(true) // nothing of it is left: its group is free in the next lap
	was := ended[7].gid.Load()
	if gid := g.take(next, avoid); gid != was {
		t.Errorf("group %d, want that of the ended run, %d", gid, was)
	}
	if ended[7].gid.Load() != 0 {
		t.Error("an ended run keeps a group that another has now")
	}
}

func TestParseStat(t *testing.T) {
	st, ok := parseStat(7, []byte("7 (a) b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99 20 21"))
	if !ok || st.ppid != 1 || st.group != 2 || st.session != 3 || st.start != 99 {
		t.Errorf("%+v %v", st, ok)
	}
	if _, ok := parseStat(7, []byte("7 (x R 1")); ok {
		t.Error("a stat without an end was read")
	}
}
