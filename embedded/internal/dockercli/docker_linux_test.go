package dockercli_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

// TestDocker drives Debian's docker through what it has to be able to do, with
// good and bad input.
func TestDocker(t *testing.T) {
	h := serve(t)
	for name, test := range map[string]func(*testing.T, *host){
		"machine": testMachine, "images": testImages, "run": testRun, "refused": testRefused, "input": testInput, "terminal": testTerminal,
		"exec": testExec, "life": testLife, "logs": testLogs, "copy": testCopy, "copy hostile": testCopyHostile, "lasts": testLasts,
		"commit": testCommit, "stats": testStats, "events": testEvents,
	} {
		t.Run(name, func(t *testing.T) { test(t, h) })
	}
}

func testMachine(t *testing.T, h *host) {
	has(t, "version", h.ok(t, "version"), "pocketdock embedded engine", "1.41")
	has(t, "info", h.ok(t, "info"), "Storage Driver: erofs", "gvisor")
	h.fails(t, 1, "pulling images", "pull", "alpine")
	h.fails(t, 1, "not supported", "system", "df")
	has(t, "networks", h.ok(t, "network", "ls"), "none")
	h.fails(t, 1, "not supported", "network", "create", "x")
	h.ok(t, "volume", "ls")
	h.fails(t, 1, "not supported", "volume", "create", "x")
}

func testImages(t *testing.T, h *host) {
	has(t, "images", h.ok(t, "images"), image)
	h.ok(t, "tag", image, "mine:1")
	is(t, "its ID", h.ok(t, "images", "-q", "mine"), h.ok(t, "images", "-q", image))
	saved := filepath.Join(t.TempDir(), "saved.tar")
	h.ok(t, "save", "-o", saved, "mine:1")
	is(t, "rmi", h.ok(t, "rmi", "mine:1"), "Untagged: mine:1\n")
	h.fails(t, 1, "no such image", "rmi", "mine:1")
	h.ok(t, "load", "-i", saved)
	has(t, "inspect", h.ok(t, "inspect", "-f", "{{.RepoTags}}", "mine:1"), "mine:1")
	h.ok(t, "rmi", "mine:1")
	h.fails(t, 1, "no tar archive", "load", "-i", write(t, filepath.Join(t.TempDir(), "x"), strings.Repeat("no", 1000)))
	h.fails(t, 1, "no such image", "tag", "nosuch", "x")
	h.fails(t, 1, "no such image", "save", "-o", saved, "nosuch")
	h.fails(t, 1, "", "tag", image, "UPPER:1")
}

func testRun(t *testing.T, h *host) {
	r := h.run(t, nil, "run", "--rm", "--network", "none", image, "sh", "-c", "echo out; echo err >&2; exit 3")
	if r != (result{"out\n", "err\n", 3}) {
		t.Errorf("%+v", r)
	}
	// However short a container is, its output and exit code are seen.
	for range 5 {
		is(t, "output", h.ok(t, "run", "--rm", "--network", "none", "--entrypoint", "echo", image, "hi"), "hi\n")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "f"), "host\n")
	is(t, "options", h.ok(t, "run", "--rm", "--network", "none", "-e", "A=b", "-m", "64m", "-v", dir+":/x:ro", "--hostname", "me", "-w", "/x", image,
		"sh", "-c", "echo $A; hostname; cat f; touch g 2>/dev/null || echo refused"), "b\nme\nhost\nrefused\n")
	h.ok(t, "run", "--rm", "--network", "none", "-v", dir+":/x", image, "sh", "-c", "echo new >/x/g")
	is(t, "volume", read(t, filepath.Join(dir, "g")), "new\n")
	is(t, "user", h.ok(t, "run", "--rm", "--network", "none", "-u", "sandbox", image, "id", "-u"), "1000\n")
	is(t, "network", h.ok(t, "run", "--rm", "--network", "none", image, "sh", "-c", "ls /sys/class/net; wget -q -T1 -O- http://1.1.1.1 2>/dev/null || echo none"), "none\n")
	is(t, "left", h.ok(t, "ps", "-aq"), "")
}

func testRefused(t *testing.T, h *host) {
	run := func(args ...string) []string { return append([]string{"run", "--rm", "--network", "none"}, args...) }
	h.fails(t, 127, "executable file not found", run(image, "nosuch")...)
	h.fails(t, 127, "no such file", run(image, "/no/such")...)
	h.fails(t, 126, "permission denied", run(image, "/etc/passwd")...)
	h.fails(t, 125, "no user", run("-u", "nosuch", image, "true")...)
	h.fails(t, 125, "the least is 6 MB", run("-m", "1", image, "true")...)
	h.fails(t, 125, "no such directory or file", run("-v", "/no/such:/x", image, "true")...)
	h.fails(t, 125, "not supported", run("-v", "name:/x", image, "true")...)
	h.fails(t, 125, "privileged", run("--privileged", image, "true")...)
	h.fails(t, 125, "published ports", run("-p", "80", image, "true")...)
	h.fails(t, 125, "network", "run", "--rm", image, "true")
	h.fails(t, 1, "Read-only", run("--read-only", image, "touch", "/x")...)
	is(t, "left", h.ok(t, "ps", "-aq"), "")
	// One that cannot be started is there without --rm, and can be removed.
	h.fails(t, 127, "not found", "run", "--name", "bad", "--network", "none", image, "nosuch")
	is(t, "state", h.ok(t, "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "bad"), "created 127\n")
	h.fails(t, 1, "not found", "start", "-a", "bad")
	h.fails(t, 125, "already in use", "run", "--name", "bad", "--network", "none", image, "true")
	h.ok(t, "rm", "bad")
	for _, c := range [][]string{{"exec", "nosuch", "true"}, {"logs", "nosuch"}, {"stop", "nosuch"}, {"rm", "nosuch"}, {"commit", "nosuch", "x"}, {"start", "nosuch"},
		{"kill", "nosuch"}, {"top", "nosuch"}, {"cp", "nosuch:/x", "."}, {"attach", "nosuch"}} {
		h.fails(t, 1, "no such container: nosuch", c...)
	}
	h.fails(t, 1, "No such object", "inspect", "nosuch")
}

func testInput(t *testing.T, h *host) {
	long := strings.Repeat("0123456789\n", 100_000)
	r := h.run(t, strings.NewReader(long), "run", "-i", "--rm", "--network", "none", image, "cat")
	if r.out != long || r.code != 0 {
		t.Errorf("%d bytes of %d, exit code %d, %s", len(r.out), len(long), r.code, r.err)
	}
	box := h.box(t, image, "sleep", "1000")
	if r := h.run(t, strings.NewReader(long), "exec", "-i", box, "cat"); r.out != long {
		t.Errorf("exec: %d bytes of %d, %s", len(r.out), len(long), r.err)
	}
}

// testTerminal: a terminal of its own, with the size of the client's as it
// changes, job control and the keys that interrupt.
func testTerminal(t *testing.T, h *host) {
	box := h.box(t, image, "sleep", "1000")
	for name, args := range map[string][]string{
		"run":  {"run", "-it", "--rm", "--network", "none", image, "sh"},
		"exec": {"exec", "-it", box, "sh"},
	} {
		t.Run(name, func(t *testing.T) {
			master, slave, err := monitor.OpenTerminal()
			if err != nil {
				t.Fatal(err)
			}
			defer master.Close()
			defer slave.Close()
			if err := monitor.Resize(master, 33, 77); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := h.command(ctx, args...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
			cmd.SysProcAttr = newSession()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			slave.Close()
			var seen strings.Builder
			within := func(d time.Duration, word string) error {
				buf := make([]byte, 4096)
				for !strings.Contains(seen.String(), word) {
					master.SetReadDeadline(time.Now().Add(d))
					n, err := master.Read(buf)
					seen.Write(buf[:n])
					if err != nil {
						return err
					}
				}
				return nil
			}
			until := func(word string) {
				t.Helper()
				if err := within(15*time.Second, word); err != nil {
					t.Fatalf("waiting for %q: %v\n%q", word, err, seen.String())
				}
			}
			say := func(line string) { io.WriteString(master, line+"\n") }
			say("test -t 0 && test -t 1 && echo a-$((1+1))-tty")
			until("a-2-tty")
			say("while [ \"$(stty size)\" != '33 77' ]; do sleep 0.05; done; echo small-$((1+1))")
			until("small-2")
			if err := monitor.Resize(master, 44, 99); err != nil {
				t.Fatal(err)
			}
			cmd.Process.Signal(sigwinch)
			say("while [ \"$(stty size)\" != '44 99' ]; do sleep 0.05; done; echo large-$((1+1))")
			until("large-2")
			say("echo begun-$((1+1)); sleep 1000; echo after-$?")
			until("begun-2")
			// A shell that is just about to start the program misses it.
			for ctx.Err() == nil {
				io.WriteString(master, "\x03")
				say("echo interrupted-$((1+1))")
				if within(500*time.Millisecond, "interrupted-2") == nil {
					break
				}
			}
			say("exit 7")
			go io.Copy(io.Discard, master)
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 7 {
				t.Errorf("exit code %d\n%q", code, seen.String())
			}
		})
	}
}

func testExec(t *testing.T, h *host) {
	box := h.box(t, image, "sleep", "1000")
	r := h.run(t, nil, "exec", "-e", "A=b", "-w", "/tmp", "-u", "sandbox", box, "sh", "-c", "echo $A; pwd; id -u; echo err >&2; exit 7")
	if r != (result{"b\n/tmp\n1000\n", "err\n", 7}) {
		t.Errorf("%+v", r)
	}
	h.fails(t, 127, "not found", "exec", box, "nosuch")
	h.fails(t, 126, "permission denied", "exec", box, "/etc/passwd")
	h.fails(t, 126, "no user", "exec", "-u", "nosuch", box, "true")
	h.ok(t, "exec", "-d", box, "sh", "-c", "echo later >/tmp/later")
	h.eventually(t, "what a detached command wrote", func() bool { return h.run(t, nil, "exec", box, "cat", "/tmp/later").out == "later\n" })
	has(t, "top", h.ok(t, "top", box), "sleep")
	h.ok(t, "kill", box)
	h.fails(t, 1, "is not running", "exec", box, "true")
}

func testLife(t *testing.T, h *host) {
	box := h.box(t, "--label", "a=b", image, "sh", "-c", `trap "echo term; exit 9" TERM; echo ready; while :; do sleep 0.1; done`)
	h.eventually(t, "its start", func() bool { return strings.Contains(h.ok(t, "logs", box), "ready") })
	has(t, "ps", h.ok(t, "ps", "--filter", "label=a=b"), box, "Up")
	is(t, "inspect", h.ok(t, "inspect", "-f", "{{.State.Status}} {{.Config.Image}}", box), "running "+image+"\n")
	h.ok(t, "pause", box)
	has(t, "paused", h.ok(t, "ps"), "(Paused)")
	h.ok(t, "unpause", box)
	h.fails(t, 1, "is running", "rm", box)
	h.ok(t, "stop", box)
	is(t, "stopped", h.ok(t, "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", box), "exited 9\n")
	is(t, "wait", h.ok(t, "wait", box), "9\n")
	h.ok(t, "stop", box) // again
	h.ok(t, "start", box)
	h.ok(t, "restart", "-t", "1", box)
	h.ok(t, "kill", box)
	is(t, "killed", h.ok(t, "wait", box), "137\n")
	h.fails(t, 1, "is not running", "kill", box)
	h.ok(t, "rename", box, box+"x")
	h.ok(t, "rm", box+"x")
	h.fails(t, 1, "no such container", "start", box+"x")
}

func testLogs(t *testing.T, h *host) {
	box := h.box(t, image, "sh", "-c", "seq 5; echo err >&2")
	h.ok(t, "wait", box)
	r := h.run(t, nil, "logs", box)
	if r != (result{"1\n2\n3\n4\n5\n", "err\n", 0}) {
		t.Errorf("%+v", r)
	}
	r = h.run(t, nil, "logs", "--tail", "2", box)
	if len(strings.Split(r.out+r.err, "\n")) != 3 {
		t.Errorf("tail: %+v", r)
	}
	has(t, "timestamps", h.ok(t, "logs", "-t", box), "T", "Z 3\n")
	is(t, "since", h.ok(t, "logs", "--since", "2099-01-01T00:00:00Z", box), "")
	h.ok(t, "start", box)
	h.ok(t, "wait", box)
	is(t, "followed to the end of the second run", h.ok(t, "logs", "-f", box), "1\n2\n3\n4\n5\n1\n2\n3\n4\n5\n")
	is(t, "attached from the start of the third", h.ok(t, "start", "-a", box), "1\n2\n3\n4\n5\n")
}

// testCopy copies files and trees, both ways, with a container that runs and
// with one that does not.
func testCopy(t *testing.T, h *host) {
	running := h.box(t, image, "sleep", "1000")
	stopped := "stopped"
	h.ok(t, "create", "--name", stopped, "--network", "none", image, "cat", "/root/f")
	t.Cleanup(func() { h.ok(t, "rm", stopped) })
	for name, box := range map[string]string{"running": running, "stopped": stopped} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := write(t, filepath.Join(dir, "f"), "one\n")
			tree := filepath.Join(dir, "tree")
			write(t, filepath.Join(tree, "sub/x"), "x\n")
			if err := os.Symlink("x", filepath.Join(tree, "sub/l")); err != nil {
				t.Fatal(err)
			}
			h.ok(t, "cp", f, box+":/root/f")
			h.ok(t, "cp", f, box+":/tmp")
			h.ok(t, "cp", tree, box+":/root")
			h.ok(t, "cp", tree+"/.", box+":/new")
			out := filepath.Join(dir, "out")
			h.ok(t, "cp", box+":/root/f", out)
			is(t, "file", read(t, out), "one\n")
			h.ok(t, "cp", box+":/tmp/f", dir+"/f2")
			is(t, "into a directory", read(t, dir+"/f2"), "one\n")
			h.ok(t, "cp", box+":/root/tree", dir+"/back")
			is(t, "tree", read(t, dir+"/back/sub/x"), "x\n")
			if to, err := os.Readlink(dir + "/back/sub/l"); to != "x" {
				t.Errorf("link to %q, %v", to, err)
			}
			h.ok(t, "cp", box+":/new/.", dir+"/again")
			is(t, "contents", read(t, dir+"/again/sub/x"), "x\n")
			h.ok(t, "cp", "-L", box+":/root/tree/sub/l", dir+"/followed")
			is(t, "followed", read(t, dir+"/followed"), "x\n")
			r := tar.NewReader(strings.NewReader(h.ok(t, "cp", box+":/root/tree/sub", "-")))
			var names []string
			for e, err := r.Next(); err == nil; e, err = r.Next() {
				names = append(names, e.Name)
			}
			is(t, "archive", strings.Join(names, " "), "sub/ sub/l sub/x")
			h.fails(t, 1, "could not find the file", "cp", box+":/no/such", dir)
			h.fails(t, 1, "no such directory", "cp", f, box+":/no/such/")
			h.fails(t, 1, "cannot copy directory", "cp", tree, box+":/root/f")
			h.fails(t, 1, "no such file", "cp", dir+"/nosuch", box+":/")
			if r := h.run(t, strings.NewReader("no archive"), "cp", "-", box+":/root"); r.code == 0 {
				t.Errorf("%+v", r)
			}
			if r := h.run(t, strings.NewReader(""), "cp", "-", box+":/root/f"); r.code == 0 {
				t.Errorf("into a file: %+v", r)
			}
		})
	}
	is(t, "started", h.ok(t, "start", "-a", stopped), "one\n")
	if h.run(t, nil, "exec", running, "find", "/", "-xdev", "-name", ".pocketdock*").out != "" {
		t.Error("a copy has left something")
	}
}

// testCopyHostile: whatever paths and archives say, it is about the container.
func testCopyHostile(t *testing.T, h *host) {
	secret := write(t, filepath.Join(t.TempDir(), "secret"), "the host's\n")
	box := h.box(t, image, "sh", "-c", `mkdir -p /w; ln -s / /w/root; ln -s ../../../../../../.. /w/up; ln -s "$0" /w/secret; ln -s "$(dirname "$0")" /w/dir; touch /w/ready; sleep 1000`, secret)
	h.eventually(t, "its links", func() bool { return h.run(t, nil, "exec", box, "test", "-e", "/w/ready").code == 0 })
	up := strings.Repeat("../", 20)
	for _, running := range []bool{true, false} {
		if !running {
			h.ok(t, "kill", box)
		}
		for _, path := range []string{secret, "/w/root" + secret, "/w/up" + secret, "/w/dir/secret", "/" + up + secret, "/proc/1/root" + secret, "/proc/self/root/" + up + secret} {
			r := h.run(t, nil, "cp", box+":"+path, "-")
			if r.code == 0 || strings.Contains(r.out, "the host's") {
				t.Errorf("running %v: %s: %+v", running, path, r)
			}
		}
		if r := h.run(t, nil, "cp", "-L", box+":/w/secret", "-"); strings.Contains(r.out, "the host's") {
			t.Errorf("a link: %+v", r)
		}
		for _, to := range []string{"/w/root", "/w/up", "/w", "/"} {
			for _, name := range []string{up + secret, secret, "dir/secret", "root" + secret, "w/dir/secret"} {
				var b bytes.Buffer
				w := tar.NewWriter(&b)
				w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 3, Mode: 0o644})
				io.WriteString(w, "bad")
				w.Close()
				h.run(t, &b, "cp", "-", box+":"+to)
			}
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "s", Linkname: filepath.Dir(secret)})
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "s/secret", Size: 3, Mode: 0o644})
			io.WriteString(w, "bad")
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeLink, Name: "hard", Linkname: secret})
			w.Close()
			h.run(t, &b, "cp", "-", box+":"+to)
		}
	}
	is(t, "the host's file", read(t, secret), "the host's\n")
}

// testLasts: what a container wrote is there after its own end, whoever ended
// it, also to be committed, copied and started with again.
func testLasts(t *testing.T, h *host) {
	box := h.box(t, image, "sh", "-c", "cat /root/f 2>/dev/null; echo one >>/root/f; rm -f /etc/passwd /etc/group")
	h.ok(t, "wait", box)
	is(t, "second start", h.ok(t, "start", "-a", box), "one\n")
	is(t, "third start", h.ok(t, "start", "-a", box), "one\none\n")
	has(t, "copy", h.ok(t, "cp", box+":/root/f", "-"), "one\none\none\n")
	h.ok(t, "commit", box, "lasts")
	defer h.ok(t, "rmi", "lasts")
	is(t, "commit", h.ok(t, "run", "--rm", "--network", "none", "lasts", "sh", "-c", "cat /root/f; ls /etc"), "one\none\none\nhosts\n")
	killed := h.box(t, image, "sh", "-c", "echo one >/root/f; sleep 1000")
	h.eventually(t, "its file", func() bool { return h.run(t, nil, "exec", killed, "cat", "/root/f").out == "one\n" })
	h.ok(t, "kill", killed)
	has(t, "killed", h.ok(t, "cp", killed+":/root/f", "-"), "one\n")
}

func testCommit(t *testing.T, h *host) {
	box := h.box(t, image, "sleep", "1000")
	h.ok(t, "exec", box, "sh", "-c", "echo new >/root/f")
	h.ok(t, "commit", "-c", "ENV A=b", "-c", `CMD ["cat", "/root/f"]`, "-a", "me", box, "snap:1")
	is(t, "its command", h.ok(t, "run", "--rm", "--network", "none", "snap:1"), "new\n")
	has(t, "its environment", h.ok(t, "inspect", "-f", "{{.Config.Env}} {{.Author}}", "snap:1"), "A=b", "me")
	h.fails(t, 1, "", "commit", "-c", "NONSENSE x", box, "snap:2")
	h.fails(t, 1, "", "commit", box, "UPPER:1")
	h.ok(t, "create", "--name", "user", "--network", "none", "snap:1")
	h.fails(t, 1, "is using it", "rmi", "snap:1")
	h.ok(t, "rm", "user")
	h.ok(t, "rmi", "snap:1")
}

func testStats(t *testing.T, h *host) {
	box := h.box(t, "-m", "64m", image, "sh", "-c", "while :; do :; done")
	var s struct{ Name, MemUsage, PIDs, CPUPerc string }
	if err := json.Unmarshal([]byte(h.ok(t, "stats", "--no-stream", "--format", "{{json .}}", box)), &s); err != nil {
		t.Fatal(err)
	}
	if s.Name != box || !strings.HasSuffix(s.MemUsage, "/ 64MiB") || strings.HasPrefix(s.MemUsage, "0B") || s.PIDs == "0" || len(s.CPUPerc) < len("10.00%") {
		t.Errorf("%+v", s)
	}
	h.fails(t, 1, "no such container", "stats", "--no-stream", "nosuch")
}

// testEvents: what happens to containers is told as it happens, and later.
func testEvents(t *testing.T, h *host) {
	ctx, cancel := context.WithCancel(t.Context())
	cmd := h.command(ctx, "events", "--filter", "container=told", "--format", "{{.Action}}")
	var out syncBuffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.run(t, nil, "run", "--name", "told", "--network", "none", image, "sh", "-c", "exit 3")
	h.ok(t, "rm", "told")
	want := "create\nstart\ndie\ndestroy\n"
	h.eventually(t, "all events", func() bool { return strings.HasSuffix(out.String(), "destroy\n") })
	cancel()
	cmd.Wait()
	// It may have begun to look after the first.
	if !strings.HasSuffix(want, out.String()) {
		t.Errorf("%q", out.String())
	}
	is(t, "of the past", h.ok(t, "events", "--since", "1h", "--until", time.Now().Format(time.RFC3339Nano), "--filter", "container=told", "--format", "{{.Action}} {{.Actor.Attributes.exitCode}}"),
		"create <no value>\nstart <no value>\ndie 3\ndestroy <no value>\n")
}
