//go:build linux

package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// The tests run the agent as what it is: PID 1 of a PID namespace with its
// own /proc, as root with the capabilities that a container leaves it. Under
// the race detector that is the test binary; else the real one, which is
// linked without cgo and so can harden itself.

// Roles of the test binary, by environment.
const (
	roleVar    = "POCKETDOCK_AGENT_TEST_ROLE"
	roleInit   = "init"   // new namespaces: mount /proc, drop capabilities, run the agent
	roleHelper = "helper" // a command of a test
)

var (
	agentBinary  string // the real one, if it is used
	helperBinary string
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "exec" { // the agent's shim, as its own binary
		os.Exit(Main(os.Args[1:]))
	}
	switch role := os.Getenv(roleVar); role {
	case roleInit:
		os.Exit(becomeInit())
	case roleHelper:
		os.Unsetenv(roleVar)
		os.Exit(helper(os.Args[1:]))
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Println("SKIP: the agent's tests need root, for namespaces")
		return 0
	}
	dir, err := os.MkdirTemp("", "agent-test")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	// A copy of this binary that every user may execute.
	helperBinary = filepath.Join(dir, "helper")
	exe, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(helperBinary, exe, 0o755)
	}
	if err != nil {
		panic(err)
	}
	if !raceEnabled {
		agentBinary = filepath.Join(dir, "pocketdock-agent")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", agentBinary, "../cmd/pocketdock-agent")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Printf("building the agent: %v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}

// agentCaps are what a container of ours leaves its PID 1.
var agentCaps = []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "SETPCAP"}

func becomeInit() int {
	die := func(what string, err error) int {
		fmt.Fprintln(os.Stderr, "test init:", what, err)
		return 99
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return die("make mounts private", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return die("mount /proc", err)
	}
	if group := os.Getenv("TEST_CGROUP"); group != "" {
		if err := os.WriteFile(group+"/cgroup.procs", []byte("0"), 0); err != nil {
			return die("enter the cgroup", err)
		}
	}
	for _, m := range strings.Fields(os.Getenv("TEST_TMPFS")) { // path=size
		path, size, _ := strings.Cut(m, "=")
		if err := unix.Mount("tmpfs", path, "tmpfs", 0, "mode=777,size="+size); err != nil {
			return die("mount tmpfs", err)
		}
	}
	names := agentCaps
	if more := os.Getenv("TEST_CAPS"); more != "" {
		names = append(names, strings.Fields(more)...)
	}
	keep, bad := parseCaps(names, ^capSet(0))
	if bad != "" {
		return die("capability", errors.New(bad))
	}
	config := os.Getenv("TEST_CONFIG")
	mode := os.Getenv("TEST_MODE")
	blocked := os.Getenv("TEST_BLOCKED") != ""
	for _, name := range []string{roleVar, "TEST_TMPFS", "TEST_CAPS", "TEST_CONFIG", "TEST_MODE", "TEST_CGROUP", "TEST_BLOCKED"} {
		os.Unsetenv(name)
	}
	if blocked {
		runtime.LockOSThread()
		all := unix.Sigset_t{}
		for i := range all.Val {
			all.Val[i] = ^uint64(0)
		}
		unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil)
	}
	if agentBinary := os.Getenv("TEST_BINARY"); agentBinary != "" {
		os.Unsetenv("TEST_BINARY")
		if _, err := dropTo(keep); err != nil {
			return die("drop capabilities", err)
		}
		err := syscall.Exec(agentBinary, []string{"pocketdock-agent", mode, config}, os.Environ())
		return die("exec", err)
	}
	unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil) // Main would execute this binary anew
	return Main([]string{mode, config})
}

// dropTo bounds this thread, and what it executes, to these capabilities.
func dropTo(keep capSet) (capSet, error) {
	for c := range capabilityNames {
		if !keep.has(c) {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && err != unix.EINVAL {
				return 0, err
			}
		}
	}
	return keep, nil
}

// A sandbox is an agent under test.
type sandbox struct {
	t      testing.TB
	dir    string
	conf   wire.Config
	cmd    *exec.Cmd
	stderr *bytes.Buffer
	done   chan struct{}
}

type option func(*sandbox)

func withCaps(names ...string) option {
	return func(s *sandbox) { s.cmd.Env = append(s.cmd.Env, "TEST_CAPS="+strings.Join(names, " ")) }
}

func withTmpfs(size string) option {
	return func(s *sandbox) { s.cmd.Env = append(s.cmd.Env, "TEST_TMPFS="+s.dir+"="+size) }
}

func withConfig(change func(*wire.Config)) option {
	return func(s *sandbox) { change(&s.conf) }
}

func withEnv(env ...string) option {
	return func(s *sandbox) { s.cmd.Env = append(s.cmd.Env, env...) }
}

func inCgroup(group string) option {
	return func(s *sandbox) { s.cmd.Env = append(s.cmd.Env, "TEST_CGROUP="+group) }
}

// withFewIDs puts the agent into a user namespace with so many users and
// groups.
func withFewIDs(n int) option {
	return func(s *sandbox) {
		a := s.cmd.SysProcAttr
		a.Cloneflags |= syscall.CLONE_NEWUSER
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: n}}
		a.UidMappings, a.GidMappings, a.GidMappingsEnableSetgroups = ids, ids, true
	}
}

// inDir uses a directory that an earlier sandbox had.
func inDir(dir string) option {
	return func(s *sandbox) { s.dir = dir; s.conf.Socket = filepath.Join(dir, "agent.sock") }
}

func tempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "sandbox")
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir, 0o777)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// newSandbox starts an agent and waits until it answers.
func newSandbox(t testing.TB, options ...option) *sandbox {
	t.Helper()
	s := &sandbox{t: t, stderr: &bytes.Buffer{}, done: make(chan struct{})}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(self)
	s.cmd.Env = append(os.Environ(), roleVar+"="+roleInit, "TEST_MODE=init", "TEST_BINARY="+agentBinary)
	s.cmd.Stderr = s.stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	inDir(tempDir(t))(s)
	for _, o := range options {
		o(s)
	}
	config, err := json.Marshal(s.conf)
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Env = append(s.cmd.Env, "TEST_CONFIG="+string(config))
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(func() {
		s.kill()
		if said := s.stderr.String(); strings.Contains(said, "DATA RACE") || strings.Contains(said, "goroutine ") {
			t.Errorf("a race or a panic in the agent")
		}
		if t.Failed() && s.stderr.Len() > 0 {
			t.Logf("the agent said:\n%.200000s", s.stderr)
		}
	})
	if conf := s.conf; conf.TTLMS == 0 {
		s.await("the agent answers", func() bool {
			select {
			case <-s.done:
				t.Fatalf("the agent ended: %v\n%s", s.cmd.ProcessState, s.stderr)
			default:
			}
			c, err := net.Dial("unix", s.path())
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	return s
}

// path is the socket as seen from the test, also when a mount of the
// sandbox's namespace hides it.
func (s *sandbox) path() string {
	return fmt.Sprintf("/proc/%d/root%s", s.cmd.Process.Pid, s.conf.Socket)
}

func (s *sandbox) kill() {
	s.cmd.Process.Kill()
	<-s.done
}

// stop ends the agent as an engine does and returns its exit code.
func (s *sandbox) stop() int {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.wait()
	return s.cmd.ProcessState.ExitCode()
}

func (s *sandbox) wait() {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		s.t.Fatal("the agent does not end")
	}
}

// await polls until ok.
func (s *sandbox) await(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for pause := time.Millisecond; !ok(); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("timed out: %s", what)
		}
		time.Sleep(pause)
	}
}

// A dialog is one operation, from the client's side.
type dialog struct {
	*net.UnixConn
	t testing.TB
	r *wire.Reader
	w *wire.Writer
}

func (s *sandbox) dial() *dialog {
	s.t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.path(), Net: "unix"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return &dialog{c, s.t, wire.NewReader(c), wire.NewWriter(c)}
}

func (s *sandbox) ask(req wire.Request) *dialog {
	s.t.Helper()
	d := s.dial()
	d.ask(req)
	return d
}

func (d *dialog) ask(req wire.Request) {
	d.t.Helper()
	req.Version = wire.Version
	if err := d.w.JSON(wire.KindRequest, req); err != nil {
		d.t.Fatal(err)
	}
}

// outcome is all that came of an operation.
type outcome struct {
	started *wire.Process
	out     [2]bytes.Buffer
	gaps    []wire.Gap
	entries []wire.Entry
	exit    *wire.Exit
	reply   *wire.Reply
	failure *wire.Error
	err     error // of the connection, before its proper end
}

func (o *outcome) stdout() string { return o.out[stdout].String() }
func (o *outcome) stderr() string { return o.out[stderr].String() }

// collect reads until the operation ends. each, if not nil, sees every frame
// first and ends it by returning false.
func (d *dialog) collect(each func(k wire.Kind, o *outcome) bool) *outcome {
	o := &outcome{}
	d.SetReadDeadline(time.Now().Add(60 * time.Second))
	for {
		k, _, err := d.r.Header()
		if err != nil {
			o.err = err
			return o
		}
		switch k {
		case wire.KindStarted:
			err = d.r.JSON(&o.started)
		case wire.KindStdout:
			_, err = io.Copy(&o.out[stdout], d.r)
		case wire.KindStderr:
			_, err = io.Copy(&o.out[stderr], d.r)
		case wire.KindGap:
			var g wire.Gap
			err = d.r.JSON(&g)
			o.gaps = append(o.gaps, g)
		case wire.KindEntry:
			var e wire.Entry
			err = d.r.JSON(&e)
			o.entries = append(o.entries, e)
		case wire.KindExit:
			err = d.r.JSON(&o.exit)
		case wire.KindReply:
			err = d.r.JSON(&o.reply)
		case wire.KindFailure:
			err = d.r.JSON(&o.failure)
		default:
			err = fmt.Errorf("frame %q", byte(k))
		}
		if err != nil {
			o.err = err
			return o
		}
		if each != nil && !each(k, o) {
			return o
		}
		if o.exit != nil || o.reply != nil || o.failure != nil {
			return o
		}
	}
}

// run runs a command to its end.
func (s *sandbox) run(start wire.Start) *outcome {
	s.t.Helper()
	d := s.ask(wire.Request{Op: wire.OpRun, Start: &start})
	defer d.Close()
	return d.collect(nil)
}

// sh runs a shell command that must succeed, and returns its output.
func (s *sandbox) sh(script string) string {
	s.t.Helper()
	o := s.run(wire.Start{Argv: []string{"sh", "-c", script}})
	o.mustExit(s.t, 0)
	return o.stdout()
}

// do is an operation that must be answered by a reply.
func (s *sandbox) do(req wire.Request) *wire.Reply {
	s.t.Helper()
	o := s.try(req)
	if o.reply == nil {
		s.t.Fatalf("%s: %+v %v", req.Op, o.failure, o.err)
	}
	return o.reply
}

func (s *sandbox) try(req wire.Request) *outcome {
	s.t.Helper()
	d := s.ask(req)
	defer d.Close()
	return d.collect(nil)
}

func (s *sandbox) detach(start wire.Start) *wire.Process {
	s.t.Helper()
	start.Detach = true
	return s.do(wire.Request{Op: wire.OpRun, Start: &start}).Process
}

func (s *sandbox) attach(at wire.Attach) *outcome {
	s.t.Helper()
	d := s.ask(wire.Request{Op: wire.OpAttach, Attach: &at})
	defer d.Close()
	return d.collect(nil)
}

func (s *sandbox) list() map[string]*wire.Process {
	s.t.Helper()
	m := map[string]*wire.Process{}
	for _, e := range s.try(wire.Request{Op: wire.OpList}).entries {
		m[e.Process.ID] = e.Process
	}
	return m
}

func (s *sandbox) info() *wire.Info {
	s.t.Helper()
	return s.do(wire.Request{Op: wire.OpInfo}).Info
}

// ended waits for the end of a process with a log.
func (s *sandbox) ended(id string) *wire.Exit {
	s.t.Helper()
	o := s.attach(wire.Attach{ID: id, Follow: true, Quiet: true})
	if o.exit == nil || o.exit.Running {
		s.t.Fatalf("process %s: %+v %+v %v", id, o.exit, o.failure, o.err)
	}
	return o.exit
}

func (o *outcome) mustExit(t testing.TB, code int) {
	t.Helper()
	if o.exit == nil || o.exit.Code != code || o.exit.Running || o.exit.Lost {
		t.Fatalf("exit %+v, failure %+v, err %v, stderr %q; want code %d", o.exit, o.failure, o.err, o.stderr(), code)
	}
}

// self is the argv of a helper, see [helper]. It is the test binary.
func self(args ...string) (argv, env []string) {
	return append([]string{helperBinary}, args...), []string{roleVar + "=" + roleHelper}
}

func (s *sandbox) helper(args ...string) wire.Start {
	argv, env := self(args...)
	return wire.Start{Argv: argv, Env: env}
}
