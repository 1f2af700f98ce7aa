package mcp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestSuiteRun: what runs something, with good and bad input.
func TestSuiteRun(t *testing.T) {
	onOne(t, func(t *testing.T, e testEngine) {
		c := connect(t, serve(t, e, Options{}), nil)
		var r ran
		text := c.do("run_command", args{"command": "echo out; echo err >&2"}, &r)
		if r.Stdout != "out\n" || r.Stderr != "err\n" || r.ExitCode == nil || *r.ExitCode != 0 || r.Running || r.SandboxID == "" {
			t.Errorf("%+v", r)
		}
		for _, part := range []string{"Exit code 0", "--- stdout\nout\n", "--- stderr\nerr\n"} {
			if !strings.Contains(text, part) {
				t.Errorf("%q does not say %q", text, part)
			}
		}
		if c.do("run_command", args{"command": "true"}, nil); !strings.Contains(c.do("run_command", args{"command": "true"}, nil), "(no output)") {
			t.Error("a command without output does not say so")
		}
		// The default sandbox is one, its files stay, variables do not.
		var again ran
		c.do("run_command", args{"command": "A=b; echo hi >/tmp/f"}, nil)
		c.do("run_command", args{"command": `cat /tmp/f; echo "$A"`}, &again)
		if again.Stdout != "hi\n\n" || again.SandboxID != r.SandboxID {
			t.Errorf("%+v", again)
		}
		c.do("run_command", args{"command": "cat; echo $X; pwd", "stdin": "in\n", "env": args{"X": "y"}, "cwd": "/tmp"}, &r)
		if r.Stdout != "in\ny\n/tmp\n" {
			t.Errorf("%q", r.Stdout)
		}
		c.do("run_code", args{"language": "sh", "code": "echo $((6 * 7))"}, &r)
		if r.Stdout != "42\n" {
			t.Errorf("%q", r.Stdout)
		}

		// Some models give every argument that there is.
		c.do("run_command", args{"command": "echo null", "stdin": nil, "env": nil, "timeout_seconds": nil, "sandbox_id": nil, "images": nil}, &r)
		if r.Stdout != "null\n" {
			t.Errorf("%q", r.Stdout)
		}

		// Failures of the command are results with isError, and typed.
		structured(t, c.fails("run_command", args{"command": "echo before; exit 3"}, "Exit code 3", "before"), &r)
		if *r.ExitCode != 3 || r.Stdout != "before\n" {
			t.Errorf("%+v", r)
		}
		structured(t, c.fails("run_command", args{"command": "echo before; sleep 60", "timeout_seconds": 0.5}, "timeout", "before"), &r)
		if !r.TimedOut || r.Running {
			t.Errorf("%+v", r)
		}
		c.fails("run_command", args{"command": "no-such-program"}, "Exit code 127", "not found")
		c.fails("run_code", args{"language": "ruby", "code": "1"}, "ruby", "sandbox_create")
		c.fails("run_command", args{"command": "true", "sandbox_id": "pd-nobodys"}, "pd-nobodys", "sandbox_list")
		c.fails("run_command", args{"command": "true", "cwd": "/no/such"}, "/no/such")
		// Input that makes no sense is refused before anything is done.
		for _, bad := range []args{
			{}, {"command": ""}, {"command": 1}, {"command": "true", "timeout_seconds": -1}, {"command": "true", "no_such": 1},
			{"command": "true", "env": args{"A=B": "c"}}, {"command": "true", "background": true, "images": []string{"x.png"}},
		} {
			c.fails("run_command", bad)
		}
		for _, bad := range []args{{"code": "x"}, {"language": "cobol", "code": "x"}, {"language": "sh", "code": ""}} {
			c.fails("run_code", bad)
		}
	})
}

// TestSuiteOutputIsCut: an answer has the beginning and the end, says what is
// missing, and process_read gets exactly that.
func TestSuiteOutputIsCut(t *testing.T) {
	onOne(t, func(t *testing.T, e testEngine) {
		c := connect(t, serve(t, e, Options{MaxOutput: 3000}), nil)
		var r ran
		text := c.do("run_command", args{"command": "i=0; while [ $i -lt 2000 ]; do echo line $i ä; i=$((i+1)); done"}, &r)
		whole := ""
		for i := range 2000 {
			whole += fmt.Sprintf("line %d ä\n", i)
		}
		if r.StdoutBytes != int64(len(whole)) || r.StdoutOmitted == 0 || !strings.HasPrefix(r.Stdout, "line 0 ä\n") || !strings.HasSuffix(r.Stdout, "line 1999 ä\n") {
			t.Fatalf("%d bytes, %d omitted: %q", r.StdoutBytes, r.StdoutOmitted, r.Stdout)
		}
		mark := fmt.Sprintf("%d of %d bytes are left out", r.StdoutOmitted, len(whole))
		if !strings.Contains(text, mark) || !strings.Contains(r.Stdout, mark) || !strings.Contains(text, "process_read") || strings.ContainsRune(text, '\ufffd') {
			t.Errorf("%q", text)
		}
		var got strings.Builder
		at := args{"process_id": r.ProcessID}
		for {
			var o processOutput
			c.do("process_read", at, &o)
			got.WriteString(o.Stdout)
			at["stdout_offset"] = o.StdoutOffset
			if o.Running || o.StdoutMore == 0 {
				break
			}
		}
		if got.String() != whole {
			t.Errorf("read again: %d bytes, not %d", got.Len(), len(whole))
		}
	})
}

// TestSuiteLongWork: a command that takes longer than the client would wait
// goes on, tells of itself meanwhile, and is read to its end.
func TestSuiteLongWork(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, e testEngine) {
		s := serve(t, e, Options{})
		s.progressEvery = 100 * time.Millisecond
		var told atomic.Int32
		c := connect(t, s, &sdk.ClientOptions{ProgressNotificationHandler: func(context.Context, *sdk.ProgressNotificationClientRequest) { told.Add(1) }})
		c.do("sandbox_info", nil, nil) // makes it, so that its making is not part of the time
		s.opts.AnswerWithin = 2 * time.Second
		p := &sdk.CallToolParams{Name: "run_command", Arguments: args{"command": "for i in 1 2 3 4 5 6; do echo $i; sleep 1; done; exit 4"}}
		p.SetProgressToken("t")
		begun := time.Now()
		res, err := c.CallTool(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		var r ran
		structured(t, res, &r)
		if res.IsError || !r.Running || r.ExitCode != nil || !strings.HasPrefix(r.Stdout, "1\n") || time.Since(begun) > 6*time.Second {
			t.Fatalf("after %v: %+v", time.Since(begun), r)
		}
		if told.Load() == 0 {
			t.Error("no progress was told")
		}
		if text := textOf(res); !strings.Contains(text, "Still running") || !strings.Contains(text, "process_read") || !strings.Contains(text, r.ProcessID) {
			t.Errorf("%q", text)
		}
		out, at := r.Stdout, args{"process_id": r.ProcessID, "stdout_offset": r.StdoutBytes, "wait_seconds": 60}
		var o processOutput
		for deadline := time.Now().Add(time.Minute); ; {
			c.do("process_read", at, &o)
			out += o.Stdout
			at["stdout_offset"] = o.StdoutOffset
			if !o.Running || time.Now().After(deadline) {
				break
			}
		}
		if out != "1\n2\n3\n4\n5\n6\n" || o.ExitCode == nil || *o.ExitCode != 4 {
			t.Errorf("%q, %+v", out, o)
		}
	})
}

// TestSuiteShortWait: where there is hardly any time to wait, as after a
// moment in which the machine stood still, a process is read all the same.
func TestSuiteShortWait(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, e testEngine) {
		c := connect(t, serve(t, e, Options{}), nil)
		var r ran
		c.do("run_command", args{"command": "echo begun; sleep 1000", "background": true}, &r)
		for _, wait := range []float64{1e-9, 1e-6, 1e-5, 1e-4, 1e-3} {
			var o processOutput
			c.do("process_read", args{"process_id": r.ProcessID, "stdout_offset": 6, "wait_seconds": wait}, &o)
			if !o.Running || o.ProcessID != r.ProcessID {
				t.Errorf("%g s: %+v", wait, o)
			}
		}
		c.do("process_kill", args{"process_id": r.ProcessID}, nil)
	})
}

// long reports whether the test that takes ten minutes is to run.
func long() bool { return os.Getenv("POCKETDOCK_TEST_LONG") != "" }

// TestSuiteTenMinutes: a command of ten minutes survives a client that waits
// for no answer longer than 20 seconds. scripts/test asks for it: it does not
// take the machine's time, but ten minutes.
func TestSuiteTenMinutes(t *testing.T) {
	if !long() {
		t.Skip("POCKETDOCK_TEST_LONG is not set")
	}
	onEngines(t, func(t *testing.T, e testEngine) {
		c := connect(t, serve(t, e, Options{AnswerWithin: 5 * time.Second}), nil)
		call := func(tool string, a args) *sdk.CallToolResult {
			for {
				still := stoodStill()
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				res, err := c.CallTool(ctx, &sdk.CallToolParams{Name: tool, Arguments: a})
				cancel()
				if d := still(); err != nil && tool == "process_read" && d > 5*time.Second {
					t.Logf("the machine stood still for %v: %v", d, err) // a virtual one does when it is saved
					continue
				}
				if err != nil {
					t.Fatalf("%s: %v", tool, err)
				}
				return res
			}
		}
		const minutes = 10
		begun := time.Now()
		var r ran
		structured(t, call("run_command", args{"command": fmt.Sprintf("for i in $(seq %d); do echo $i; sleep 60; done; exit 4", minutes), "timeout_seconds": 3600}), &r)
		out, at := r.Stdout, args{"process_id": r.ProcessID, "stdout_offset": r.StdoutBytes, "wait_seconds": 60}
		o := processOutput{ended: r.ended}
		for o.Running && time.Since(begun) < 2*minutes*time.Minute {
			res := call("process_read", at)
			if res.IsError && strings.Contains(textOf(res), errTooSlow.Error()) {
				continue // it has answered, and the next time it may know more
			}
			if res.IsError {
				t.Fatalf("process_read after %v: %s", time.Since(begun), textOf(res))
			}
			o = processOutput{}
			structured(t, res, &o)
			out += o.Stdout
			at["stdout_offset"] = o.StdoutOffset
		}
		if out != "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n" || o.ExitCode == nil || *o.ExitCode != 4 || time.Since(begun) < minutes*time.Minute {
			t.Errorf("after %v: %q, %+v", time.Since(begun), out, o)
		}
	})
}

// stoodStill measures for how long, at most, nothing ran on this machine until
// the function that it returns is called.
func stoodStill() func() time.Duration {
	stop, longest := make(chan struct{}), make(chan time.Duration)
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		var most time.Duration
		for last := time.Now(); ; {
			select {
			case <-tick.C:
				most, last = max(most, time.Since(last)), time.Now()
			case <-stop:
				longest <- max(most, time.Since(last))
				return
			}
		}
	}()
	return func() time.Duration { close(stop); return <-longest }
}

// TestSuiteCancel: cancelling a request kills its command with all that it
// started, and cancelling a read does not.
func TestSuiteCancel(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		c := connect(t, serve(t, e, Options{}), nil)
		var bg ran
		c.do("run_command", args{"command": "sleep 300", "background": true}, &bg)
		if !bg.Running {
			t.Fatalf("%+v", bg)
		}
		runs := func() string {
			var r ran
			c.do("run_command", args{"command": `for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline; echo; done`}, &r)
			return r.Stdout
		}
		for _, call := range []*sdk.CallToolParams{
			{Name: "run_command", Arguments: args{"command": "touch /tmp/up; (setsid sleep 301 &) ; sleep 302"}},
			{Name: "process_read", Arguments: args{"process_id": bg.ProcessID, "wait_seconds": 40}},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := c.CallTool(ctx, call)
				ended <- err
			}()
			if call.Name == "run_command" {
				eventually(t, 30*time.Second, "the command runs", func() bool { return strings.Contains(runs(), "sleep 301") })
			}
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", call.Name, err)
			}
		}
		eventually(t, 30*time.Second, "the cancelled command is gone", func() bool {
			s := runs()
			return !strings.Contains(s, "sleep 301") && !strings.Contains(s, "sleep 302")
		})
		if !strings.Contains(runs(), "sleep 300") {
			t.Error("cancelling a read killed the process")
		}
	})
}

// TestSuiteProcess: a process in the background, written to, read and killed.
func TestSuiteProcess(t *testing.T) {
	onOne(t, func(t *testing.T, e testEngine) {
		c := connect(t, serve(t, e, Options{}), nil)
		var r ran
		c.do("run_command", args{"command": "while read x; do echo got $x; done; echo end", "background": true}, &r)
		if !r.Running || r.ProcessID == "" {
			t.Fatalf("%+v", r)
		}
		id := r.ProcessID
		c.do("process_write", args{"process_id": id, "text": "one\n"}, nil)
		var o processOutput
		c.do("process_read", args{"process_id": id, "wait_seconds": 20}, &o)
		if o.Stdout != "got one\n" || !o.Running || o.StdoutOffset != 8 {
			t.Errorf("%+v", o)
		}
		c.do("process_write", args{"process_id": id, "text": "two\n", "end": true}, nil)
		c.do("process_read", args{"process_id": id, "stdout_offset": o.StdoutOffset, "wait_seconds": 20, "until_exit": true}, &o)
		if o.Stdout != "got two\nend\n" || o.Running || *o.ExitCode != 0 {
			t.Errorf("%+v", o)
		}
		c.do("process_read", args{"process_id": id, "stdout_offset": -4}, &o)
		if o.Stdout != "end\n" {
			t.Errorf("from the end: %+v", o)
		}

		c.do("run_command", args{"command": "trap 'echo int' INT; while :; do sleep 0.1; done", "background": true}, &r)
		c.do("process_kill", args{"process_id": r.ProcessID, "signal": "INT"}, nil)
		c.do("process_read", args{"process_id": r.ProcessID, "wait_seconds": 20}, &o)
		if o.Stdout != "int\n" || !o.Running {
			t.Errorf("%+v", o)
		}
		var k processKilled
		if text := c.do("process_kill", args{"process_id": r.ProcessID}, &k); k.Running || !strings.Contains(text, "Exit code") {
			t.Errorf("%q, %+v", text, k)
		}
		// What fails at once shows at once.
		c.fails("run_command", args{"command": "exit 7", "background": true}, "Exit code 7")
		for name, a := range map[string]args{"process_read": {}, "process_write": {"text": "x"}, "process_kill": {}} {
			a["process_id"] = "p999"
			c.fails(name, a, "p999", "sandbox_info")
			a["process_id"] = ""
			c.fails(name, a, "process_id")
		}
		c.fails("process_kill", args{"process_id": id, "signal": "NOPE"}, "NOPE")
		c.fails("process_read", args{"process_id": id, "wait_seconds": -1})
		c.do("process_kill", args{"process_id": id}, nil) // one that has ended is no error
	})
}
