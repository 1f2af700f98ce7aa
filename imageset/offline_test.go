package imageset_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/images"
)

// offlineEnv names the directory of a machine without a network to this test
// binary, which is then started again inside of it.
const offlineEnv = "POCKETDOCK_TEST_OFFLINE"

func TestMain(m *testing.M) {
	dir := os.Getenv(offlineEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	if err := offline(ctx, dir); err != nil {
		fmt.Fprintln(os.Stderr, "offline:", err)
		os.Exit(1)
	}
	fmt.Println("offline: ok")
}

// airGap makes a machine of its own out of this one: no network but a loopback
// that is down, none of the directories in which engines meet, a Podman
// whose storage is empty, and this test binary as its user.
const airGap = `set -eu
mount --make-rprivate /
for d in /run/containerd /run/containers /run/crun /run/docker /run/libpod /run/netns /run/runc /dev/shm; do
	mkdir -p "$d"
	mount -t tmpfs -o mode=1777 tmpfs "$d"
done
cd "$DIR"
mkdir run storage tmp networks
env -i PATH="$PATH" HOME="$DIR" XDG_RUNTIME_DIR="$DIR/run" TMPDIR="$DIR/tmp" CONTAINERS_CONF="$DIR/containers.conf" \
	podman --root "$DIR/storage" --runroot "$DIR/run/containers" --storage-driver overlay \
	system service --time=0 "unix://$DIR/podman.sock" >podman.log 2>&1 &
service=$!
code=0
env -u CI POCKETDOCK_TEST_OFFLINE="$DIR" POCKETDOCK_SOCKET="$DIR/podman.sock" POCKETDOCK_STATE_DIR="$DIR/state" "$BINARY" || code=$?
kill $service
wait $service || true
umount -R "$DIR/storage/overlay" 2>/dev/null || true
exit $code
`

// TestSuiteOffline types what docs/offline.md says: on Docker up to the
// export, and then on a machine without any route, where after the import
// everything has to work, also through the library.
func TestSuiteOffline(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("making a network namespace and an engine of its own needs root")
	}
	socket := os.Getenv("POCKETDOCK_TEST_PODMAN")
	if socket == "" {
		t.Skip("no Podman of scripts/engines, whose configuration the one in the namespace needs")
	}
	from := testEngines(t)[0] // Docker: what the other kind of engine built is imported
	dir, err := os.MkdirTemp("/var/tmp", "pdoff")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	parts := guide(t)
	typeGuide(t, from, dir, parts["On a machine with a network"]+parts["Without pocketdock on the other side"])
	second := parts["On the machine without one"]
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "second"), 0o700),
		os.Rename(filepath.Join(dir, "demo/images.tar.zst"), filepath.Join(dir, "second/images.tar.zst")),
		os.WriteFile(filepath.Join(dir, "second.sh"), []byte(second), 0o600)); err != nil {
		t.Fatal(err)
	}

	other := filepath.Dir(strings.TrimPrefix(socket, "unix://"))
	conf, err := os.ReadFile(filepath.Join(other, "containers.conf"))
	if err != nil {
		t.Fatal(err)
	}
	var own []string // the network of the other one is not there
	for line := range strings.Lines(strings.ReplaceAll(string(conf), other+"/", dir+"/")) {
		if !strings.HasPrefix(strings.TrimSpace(line), "default_network") {
			own = append(own, line)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "containers.conf"), []byte(strings.Join(own, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", airGap)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "DIR="+dir, "BINARY="+exe, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("offline: ok")) {
		log, _ := os.ReadFile(filepath.Join(dir, "podman.log"))
		t.Fatalf("%v\n%s\nPodman:\n%s", err, out, log)
	}
	t.Logf("%s", out)
	inOrder(t, out, "minimal-python", "42", "/home/sandbox/tools", "kept", "kept", "greetings", "print(6 * 7)", "42", "offline: ok")
}

// guide is what docs/offline.md types, by its headings.
func guide(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/offline.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	heading := ""
	for line := range strings.Lines(string(text)) {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			heading = strings.TrimSpace(h)
		}
		if code, ok := strings.CutPrefix(line, "    "); ok {
			parts[heading] += code
		}
	}
	if len(parts) != 3 {
		t.Fatalf("docs/offline.md has lines to type under %d headings, not 3", len(parts))
	}
	return parts
}

// typeGuide types lines in dir, on an engine. The base image is there.
func typeGuide(t *testing.T, e testEngine, dir, lines string) {
	t.Helper()
	bin := filepath.Join(dir, "bin")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags=noembedded", "-o", bin+"/pocketdock", "../cmd/pocketdock").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := e.client.Engine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	load := "exec podman --remote --url unix://" + info.Socket + " \"$@\"\n"
	if e.name == "docker" {
		load = "PATH=${PATH#*:} exec docker --host unix://" + info.Socket + " \"$@\"\n"
	}
	const pull = "[ \"$*\" = 'pull debian:bookworm-slim' ]\n"
	if err := errors.Join(os.WriteFile(bin+"/podman", []byte("#!/bin/sh\n"+pull), 0o700), os.WriteFile(bin+"/docker", []byte("#!/bin/sh\n"+load), 0o700)); err != nil {
		t.Fatal(err)
	}
	sh := func(lines string) ([]byte, error) {
		file := filepath.Join(dir, "first.sh")
		if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-eux", file)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "POCKETDOCK_SOCKET="+info.Socket, "POCKETDOCK_STATE_DIR="+e.client.StateDir)
		return cmd.CombinedOutput()
	}
	const tidy = "pocketdock shutdown --yes work prepare || true\n"
	if out, err := sh(tidy); err != nil { // of a run that was killed
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := sh(lines)
	if tidied, e := sh(tidy); e != nil {
		t.Errorf("%v\n%s", e, tidied)
	}
	remove(t, e, "team/tools:v1")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	inOrder(t, out, "42", "hello from a file", "42", "hello from a file", "Loaded image")
	if err := os.Remove(bin + "/podman"); err != nil { // the other machine has its own
		t.Fatal(err)
	}
}

// inOrder: these lines, or parts of them, were printed, one after the other.
func inOrder(t *testing.T, out []byte, parts ...string) {
	t.Helper()
	var said []byte
	for line := range bytes.Lines(out) {
		if !bytes.HasPrefix(line, []byte("+ ")) { // what was typed
			said = append(said, line...)
		}
	}
	for _, part := range parts {
		_, rest, ok := bytes.Cut(said, []byte(part))
		if !ok {
			t.Fatalf("%q was not printed, or not behind what stands before it:\n%s", part, out)
		}
		said = rest
	}
}

// noWayOut makes sure that this process has no network.
func noWayOut(ctx context.Context) error {
	f, err := os.Open("/proc/net/route")
	if err != nil {
		return err
	}
	defer f.Close()
	lines := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		lines++
	}
	if lines > 1 { // the heading
		return fmt.Errorf("%d routes", lines-1)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", "192.0.2.1:80")
	if err == nil {
		conn.Close()
		return errors.New("a connection out was made")
	}
	if !strings.Contains(err.Error(), "unreachable") {
		return fmt.Errorf("a connection out fails with %w, not because there is no route", err)
	}
	return nil
}

// offline is what happens on the machine without a network: one import, and
// then what a user does all day.
func offline(ctx context.Context, dir string) error {
	if err := noWayOut(ctx); err != nil {
		return err
	}
	var c pocketdock.Client // the environment names the socket
	for {
		_, err := c.Engine(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond) // the service is starting
	}
	name := pocketdock.Profiles()[0].Name
	if _, err := c.Create(ctx, "", pocketdock.CreateOptions{Profile: name}); !errors.Is(err, pocketdock.ErrImageNotFound) {
		return fmt.Errorf("before the import: %w", err)
	}
	cmd := exec.CommandContext(ctx, "sh", "-eux", "../second.sh")
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Join(dir, "second"), os.Stdout, os.Stdout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("what the guide says: %w", err)
	}
	return use(ctx, &c, name)
}

// use creates by profile, runs, moves files and makes a snapshot, and uses that.
func use(ctx context.Context, c *pocketdock.Client, name string) error {
	box, err := c.Create(ctx, "", pocketdock.CreateOptions{Profile: name, Persist: true})
	if err != nil {
		return err
	}
	defer box.Destroy(context.WithoutCancel(ctx))
	script, err := images.Smoke(name)
	if err != nil {
		return err
	}
	smoke := pocketdock.Shell(string(script))
	smoke.Timeout = 3 * time.Minute
	if err := expect(ctx, box, smoke, "ok "+name+"\n"); err != nil {
		return err
	}
	if err := box.WriteFile(ctx, "f", []byte("kept"), pocketdock.FileOptions{}); err != nil {
		return err
	}
	if err := box.Reboot(ctx); err != nil {
		return err
	}
	if _, err := box.Snapshot(ctx, "pocketdock-test/offline:v1", pocketdock.SnapshotOptions{}); err != nil {
		return err
	}
	again, err := c.Create(ctx, "pocketdock-test/offline:v1", pocketdock.CreateOptions{Profile: name})
	if err != nil {
		return err
	}
	defer again.Destroy(context.WithoutCancel(ctx))
	return expect(ctx, again, pocketdock.Shell("cat f"), "kept")
}

func expect(ctx context.Context, box *pocketdock.Container, cmd pocketdock.Command, want string) error {
	res, err := box.Run(ctx, cmd)
	if err != nil {
		return err
	}
	if !res.OK() || string(res.Stdout) != want {
		return fmt.Errorf("%s: exit code %d: %s%s", box, res.ExitCode, res.Stdout, res.Stderr)
	}
	return nil
}
