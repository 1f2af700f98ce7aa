package dockercli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What scripts/embedded sets: the command, and an archive with the image of
// busybox that the other tests use. Without it there is nothing to test.
var (
	command = os.Getenv("POCKETDOCK_TEST_COMMAND")
	images  = os.Getenv("POCKETDOCK_TEST_IMAGES")
)

const image = "pocketdock-test/busybox"

// A host is an engine that is served, and docker for it.
type host struct {
	socket string
	config string
}

// serve starts pocketdock engine serve for the test.
func serve(t *testing.T) *host {
	t.Helper()
	if command == "" {
		t.Skip("POCKETDOCK_TEST_COMMAND is not set: run scripts/embedded")
	}
	if _, err := exec.LookPath("docker"); err != nil {
		t.Fatal("the docker command is not installed: it is in docker.io")
	}
	dir, err := os.MkdirTemp("", "pd") // short: the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	h := &host{socket: filepath.Join(dir, "s"), config: filepath.Join(dir, "docker")}
	cmd := exec.Command(command, "engine", "serve", "--socket", h.socket)
	cmd.Env = append(os.Environ(), "POCKETDOCK_STATE_DIR="+filepath.Join(dir, "state"))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if ids := strings.Fields(h.run(t, nil, "ps", "-aq").out); len(ids) > 0 {
			h.run(t, nil, append([]string{"rm", "-f"}, ids...)...)
		}
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if t.Failed() {
			t.Logf("the engine: %s", log.String())
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(h.socket); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the engine does not serve: %s", log.String())
		}
	}
	h.ok(t, "load", "-i", images)
	return h
}

// A result is what a docker command did.
type result struct {
	out, err string
	code     int
}

func (h *host) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", append([]string{"-H", "unix://" + h.socket, "--config", h.config}, args...)...)
	cmd.WaitDelay = time.Second
	return cmd
}

// run runs docker, for half a minute at most.
func (h *host) run(t *testing.T, stdin io.Reader, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := h.command(ctx, args...)
	var out, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &complaint
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		t.Fatalf("docker %q: %v %v\n%s%s", args, err, ctx.Err(), out.String(), complaint.String())
	}
	return result{out.String(), complaint.String(), cmd.ProcessState.ExitCode()}
}

// ok is the output of a command that has to succeed.
func (h *host) ok(t *testing.T, args ...string) string {
	t.Helper()
	r := h.run(t, nil, args...)
	if r.code != 0 {
		t.Fatalf("docker %q: exit code %d\n%s%s", args, r.code, r.out, r.err)
	}
	return r.out
}

// fails runs a command that must fail with a code and a word.
func (h *host) fails(t *testing.T, code int, word string, args ...string) {
	t.Helper()
	r := h.run(t, nil, args...)
	if r.code != code || !strings.Contains(r.out+r.err, word) {
		t.Errorf("docker %q: exit code %d, want %d and %q\n%s%s", args, r.code, code, word, r.out, r.err)
	}
}

// is compares an output.
func is(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// has looks for words in an output.
func has(t *testing.T, what, got string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(got, w) {
			t.Errorf("%s: no %q in\n%s", what, w, got)
		}
	}
}

// box runs a container in the background, to the test's end, and returns its name.
func (h *host) box(t *testing.T, args ...string) string {
	t.Helper()
	name := fmt.Sprintf("box%d", time.Now().UnixNano())
	h.ok(t, append([]string{"run", "-d", "--name", name, "--network", "none"}, args...)...)
	t.Cleanup(func() { h.run(t, nil, "rm", "-f", name) })
	return name
}

func (h *host) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
