//go:build linux

package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// sumOf is the SHA-256 of n bytes of a pattern.
func sumOf(seed byte, n int64) [sha256.Size]byte {
	h := sha256.New()
	io.Copy(h, io.LimitReader(&pattern{seed: seed}, n))
	return [sha256.Size]byte(h.Sum(nil))
}

func TestExitCodes(t *testing.T) {
	s := newSandbox(t)
	for code := range 256 {
		o := s.run(wire.Start{Argv: []string{"sh", "-c", fmt.Sprintf("exit %d", code)}})
		o.mustExit(t, code)
		if o.exit.Signal != 0 || o.exit.TimedOut || o.exit.OOM {
			t.Fatalf("exit %+v", o.exit)
		}
	}
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL, unix.SIGSEGV, unix.SIGHUP, unix.SIGUSR1} {
		o := s.run(wire.Start{Argv: []string{"sh", "-c", fmt.Sprintf("kill -%d $$", sig)}})
		o.mustExit(t, 128+int(sig))
		if o.exit.Signal != int(sig) || o.exit.OOM {
			t.Fatalf("signal %d: exit %+v", sig, o.exit)
		}
	}
}

func TestOutputIsExact(t *testing.T) {
	size := int64(100 << 20)
	if testing.Short() || raceEnabled {
		size = 10 << 20
	}
	s := newSandbox(t)
	for _, keep := range []bool{false, true} {
		start := s.helper("both", fmt.Sprint(size))
		start.Keep = keep
		d := s.ask(wire.Request{Op: wire.OpRun, Start: &start})
		sums := [2]io.Writer{}
		hashes := [2]interface{ Sum([]byte) []byte }{}
		var n [2]int64
		for i := range sums {
			h := sha256.New()
			sums[i], hashes[i] = h, h
		}
		o := d.collect(func(k wire.Kind, o *outcome) bool {
			for i := range o.out {
				m, _ := o.out[i].WriteTo(sums[i])
				n[i] += m
			}
			return true
		})
		d.Close()
		o.mustExit(t, 0)
		if len(o.gaps) > 0 {
			t.Fatalf("keep %v: gaps %v", keep, o.gaps)
		}
		for i, total := range []int64{o.exit.Stdout, o.exit.Stderr} {
			want := sumOf(byte(i), size)
			if n[i] != size || total != size || !bytes.Equal(hashes[i].Sum(nil), want[:]) {
				t.Errorf("keep %v, stream %d: %d bytes of %d, exit says %d, right sum: %v",
					keep, i, n[i], size, total, bytes.Equal(hashes[i].Sum(nil), want[:]))
			}
		}
	}
}

func TestLastLineWithoutNewline(t *testing.T) {
	s := newSandbox(t)
	for range 100 {
		o := s.run(wire.Start{Argv: []string{"printf", `a\nb\377\303`}})
		o.mustExit(t, 0)
		if o.stdout() != "a\nb\xff\xc3" || o.exit.Stdout != 5 {
			t.Fatalf("%q, exit %+v", o.stdout(), o.exit)
		}
	}
}

func TestSmallWritesArriveAtOnce(t *testing.T) {
	s := newSandbox(t)
	for _, keep := range []bool{false, true} {
		// The command goes on only when its output was seen.
		d := s.ask(wire.Request{Op: wire.OpRun, Start: &wire.Start{
			Argv: []string{"sh", "-c", "for i in 1 2 3 4 5; do echo $i; read x; done"}, Stdin: true, Keep: keep}})
		o := d.collect(func(k wire.Kind, o *outcome) bool {
			if k == wire.KindStdout {
				d.w.Frame(wire.KindData, []byte("x\n"))
			}
			return true
		})
		o.mustExit(t, 0)
		if o.stdout() != "1\n2\n3\n4\n5\n" {
			t.Errorf("%q", o.stdout())
		}
	}
}

func TestStdin(t *testing.T) {
	s := newSandbox(t)
	size := int64(8 << 20)
	start := s.helper("sum")
	start.Stdin = true
	d := s.ask(wire.Request{Op: wire.OpRun, Start: &start})
	go func() {
		buf := make([]byte, 100_000)
		src := io.LimitReader(&pattern{}, size)
		for {
			n, err := src.Read(buf)
			if n > 0 && d.w.Frame(wire.KindData, buf[:n]) != nil {
				return
			}
			if err != nil {
				d.w.Frame(wire.KindEnd, nil)
				return
			}
		}
	}()
	o := d.collect(nil)
	o.mustExit(t, 0)
	if want := fmt.Sprintf("%d %x\n", size, sumOf(0, size)); o.stdout() != want {
		t.Errorf("got %q, want %q", o.stdout(), want)
	}
}

func TestStdinIsNullByDefault(t *testing.T) {
	s := newSandbox(t)
	o := s.run(wire.Start{Argv: []string{"cat"}})
	o.mustExit(t, 0)
}

// A command that does not read must not keep the client from sending, nor the
// agent from seeing that the client has gone.
func TestStdinNotRead(t *testing.T) {
	s := newSandbox(t)
	d := s.ask(wire.Request{Op: wire.OpRun, Start: &wire.Start{Argv: []string{"sh", "-c", "exec <&-; sleep 0.1; exit 7"}, Stdin: true}})
	go func() {
		for range 100 {
			if d.w.Frame(wire.KindData, make([]byte, 100_000)) != nil {
				return
			}
		}
	}()
	o := d.collect(nil)
	o.mustExit(t, 7)

	d = s.ask(wire.Request{Op: wire.OpRun, Start: &wire.Start{ID: "deaf", Argv: []string{"sleep", "1000"}, Stdin: true}})
	d.collect(func(k wire.Kind, o *outcome) bool { return k != wire.KindStarted })
	d.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	for d.w.Frame(wire.KindData, make([]byte, 100_000)) == nil {
	}
	d.Close()
	s.await("the command is killed", func() bool { return s.info().Running == 0 })
}

func TestNoDescriptorsLeak(t *testing.T) {
	s := newSandbox(t)
	held := s.ask(wire.Request{Op: wire.OpRun, Start: &wire.Start{Argv: []string{"sleep", "100"}, Stdin: true}})
	defer held.Close()
	o := s.run(s.helper("fds"))
	o.mustExit(t, 0)
	list := strings.Fields(strings.Trim(o.stdout(), "[]\n"))
	list = slices.DeleteFunc(list, func(fd string) bool { // of the helper's own Go runtime
		return strings.Contains(fd, "eventpoll") || strings.Contains(fd, "eventfd") || strings.Contains(fd, "/sys/fs/cgroup/")
	})
	if len(list) != 3 {
		t.Errorf("a command has descriptors %v", list)
	}
}

// Also if the agent itself was started with all signals blocked.
func TestSessionAndSignalsAreFresh(t *testing.T) {
	s := newSandbox(t, withEnv("TEST_BLOCKED=1"))
	if raceEnabled {
		s = newSandbox(t) // the agent does not execute the test's binary anew
	}
	// Executed, not a child: sh blocks signals until its fork is over.
	out := s.sh(`exec grep -E '^(SigBlk|SigIgn|NSpgid|NSsid|NSpid)' /proc/self/status`)
	f := map[string]string{}
	for line := range strings.Lines(out) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), ":")
		f[k] = strings.TrimSpace(v)
	}
	if f["SigBlk"] != "0000000000000000" || f["SigIgn"] != "0000000000000000" {
		t.Errorf("signals are blocked or ignored: %v", f)
	}
	if f["NSpid"] != f["NSsid"] || f["NSpid"] != f["NSpgid"] {
		t.Errorf("no session of its own: %v", f)
	}
}

// Children in the background keep the output open; the run ends all the same,
// and they live on.
// TestSignalsDoNotEndIt: those whose default it is to end or stop a process.
func TestSignalsDoNotEndIt(t *testing.T) {
	signal.Ignore(unix.SIGHUP) // as nohup does, for the agent, too
	s := newSandbox(t)
	signal.Reset(unix.SIGHUP)
	for sig := unix.Signal(1); sig < 32; sig++ {
		switch sig {
		case unix.SIGKILL, unix.SIGSTOP: // nobody can
			continue
		case unix.SIGTERM, unix.SIGINT: // which are to end it
			continue
		}
		if err := unix.Kill(s.cmd.Process.Pid, sig); err != nil {
			t.Fatal(err)
		}
		if s.info(); t.Failed() {
			t.Fatalf("signal %d", sig)
		}
	}
	if got := s.sh(`grep ^SigIgn /proc/self/status`); got != "SigIgn:\t0000000000000000\n" {
		t.Errorf("a child ignores signals: %q", got)
	}
}

func TestBackgroundChild(t *testing.T) {
	s := newSandbox(t)
	for _, keep := range []bool{false, true} {
		start := time.Now()
		o := s.run(wire.Start{Argv: []string{"sh", "-c", "(sleep 0.3; echo late; exec sleep 77) & echo early"}, Keep: keep})
		o.mustExit(t, 0)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("the run took %v", took)
		}
		if o.stdout() != "early\n" || o.exit.Stdout != 6 {
			t.Errorf("%q, exit %+v", o.stdout(), o.exit)
		}
		s.await("the child got over its late write", func() bool {
			return strings.Contains(s.sh("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"), "sleep 77")
		})
		if keep {
			s.await("the late write is in the log", func() bool {
				at := s.attach(wire.Attach{ID: o.started.ID})
				return at.stdout() == "early\nlate\n"
			})
		}
		s.sh("kill -9 $(grep -l 'sleep' /proc/[0-9]*/comm | cut -d/ -f3) 2>/dev/null; true")
	}
}

// What the first process wrote before its end is sent whole, however slowly
// the client reads and though a child holds the pipe.
func TestSlowReaderGetsAll(t *testing.T) {
	s := newSandbox(t)
	d := s.ask(wire.Request{Op: wire.OpRun, Start: &wire.Start{
		Argv: []string{"sh", "-c", "sleep 5 & head -c 1500000 /dev/zero"}}})
	first := true
	o := d.collect(func(k wire.Kind, o *outcome) bool {
		if k == wire.KindStdout && first {
			first = false
			time.Sleep(1500 * time.Millisecond) // a client that is slow, not a wait for something
		}
		return true
	})
	o.mustExit(t, 0)
	if o.out[stdout].Len() != 1500000 || o.exit.Stdout != 1500000 {
		t.Errorf("%d bytes, exit %+v", o.out[stdout].Len(), o.exit)
	}
	s.run(wire.Start{Argv: []string{"sh", "-c", "kill -9 -1"}})
}

func TestNotStarted(t *testing.T) {
	s := newSandbox(t)
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	os.WriteFile(dir+"/plain", []byte("x"), 0o644)
	os.WriteFile(dir+"/garbage", []byte("\x00\x01garbage"), 0o755)
	os.WriteFile(dir+"/orphan", []byte("#!/nonexistent/interpreter\n"), 0o755)
	os.Mkdir(dir+"/closed", 0o700)
	os.Mkdir(dir+"/bin", 0o755)
	os.Mkdir(dir+"/bin/true", 0o755)
	os.WriteFile(dir+"/closed/prog", []byte("#!/bin/sh\n"), 0o755)
	for _, c := range []struct {
		name  string
		start wire.Start
		code  string
		path  string
		says  string
	}{
		{"no argv", wire.Start{}, wire.CodeInvalid, "", "argv"},
		{"empty name", wire.Start{Argv: []string{""}}, wire.CodeInvalid, "", ""},
		{"bad ID", wire.Start{ID: "../x", Argv: []string{"true"}}, wire.CodeInvalid, "", "ID"},
		{"not in PATH", wire.Start{Argv: []string{"no-such-command"}}, wire.CodeNotCommand, "no-such-command", "no-such-command"},
		{"no such file", wire.Start{Argv: []string{"/no/such"}}, wire.CodeNotCommand, "/no/such", "/no/such"},
		{"relative, not there", wire.Start{Argv: []string{"./x"}, Dir: dir}, wire.CodeNotCommand, "./x", ""},
		{"not executable", wire.Start{Argv: []string{dir + "/plain"}}, wire.CodeNotExec, dir + "/plain", "plain"},
		{"a directory", wire.Start{Argv: []string{dir}}, wire.CodeNotExec, dir, ""},
		{"a format nobody knows", wire.Start{Argv: []string{dir + "/garbage"}}, wire.CodeNotExec, "", ""},
		{"no interpreter", wire.Start{Argv: []string{dir + "/orphan"}}, wire.CodeNotExec, "", "interpreter"},
		{"not for this user", wire.Start{Argv: []string{dir + "/closed/prog"}, User: "1234"}, wire.CodeNotExec, "", ""},
		{"no such directory", wire.Start{Argv: []string{"true"}, Dir: "/no/dir"}, wire.CodeNotFound, "/no/dir", "/no/dir"},
		{"no such directory nor command", wire.Start{Argv: []string{"no-such"}, Dir: "/no/dir"}, wire.CodeNotFound, "/no/dir", ""},
		{"directory is a file", wire.Start{Argv: []string{"true"}, Dir: dir + "/plain"}, wire.CodeNotDir, dir + "/plain", ""},
		{"directory of others", wire.Start{Argv: []string{"true"}, Dir: dir + "/closed", User: "1234"}, wire.CodePermission, dir + "/closed", ""},
		{"unknown user", wire.Start{Argv: []string{"true"}, User: "nobody-here"}, wire.CodeInvalid, "", "nobody-here"},
		{"unknown group", wire.Start{Argv: []string{"true"}, User: "0:nogroup-here"}, wire.CodeInvalid, "", "nogroup-here"},
		{"unknown capability", wire.Start{Argv: []string{"true"}, Caps: []string{"NET_ADMIN"}}, wire.CodeInvalid, "", "NET_ADMIN"},
		{"unknown rlimit", wire.Start{Argv: []string{"true"}, Rlimits: []wire.Rlimit{{Name: "x"}}}, wire.CodeInvalid, "", "x"},
		{"arguments too long", wire.Start{Argv: []string{"true", strings.Repeat("x", 200<<10)}}, wire.CodeInvalid, "", "too long"},
		{"log too large", wire.Start{Argv: []string{"true"}, LogLimit: 1 << 40}, wire.CodeInvalid, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := s.run(c.start)
			if o.failure == nil {
				t.Fatalf("no failure: exit %+v, err %v", o.exit, o.err)
			}
			if o.failure.Code != c.code || c.path != "" && string(o.failure.Path) != c.path || !strings.Contains(o.failure.Message, c.says) {
				t.Errorf("%+v", o.failure)
			}
		})
	}
	if n := s.info().Running; n != 0 {
		t.Errorf("%d run", n)
	}
	if l := s.list(); len(l) != 0 {
		t.Errorf("list %v", l)
	}
	// The search goes on past what cannot be executed.
	o := s.run(wire.Start{Argv: []string{"true"}, Env: []string{"PATH=" + dir + "/bin:bin:/usr/bin"}, Dir: dir})
	o.mustExit(t, 0)
	// A PATH entry may be relative to the working directory.
	os.WriteFile(dir+"/bin/here", []byte("#!/bin/sh\necho here\n"), 0o755)
	o = s.run(wire.Start{Argv: []string{"here"}, Env: []string{"PATH=bin"}, Dir: dir})
	o.mustExit(t, 0)
}

func TestSameIDTwice(t *testing.T) {
	s := newSandbox(t)
	s.detach(wire.Start{ID: "one", Argv: []string{"sleep", "100"}})
	o := s.run(wire.Start{ID: "one", Argv: []string{"true"}})
	if o.failure == nil || o.failure.Code != wire.CodeExists {
		t.Errorf("%+v", o.failure)
	}
}

func TestEnvironment(t *testing.T) {
	s := newSandbox(t, withEnv("FROM_CONTAINER=1", "GONE=1", "HOME=/root"), withConfig(func(c *wire.Config) { c.Dir = "/usr" }))
	o := s.run(wire.Start{Argv: []string{"sh", "-c", "env; pwd"}, User: "nobody",
		Env: []string{"A=1", "A=2", "GONE", "EMPTY=", "EQ=a=b"}})
	o.mustExit(t, 0)
	lines := strings.Split(o.stdout(), "\n")
	for _, want := range []string{"FROM_CONTAINER=1", "A=2", "EMPTY=", "EQ=a=b", "HOME=/nonexistent", "USER=nobody", "LOGNAME=nobody", "/usr"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in %q", want, o.stdout())
		}
	}
	for _, line := range lines {
		if strings.HasPrefix(line, "GONE") || line == "A=1" {
			t.Errorf("line %q", line)
		}
	}
}

// TestPodmansTerminal: the TERM that Podman puts into every container is not
// for commands without a terminal.
func TestPodmansTerminal(t *testing.T) {
	for engine, want := range map[string]string{"container=podman": "[] [xterm-256color]", "container=other": "[xterm] [xterm]"} {
		s := newSandbox(t, withEnv(engine, "TERM=xterm"))
		got := ""
		for _, size := range []*wire.Size{nil, {Rows: 24, Cols: 80}} {
			o := s.run(wire.Start{Argv: []string{"sh", "-c", "echo [$TERM]"}, TTY: size})
			o.mustExit(t, 0)
			got += " " + strings.TrimSpace(o.stdout())
		}
		if strings.TrimSpace(got) != want {
			t.Errorf("%s: %s, want %s", engine, got, want)
		}
	}
}

func TestMissingDefaultDirectory(t *testing.T) {
	s := newSandbox(t, withConfig(func(c *wire.Config) { c.Dir = "/not/there" }))
	if out := s.sh("pwd"); out != "/\n" {
		t.Errorf("%q", out)
	}
}

func TestUsers(t *testing.T) {
	s := newSandbox(t)
	id := func(user string) string {
		o := s.run(wire.Start{Argv: []string{"sh", "-c", "id -u; id -g; id -G"}, User: user})
		o.mustExit(t, 0)
		f := strings.Fields(o.stdout())
		f = slices.DeleteFunc(f, func(g string) bool { return len(g) == 5 && g[0] == '5' }) // the tree's mark
		return strings.Join(f, " ")
	}
	for user, want := range map[string]string{
		"":              "0 0 0",
		"root":          "0 0 0",
		"nobody":        "65534 65534 65534",
		"1234":          "1234 0 0",
		"1234:4321":     "1234 4321 4321",
		"nobody:daemon": "65534 1 1",
		"1:0":           "1 0 0",
	} {
		if got := id(user); got != want {
			t.Errorf("user %q: %q, want %q", user, got, want)
		}
	}
}

func TestCommandsHaveNoPrivileges(t *testing.T) {
	if raceEnabled {
		t.Skip("with cgo an agent cannot harden itself")
	}
	s := newSandbox(t, withCaps("NET_RAW", "SYS_CHROOT"), withConfig(func(c *wire.Config) { c.Caps = []string{"NET_RAW"} }))
	status := func(start wire.Start) map[string]string {
		start.Argv = []string{"cat", "/proc/self/status"}
		o := s.run(start)
		o.mustExit(t, 0)
		m := map[string]string{}
		for line := range strings.Lines(o.stdout()) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), ":")
			m[k] = strings.TrimSpace(v)
		}
		return m
	}
	const netRaw = "0000000000002000"
	const none = "0000000000000000"
	for _, user := range []string{"root", "nobody"} {
		m := status(wire.Start{User: user})
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
			if m[set] != none {
				t.Errorf("%s: %s %s", user, set, m[set])
			}
		}
		if m["CapBnd"] != netRaw {
			t.Errorf("%s: bounding set %s", user, m["CapBnd"])
		}
		if m["NoNewPrivs"] != "1" {
			t.Errorf("%s: NoNewPrivs %s", user, m["NoNewPrivs"])
		}
		for _, caps := range [][]string{{"NET_RAW"}, {"cap_net_raw"}, {"ALL"}} {
			m := status(wire.Start{User: user, Caps: caps})
			for _, set := range []string{"CapPrm", "CapEff", "CapAmb"} {
				if m[set] != netRaw {
					t.Errorf("%s with %v: %s %s", user, caps, set, m[set])
				}
			}
		}
	}
	o := s.run(wire.Start{Argv: []string{"true"}, Caps: []string{"SYS_CHROOT"}})
	if o.failure == nil || o.failure.Code != wire.CodeInvalid {
		t.Errorf("a capability that the configuration does not name: %+v", o.failure)
	}
	if !s.info().NoNewPrivs {
		t.Error("info says no_new_privs is off")
	}
	// Not even root reads or stops the agent.
	for _, script := range []string{
		"head -c 10 /proc/1/environ", "head -c 10 /proc/1/mem", "readlink /proc/1/fd/1", "cat /proc/1/fd/3", "ls /proc/1/root/", "readlink /proc/1/exe",
	} {
		for _, user := range []string{"root", "nobody"} {
			o := s.run(wire.Start{Argv: []string{"sh", "-c", script}, User: user})
			if o.exit == nil || o.exit.Code == 0 || o.stdout() != "" {
				t.Errorf("%s as %s: exit %+v, %q", script, user, o.exit, o.stdout())
			}
		}
	}
}

func TestRlimits(t *testing.T) {
	s := newSandbox(t)
	o := s.run(wire.Start{
		Argv: []string{"sh", "-c", "cat /proc/self/limits; exit 5"},
		User: "nobody",
		Rlimits: []wire.Rlimit{{Name: "nofile", Soft: 100, Hard: 200}, {Name: "core"}, {Name: "fsize", Soft: 512 << 10, Hard: 1 << 20},
			{Name: "nproc", Soft: 77, Hard: 77}, {Name: "stack", Soft: 1 << 20, Hard: -1}, {Name: "as", Soft: 1 << 30, Hard: 1 << 30}},
	})
	o.mustExit(t, 5)
	limits := strings.Join(strings.Fields(o.stdout()), " ")
	for _, want := range []string{"open files 100 200 ", "core file size 0 0 ", "file size 524288 1048576 ",
		"processes 77 77 ", "stack size 1048576 unlimited ", "address space 1073741824 1073741824 "} {
		if !strings.Contains(limits, want) {
			t.Errorf("no %q in %q", want, limits)
		}
	}
	// The soft limit of descriptors that Go raises for itself is not passed on.
	plain := s.sh("ulimit -Sn")
	if shim := s.run(wire.Start{Argv: []string{"sh", "-c", "ulimit -Sn"}, Rlimits: []wire.Rlimit{{Name: "core"}}}); shim.stdout() != plain {
		t.Errorf("nofile is %q with other limits set, %q else", shim.stdout(), plain)
	}
	for _, bad := range []wire.Rlimit{{Name: "nofile", Soft: 2, Hard: 1}, {Name: "nofile", Soft: -2, Hard: 1}} {
		if o := s.run(wire.Start{Argv: []string{"true"}, Rlimits: []wire.Rlimit{bad}}); o.failure == nil || o.failure.Code != wire.CodeInvalid {
			t.Errorf("%+v: %+v", bad, o.failure)
		}
	}
	if o := s.run(wire.Start{Argv: []string{"true"}, User: "nobody", Rlimits: []wire.Rlimit{{Name: "memlock", Soft: -1, Hard: -1}}}); o.failure == nil || !strings.Contains(o.failure.Message, "memlock") {
		t.Logf("memlock without limit: exit %+v, failure %+v", o.exit, o.failure)
	}
	if o := s.run(wire.Start{Argv: []string{"/etc/passwd"}, Rlimits: []wire.Rlimit{{Name: "core"}}}); o.failure == nil || o.failure.Code != wire.CodeNotExec {
		t.Errorf("not executable: exit %+v, failure %+v", o.exit, o.failure)
	}
}

func TestSignalsOnTheConnection(t *testing.T) {
	s := newSandbox(t)
	for _, keep := range []bool{false, true} {
		d := s.ask(wire.Request{Op: wire.OpRun, Start: &wire.Start{
			Argv: []string{"sh", "-c", "trap 'echo got; exit 9' USR1; echo ready; while :; do sleep 0.01; done"}, Keep: keep}})
		o := d.collect(func(k wire.Kind, o *outcome) bool {
			if k == wire.KindStdout && o.stdout() == "ready\n" {
				d.w.JSON(wire.KindSignal, wire.Signal{Signal: int(unix.SIGUSR1)})
			}
			return true
		})
		o.mustExit(t, 9)
		if o.stdout() != "ready\ngot\n" {
			t.Errorf("%q", o.stdout())
		}
	}
}

func TestTerminal(t *testing.T) {
	s := newSandbox(t)
	d := s.ask(wire.Request{Op: wire.OpRun, Start: &wire.Start{
		Argv: []string{"sh", "-c", `test -t 0 && test -t 1 && test -t 2 && stty size; tty; stat -c %U "$(tty)"; echo $TERM; trap 'stty size' WINCH; echo ready; until read x; do :; done; echo "got $x"; cat; exit 4`},
		User: "nobody", TTY: &wire.Size{Rows: 33, Cols: 111}, Stdin: true}})
	state := 0
	o := d.collect(func(k wire.Kind, o *outcome) bool {
		out := o.stdout()
		switch {
		case state == 0 && strings.Contains(out, "ready"):
			d.w.JSON(wire.KindWindow, wire.Size{Rows: 44, Cols: 122})
			state++
		case state == 1 && strings.Contains(out, "44 122"):
			d.w.Frame(wire.KindData, []byte("word\n"))
			state++
		case state == 2 && strings.Contains(out, "got word"):
			d.w.Frame(wire.KindData, []byte("more"))
			d.w.Frame(wire.KindEnd, nil)
			state++
		}
		return true
	})
	o.mustExit(t, 4)
	for _, want := range []string{"33 111\r\n", "/dev/pts/", "nobody\r\n", "xterm", "got word\r\n", "moremore"} {
		if !strings.Contains(o.stdout(), want) {
			t.Errorf("no %q in %q", want, o.stdout())
		}
	}
	if !o.started.TTY || o.stderr() != "" || o.exit.Stdout != int64(len(o.stdout())) {
		t.Errorf("%+v %q %+v", o.started, o.stderr(), o.exit)
	}
}

func TestTerminalReattached(t *testing.T) {
	s := newSandbox(t)
	p := s.detach(wire.Start{Argv: []string{"sh", "-c", "echo one; while read x; do echo got $x; stty size; done"},
		TTY: &wire.Size{Rows: 10, Cols: 20}, Stdin: true})
	s.do(wire.Request{Op: wire.OpResize, Resize: &wire.Resize{ID: p.ID, Size: wire.Size{Rows: 50, Cols: 60}}})
	d := s.ask(wire.Request{Op: wire.OpAttach, Attach: &wire.Attach{ID: p.ID, Follow: true, Stdin: true}})
	sent := false
	o := d.collect(func(k wire.Kind, o *outcome) bool {
		if !sent && strings.Contains(o.stdout(), "one") {
			sent = true
			d.w.Frame(wire.KindData, []byte("again\n"))
		}
		return !strings.Contains(o.stdout(), "50 60")
	})
	if !strings.Contains(o.stdout(), "got again") {
		t.Errorf("%q", o.stdout())
	}
	d.Close()
	s.do(wire.Request{Op: wire.OpSignal, Signal: &wire.Signal{ID: p.ID, Signal: int(unix.SIGHUP)}})
	if e := s.ended(p.ID); e.Signal != int(unix.SIGHUP) {
		t.Errorf("%+v", e)
	}
	if o := s.try(wire.Request{Op: wire.OpResize, Resize: &wire.Resize{ID: p.ID, Size: wire.Size{Rows: 1, Cols: 1}}}); o.failure == nil {
		t.Error("an ended terminal was resized")
	}
}

// All that a terminal's process printed arrives, though the kernel hangs the
// terminal up when it ends.
func TestTerminalOutputIsWhole(t *testing.T) {
	s := newSandbox(t)
	for range 20 {
		o := s.run(wire.Start{Argv: []string{"seq", "1", "20000"}, TTY: &wire.Size{}})
		o.mustExit(t, 0)
		if n := strings.Count(o.stdout(), "\r\n"); n != 20000 || !strings.HasSuffix(o.stdout(), "20000\r\n") {
			t.Fatalf("%d lines, %d bytes", n, len(o.stdout()))
		}
	}
}

func TestMainProcess(t *testing.T) {
	s := newSandbox(t, withConfig(func(c *wire.Config) {
		c.Main = []string{"sh", "-c", "echo up; read x; exit 17"}
	}))
	p := s.list()["main"]
	if p == nil || !p.Detached {
		t.Fatalf("%+v", s.list())
	}
	if e := s.ended("main"); e.Code != 17 { // stdin is empty
		t.Errorf("%+v", e)
	}
	s.info()

	s = newSandbox(t, withConfig(func(c *wire.Config) {
		c.Main = []string{"sh", "-c", "sleep 0.2; exit 17"}
		c.Exit = true
	}))
	s.wait()
	if code := s.cmd.ProcessState.ExitCode(); code != 17 {
		t.Errorf("exit code %d", code)
	}
}

func TestListAndForget(t *testing.T) {
	s := newSandbox(t)
	a := s.detach(wire.Start{Argv: []string{"sh", "-c", "echo hello"}})
	s.ended(a.ID)
	b := s.detach(wire.Start{Argv: []string{"sleep", "100"}, User: "nobody"})
	l := s.list()
	if len(l) != 2 || l[a.ID].Exit == nil || l[a.ID].Stdout != 6 || l[b.ID].Exit != nil || l[b.ID].PID != b.PID || l[b.ID].User != "nobody" {
		j, _ := json.Marshal(l)
		t.Errorf("%s", j)
	}
	if o := s.try(wire.Request{Op: wire.OpForget, Signal: &wire.Signal{ID: b.ID}}); o.failure == nil || o.failure.Code != wire.CodeInvalid {
		t.Errorf("a running process was forgotten: %+v", o.failure)
	}
	s.do(wire.Request{Op: wire.OpForget, Signal: &wire.Signal{ID: a.ID}})
	if o := s.attach(wire.Attach{ID: a.ID}); o.failure == nil || o.failure.Code != wire.CodeNoProcess {
		t.Errorf("%+v", o.failure)
	}
	names, _ := os.ReadDir(s.dir)
	for _, n := range names {
		if strings.HasPrefix(n.Name(), a.ID) {
			t.Errorf("%s is left", n.Name())
		}
	}
}

func TestUnknownRequests(t *testing.T) {
	s := newSandbox(t)
	for _, req := range []wire.Request{{Op: "fly"}, {Op: wire.OpRun}, {Op: wire.OpAttach}, {Op: wire.OpSignal}, {Op: wire.OpStat},
		{Op: wire.OpSignal, Signal: &wire.Signal{ID: "none"}}, {Op: wire.OpAttach, Attach: &wire.Attach{ID: "none"}},
		{Op: wire.OpInput, Attach: &wire.Attach{ID: "none"}}, {Op: wire.OpDial}, {Op: wire.OpResize}, {Op: wire.OpForget}} {
		if o := s.try(req); o.failure == nil {
			t.Errorf("%+v: %+v", req, o.reply)
		}
	}
	d := s.dial()
	d.w.Frame(wire.KindRequest, []byte(`{"v":99,"op":"info"}`))
	if o := d.collect(nil); o.failure == nil || o.failure.Code != wire.CodeUnsupported {
		t.Errorf("%+v", o.failure)
	}
	d = s.dial()
	d.w.Frame(wire.KindData, []byte(`x`))
	if o := d.collect(nil); o.failure == nil {
		t.Errorf("%+v", o)
	}
	d = s.dial()
	d.Write([]byte{'Q', 0xff, 0xff, 0xff, 0xff})
	d.collect(nil)
	s.info()
}

func TestInput(t *testing.T) {
	s := newSandbox(t)
	p := s.detach(wire.Start{Argv: []string{"sh", "-c", "while read x; do echo got $x; done; echo end"}, Stdin: true})
	send := func(text string, last bool) {
		d := s.ask(wire.Request{Op: wire.OpInput, Attach: &wire.Attach{ID: p.ID, Close: last}})
		d.w.Frame(wire.KindData, []byte(text))
		d.w.Frame(wire.KindEnd, nil)
		if o := d.collect(nil); o.reply == nil {
			t.Fatalf("%+v %v", o.failure, o.err)
		}
	}
	send("a\n", false)
	send("b\n", false)
	send("c\n", true)
	o := s.attach(wire.Attach{ID: p.ID, Follow: true})
	o.mustExit(t, 0)
	if o.stdout() != "got a\ngot b\ngot c\nend\n" {
		t.Errorf("%q", o.stdout())
	}
}
