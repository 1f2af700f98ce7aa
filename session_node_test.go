package pocketdock_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// nodeSession is TestSuiteSessionPython for node, which only its profile has.
func nodeSession(t *testing.T, box *pocketdock.Container) {
	s := openSession(t, box, pocketdock.Command{Lang: "node"})
	for _, row := range []struct {
		text, stdout, stderr string // stderr "*x" contains x
		code                 int
	}{
		{"x = 6", "6\n", "", 0},
		{"x * 7", "42\n", "", 0},
		{"const y = 1; let z = 2", "", "", 0},
		{"y + z", "3\n", "", 0},
		{"console.error('e'); console.log('o')", "o\n", "e\n", 0},
		{"function f(n) {\n  return n + 1\n}\nf(1)", "2\n", "", 0},
		{"throw new Error('no')", "", "*Error: no", 1},
		{"(", "", "*SyntaxError", 1},
		{"await new Promise(r => setTimeout(() => r(5), 20))", "5\n", "", 0},
		{"process.stdin.read()", "null\n", "", 0},
		{"require('child_process').spawnSync('sh', ['-c', 'ls /proc/self/fd']).stdout.toString()", "'0\\n1\\n2\\n3\\n'\n", "", 0},
	} {
		res := send(t, s, row.text)
		want, part := strings.CutPrefix(row.stderr, "*")
		errOK := string(res.Stderr) == row.stderr || part && strings.Contains(string(res.Stderr), want)
		if string(res.Stdout) != row.stdout || !errOK || res.ExitCode != row.code {
			t.Errorf("%q: %q, %q, %d", row.text, res.Stdout, res.Stderr, res.ExitCode)
		}
	}
	for _, text := range []string{"while (true) {}", "await new Promise(r => setTimeout(r, 100000))"} {
		res, err := s.SendAndWait(t.Context(), text, pocketdock.SendOptions{Timeout: 300 * time.Millisecond, Grace: 3 * time.Second})
		if err != nil || !res.TimedOut || res.Closed || res.ExitCode != 130 {
			t.Errorf("%q: %+v, %v", text, res, err)
		}
	}
	send(t, s, "process.chdir('/tmp'); process.env.A = 'b'")
	if dir, err := s.Dir(t.Context()); err != nil || dir != "/tmp" {
		t.Errorf("directory %q, %v", dir, err)
	}
	if env, err := s.Env(t.Context()); err != nil || env["A"] != "b" {
		t.Errorf("environment %q, %v", env["A"], err)
	}
	if res := send(t, s, "process.exit(3)"); !res.Closed || res.ExitCode != 3 {
		t.Errorf("exit: %+v", res)
	}
}
