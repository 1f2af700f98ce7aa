//go:build unix

package enginetest

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Rootless runs the tests that match a pattern on rootless Podman, as the user
// whose engine it is: this test binary again, under that user. In the working
// directory it finds a copy of testdata.
func Rootless(t *testing.T, pattern string) {
	if !wanted("rootless") {
		t.Skip("not in this run: " + onlyVar)
	}
	socket, name := os.Getenv("POCKETDOCK_TEST_ROOTLESS"), os.Getenv("POCKETDOCK_TEST_ROOTLESS_USER")
	if socket == "" || os.Getuid() != 0 {
		t.Skip("no rootless Podman of another user: see scripts/engines")
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	// A place that the user can reach, for the binary and for temporary files.
	dir, err := os.MkdirTemp(os.Getenv("POCKETDOCK_TEST_ROOTLESS_STATE"), "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary := filepath.Join(dir, "suite")
	if err := copyFile(binary, "/proc/self/exe", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("testdata"); err == nil {
		if err := os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS("testdata")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	args := []string{"-test.run=" + pattern, "-test.timeout=70m"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+u.HomeDir, "USER="+name, "TMPDIR="+dir,
		"XDG_RUNTIME_DIR="+filepath.Dir(strings.TrimPrefix(socket, "unix://")),
		"POCKETDOCK_TEST_DOCKER=", "POCKETDOCK_TEST_PODMAN=", onlyVar+"=", "CI=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if err != nil || testing.Verbose() {
		t.Logf("as %s:\n%s", name, out.String())
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out.Bytes(), []byte("PASS")) || bytes.Contains(out.Bytes(), []byte("no tests to run")) {
		t.Fatalf("no test ran: %s", out.String())
	}
}

func copyFile(to, from string, mode os.FileMode) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		w.Close()
		return err
	}
	return w.Close()
}
