//go:build unix

package mcp

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// clientsVar is the directory where scripts/clients has installed the
// independent clients.
const clientsVar = "POCKETDOCK_TEST_CLIENTS"

// A workshop has the independent clients, and the program that they drive.
type workshop struct {
	*testing.T
	dir     string // of npm
	node    string
	program string // pocketdock
	env     []string
	place   []string // the engine and the state directory, as variables
}

// openWorkshop builds the program. Without the clients, which CI has, it says so
// and returns nil.
func openWorkshop(t *testing.T, e testEngine) *workshop {
	dir := os.Getenv(clientsVar)
	if dir == "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not set: in CI the clients of scripts/clients run", clientsVar)
		}
		t.Logf("not run: the clients of scripts/clients (%s is not set)", clientsVar)
		return nil
	}
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	w := &workshop{T: t, dir: dir, node: filepath.Join(dir, "node_modules/node-linux-"+arch+"/bin/node"), program: filepath.Join(t.TempDir(), "pocketdock")}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags=noembedded", "-o", w.program, "../cmd/pocketdock").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	state, err := os.MkdirTemp("", "pd") // sockets' paths are short
	if err != nil {
		t.Fatal(err)
	}
	w.place = []string{"POCKETDOCK_SOCKET=" + e.client.Socket, "POCKETDOCK_STATE_DIR=" + state}
	w.env = append(append(os.Environ(), "HOME="+t.TempDir()), w.place...)
	t.Cleanup(func() {
		left, err := os.ReadDir(filepath.Join(state, "c"))
		if len(left) > 0 {
			t.Errorf("sandboxes are left: %v, %v", left, err)
		}
		os.RemoveAll(state)
	})
	return w
}

// run runs a Node.js program, and returns what it printed.
func (w *workshop) run(args ...string) string {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), w.node, args...)
	cmd.Env, cmd.Dir = w.env, w.TempDir()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		w.Fatalf("%s: %v\n%s\n%s", strings.Join(args, " "), err, last(out.String(), 4000), last(errs.String(), 4000))
	}
	return out.String()
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }

// script makes one of ours run beside the clients' packages.
func (w *workshop) script(name string) string {
	w.Helper()
	dir := w.TempDir()
	text, err := os.ReadFile(filepath.Join("testdata/clients", name))
	if err != nil {
		w.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		w.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(w.dir, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		w.Fatal(err)
	}
	return path
}

func (w *workshop) bin(name string) string { return filepath.Join(w.dir, "node_modules/.bin", name) }

// serveHTTP starts the program over HTTP and returns its URL. It is ended at
// the test's end.
func (w *workshop) serveHTTP(args ...string) string {
	w.Helper()
	cmd := exec.Command(w.program, append([]string{"mcp", "--http", "127.0.0.1:0"}, args...)...)
	cmd.Env = w.env
	said, err := cmd.StderrPipe()
	if err != nil {
		w.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			w.Errorf("pocketdock mcp --http: %v", err)
		}
	})
	var b [256]byte
	n, err := said.Read(b[:])
	if err != nil {
		w.Fatal(err)
	}
	url, ok := strings.CutPrefix(strings.TrimSpace(string(b[:n])), "serving at ")
	if !ok {
		w.Fatalf("%q", b[:n])
	}
	return url
}

// TestSuiteClients: programs of other people's, on streams and over HTTP.
func TestSuiteClients(t *testing.T) {
	t.Parallel()
	onOne(t, func(t *testing.T, e testEngine) {
		w := openWorkshop(t, e)
		if w == nil {
			return
		}
		w.env = append(w.env, "MCP_TOKEN="+testToken, "POCKETDOCK_MCP_TOKEN="+testToken)
		server := []string{w.program, "mcp", "--image", busybox, "--answer-within", "8s"}
		url := w.serveHTTP("--image", busybox, "--answer-within", "8s")

		t.Run("sdk", func(t *testing.T) {
			w := *w
			w.T, w.env = t, append(w.env, "EXPECT_PROGRESS=1")
			drive := w.script("drive.mjs")
			for _, target := range [][]string{server, {url}} {
				if out := w.run(append([]string{drive}, target...)...); out != "ok\n" {
					t.Errorf("%v: %q", target, out)
				}
			}
		})
		t.Run("inspector", func(t *testing.T) {
			w := *w
			w.T = t
			inspect := func(target []string, args ...string) string {
				t.Helper()
				return w.run(append(append([]string{w.bin("mcp-inspector"), "--cli"}, target...), args...)...)
			}
			over := []string{url, "--transport", "http", "--header", "Authorization: Bearer " + testToken}
			// It gives a server nothing of its own environment.
			started := append([]string{"-e", w.place[0], "-e", w.place[1]}, server...)
			for _, target := range [][]string{started, over} {
				// With --strict: the schemas are such that all known clients take them.
				if out := inspect(target, "--method", "tools/list", "--strict"); !strings.Contains(out, `"run_command"`) || !strings.Contains(out, `"file_edit"`) {
					t.Errorf("%s", last(out, 2000))
				}
				if out := inspect(target, "--method", "tools/call", "--tool-name", "run_code", "--tool-arg", "language=sh", "--tool-arg", "code=echo $((6 * 7))"); !strings.Contains(out, `"stdout": "42\n"`) {
					t.Errorf("%s", out)
				}
			}
			if out := inspect(started, "--method", "resources/templates/list"); !strings.Contains(out, fileTemplate) {
				t.Errorf("%s", out)
			}
		})
	})
}

// TestSuiteConformance: the protocol's own scenarios for servers, but for those
// that testdata/clients/conformance.yaml lists with the reason.
func TestSuiteConformance(t *testing.T) {
	t.Parallel()
	onOne(t, func(t *testing.T, e testEngine) {
		w := openWorkshop(t, e)
		if w == nil {
			return
		}
		expected, err := filepath.Abs("testdata/clients/conformance.yaml")
		if err != nil {
			t.Fatal(err)
		}
		out := w.run(w.bin("conformance"), "server", "--url", w.serveHTTP("--image", busybox), "--suite", "all", "--expected-failures", expected)
		_, summary, _ := strings.Cut(out, "=== SUMMARY ===")
		t.Log(summary)
		for _, name := range []string{"server-initialize", "ping", "tools-list", "dns-rebinding-protection"} {
			if !strings.Contains(summary, "✓ "+name) {
				t.Errorf("%s did not pass", name)
			}
		}
	})
}
