package pocketdock_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pocketdock/pocketdock"
)

func TestSuiteExitCodes(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		codes := []int{0, 1, 2, 42, 124, 125, 126, 127, 128, 129, 137, 143, 254, 255}
		if info, err := box.Info(t.Context()); err == nil && info.ExecPath == socketWay {
			codes = codes[:0]
			for i := range 256 {
				codes = append(codes, i)
			}
		}
		for _, code := range codes {
			res, err := box.Run(t.Context(), pocketdock.Shell(fmt.Sprintf("exit %d", code)))
			if err != nil || res.ExitCode != code {
				t.Fatalf("exit %d: %+v, %v", code, res, err)
			}
			if res.OK() != (code == 0) {
				t.Errorf("exit %d: OK is %v", code, res.OK())
			}
		}
	})
}

func TestSuiteDeathBySignal(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		for _, sig := range []pocketdock.Signal{pocketdock.SIGKILL, pocketdock.SIGTERM, pocketdock.SIGUSR1} {
			res, err := box.Run(t.Context(), pocketdock.Shell(fmt.Sprintf("kill -%d $$", int(sig))))
			if err != nil || res.ExitCode != 128+int(sig) || res.Signal != int(sig) || res.OK() {
				t.Errorf("%v: %+v, %v", sig, res, err)
			}
		}
	})
}

func TestSuiteStreamsApart(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		res := mustRun(t, box, pocketdock.Shell(`printf out; printf err >&2; printf ' no newline'`))
		if string(res.Stdout) != "out no newline" || string(res.Stderr) != "err" {
			t.Errorf("stdout %q, stderr %q", res.Stdout, res.Stderr)
		}
		if res.Duration <= 0 || res.Duration > 20*time.Second {
			t.Errorf("duration %v", res.Duration)
		}
	})
}

func TestSuiteArgumentsAreExact(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		args := []string{"", "a b", "'", `"`, "$HOME", "line\nbreak", "ü", "\xff\xfe", "-n", "*", strings.Repeat("x", 100_000)}
		// JSON replaces what is not UTF-8: the engine's API cannot say it.
		if info, err := box.Info(t.Context()); err == nil && info.ExecPath == engineWay {
			args = append(args[:7], args[8:]...)
		}
		res := mustRun(t, box, pocketdock.Argv(append([]string{"printf", `%s\n--\n`}, args...)...))
		if want := strings.Join(args, "\n--\n") + "\n--\n"; string(res.Stdout) != want {
			t.Errorf("got %.200q", res.Stdout)
		}
	})
}

func TestSuiteEnvDirUser(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		cmd := pocketdock.Shell(`echo "$X|$PWD|$(id -u):$(id -g)"`)
		cmd.Env = map[string]string{"X": "a=b c\nd"}
		cmd.Dir, cmd.User = "/tmp", "sandbox"
		if res := mustRun(t, box, cmd); string(res.Stdout) != "a=b c\nd|/tmp|1000:1000\n" {
			t.Errorf("by name: %q", res.Stdout)
		}
		cmd.User = "12345:54321"
		if res := mustRun(t, box, cmd); !strings.HasSuffix(string(res.Stdout), "|12345:54321\n") {
			t.Errorf("by number: %q", res.Stdout)
		}
	})
}

func TestSuiteCommandNotFound(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		for _, c := range []struct {
			argv0 string
			kind  error
			code  int
		}{
			{"no-such-program", pocketdock.ErrCommandNotFound, 127},
			{"/no/such/program", pocketdock.ErrCommandNotFound, 127},
			{"/etc/passwd", pocketdock.ErrCommandNotExecutable, 126},
		} {
			_, err := box.Run(t.Context(), pocketdock.Argv(c.argv0, "x"))
			ce, ok := errors.AsType[*pocketdock.CommandError](err)
			if !errors.Is(err, c.kind) || !ok || ce.ExitCode() != c.code || !strings.Contains(err.Error(), c.argv0) {
				t.Errorf("%s: %v", c.argv0, err)
			}
		}
		// A shell's own 127 is a result.
		res, err := box.Run(t.Context(), pocketdock.Shell("no-such-program"))
		if err != nil || res.ExitCode != 127 {
			t.Errorf("in a shell: %+v, %v", res, err)
		}
	})
}

// random is a stream of random bytes that hashes what was read of it.
type random struct {
	r    *rand.ChaCha8
	left int64
	sum  hash.Hash
}

func newRandom(n int64) *random {
	return &random{rand.NewChaCha8([32]byte{1, 2, 3}), n, sha256.New()}
}

func (r *random) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.left)]
	r.r.Read(p)
	r.sum.Write(p)
	r.left -= int64(len(p))
	return len(p), nil
}

// bulk is what the tests of large amounts move, in bytes.
func bulk() int64 {
	if testing.Short() {
		return 8 << 20
	}
	return 100 << 20
}

// TestSuiteBulkBothStreams sends random bytes through stdin to stdout and
// stderr at once.
func TestSuiteBulkBothStreams(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		in := newRandom(bulk())
		out, errs := sha256.New(), sha256.New()
		cmd := pocketdock.Shell("tee /dev/stderr")
		cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Timeout = in, out, errs, 10*time.Minute
		mustRun(t, box, cmd)
		if in.left != 0 {
			t.Errorf("%d bytes of input were not read", in.left)
		}
		want := in.sum.Sum(nil)
		if !bytes.Equal(out.Sum(nil), want) || !bytes.Equal(errs.Sum(nil), want) {
			t.Error("the output is not the input")
		}
	})
}

func TestSuiteHalfClosedInput(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		cmd := pocketdock.Shell("cat; sleep 0.3; echo after")
		cmd.Stdin = strings.NewReader("input ")
		if res := mustRun(t, box, cmd); string(res.Stdout) != "input after\n" {
			t.Errorf("got %q", res.Stdout)
		}
		// A command that does not read its input does not hang, nor fail.
		cmd = pocketdock.Argv("true")
		cmd.Stdin = newRandom(4 << 20)
		mustRun(t, box, cmd)
		// Without input there is none.
		if res := mustRun(t, box, pocketdock.Argv("cat")); len(res.Stdout) != 0 {
			t.Errorf("without input: %q", res.Stdout)
		}
	})
}

func TestSuiteSplitCharacters(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		// One byte at a time, with time between.
		s, err := box.Stream(t.Context(), pocketdock.Shell(`for b in '\303' '\251' '\342' '\202' '\254' '\360' '\237' '\220' '\263'; do printf "$b"; sleep 0.02; done`))
		if err != nil {
			t.Fatal(err)
		}
		var all []byte
		for c := range s.Chunks() {
			if !utf8.Valid(c.Data) {
				t.Errorf("chunk % x is not whole characters", c.Data)
			}
			all = append(all, c.Data...)
		}
		if res, err := s.Result(); err != nil || !res.OK() {
			t.Errorf("%+v, %v", res, err)
		}
		if string(all) != "é€🐳" {
			t.Errorf("got %q", all)
		}
	})
}

func TestSuiteStreamIsLive(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		cmd := pocketdock.Shell("echo first; read x; echo got $x >&2; exit 7")
		cmd.Stdin = pocketdock.Interactive
		s, err := box.Stream(t.Context(), cmd)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for c := range s.Chunks() {
			got = append(got, c.Stream.String()+" "+string(c.Data))
			if len(got) == 1 {
				// The command waits for us: its output came while it runs.
				if _, err := io.WriteString(s, "second\n"); err != nil {
					t.Fatal(err)
				}
			}
		}
		res, err := s.Result()
		if err != nil || res.ExitCode != 7 {
			t.Errorf("%+v, %v", res, err)
		}
		if want := "stdout first\n,stderr got second\n"; strings.Join(got, ",") != want {
			t.Errorf("got %q", got)
		}
	})
}

func TestSuiteOutputCap(t *testing.T) {
	onEach(t, []string{socketWay, engineWay}, func(t *testing.T, box *pocketdock.Container) {
		cmd := pocketdock.Shell("seq 1 200000; echo end >&2")
		cmd.MaxOutput = 1000
		res := mustRun(t, box, cmd)
		const total = 1288895 // bytes of seq 1 200000: 9·2+90·3+900·4+9000·5+90000·6+100001·7
		if !res.Truncated() || res.StderrDropped != 0 || string(res.Stderr) != "end\n" {
			t.Errorf("dropped %d and %d, stderr %q", res.StdoutDropped, res.StderrDropped, res.Stderr)
		}
		head, tail, ok := strings.Cut(string(res.Stdout), fmt.Sprintf("\n[... %d bytes dropped ...]\n", res.StdoutDropped))
		if !ok || int64(len(head)+len(tail))+res.StdoutDropped != total {
			t.Errorf("%d + %d kept, %d dropped of %d", len(head), len(tail), res.StdoutDropped, total)
		}
		if !strings.HasPrefix(head, "1\n2\n") || !strings.HasSuffix(tail, "\n200000\n") {
			t.Errorf("kept %.20q … %q", head, tail[max(0, len(tail)-20):])
		}
	})
}

// TestSuiteTimeout: output so far is kept, and the call returns.
func TestSuiteTimeout(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		cmd := pocketdock.Shell("echo before; sleep 60; echo after")
		cmd.Timeout = 300 * time.Millisecond
		begun := time.Now()
		res, err := box.Run(t.Context(), cmd)
		if err != nil || !res.TimedOut || res.OK() {
			t.Fatalf("%+v, %v", res, err)
		}
		if string(res.Stdout) != "before\n" {
			t.Errorf("stdout %q", res.Stdout)
		}
		if d := time.Since(begun); d > 10*time.Second {
			t.Errorf("took %v", d)
		}
		mustRun(t, box, pocketdock.Argv("true")) // the container stays
		noProcess(t, box, "sleep 60")
	})
}

// noProcess checks that no process in the container has a command line.
func noProcess(t *testing.T, box *pocketdock.Container, cmdline string) {
	t.Helper()
	eventually(t, 10*time.Second, "no process "+cmdline, func() bool {
		res := mustRun(t, box, pocketdock.Shell("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null; echo; done; true"))
		for line := range strings.Lines(string(res.Stdout)) {
			if strings.HasPrefix(line, cmdline) {
				return false
			}
		}
		return true
	})
}

func TestSuiteTerminal(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		cmd := pocketdock.Shell("echo up; read x; stty size; read x; stty size; test -t 0 && echo is a tty")
		cmd.Terminal = &pocketdock.TerminalSize{Rows: 33, Cols: 111}
		cmd.Stdin = pocketdock.Interactive
		s, err := box.Stream(t.Context(), cmd)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var all string
		sized := false
		for c := range s.Chunks() {
			all += string(c.Data)
			if all == "up\r\n" {
				if _, err := io.WriteString(s, "go\n"); err != nil {
					t.Fatal(err)
				}
			}
			if !sized && strings.Contains(all, "111") {
				sized = true
				if err := s.Resize(pocketdock.TerminalSize{Rows: 44, Cols: 99}); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(s, "go\n"); err != nil {
					t.Fatal(err)
				}
			}
		}
		if res, err := s.Result(); err != nil || !res.OK() {
			t.Errorf("%+v, %v", res, err)
		}
		all = strings.ReplaceAll(all, "\r\n", "\n")
		if !strings.Contains(all, "\n33 111\n") || !strings.HasSuffix(all, "44 99\nis a tty\n") {
			t.Errorf("got %q", all)
		}
	})
}

func TestSuiteCode(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := create(t, e, python, pocketdock.CreateOptions{})
		cmd := pocketdock.Code("python", "import os,sys\nprint(sys.stdin.read(), os.getuid())\nsys.exit(5)")
		cmd.Stdin = strings.NewReader("in")
		res, err := box.Run(t.Context(), cmd)
		if err != nil || res.ExitCode != 5 || string(res.Stdout) != "in 1000\n" {
			t.Fatalf("%+v, %v", res, err)
		}
		// Source text is not limited as an argument is, and leaves nothing behind.
		long := "x = '''" + strings.Repeat("y", 3<<20) + "'''\nprint(len(x))"
		if res := mustRun(t, box, pocketdock.Code("python", long)); string(res.Stdout) != fmt.Sprintln(3<<20) {
			t.Errorf("long source: %.100q", res.Stdout)
		}
		if res := mustRun(t, box, pocketdock.Shell("ls /tmp")); len(res.Stdout) != 0 {
			t.Errorf("left in /tmp: %s", res.Stdout)
		}
		if _, err := box.Run(t.Context(), pocketdock.Code("cobol", "x")); !errors.Is(err, pocketdock.ErrInvalid) || !strings.Contains(err.Error(), "python") {
			t.Errorf("unknown language: %v", err)
		}
		if res := mustRun(t, box, pocketdock.Code("bash", "[[ a == a ]] && echo yes")); string(res.Stdout) != "yes\n" {
			t.Errorf("bash: %q", res.Stdout)
		}
	})
}

// TestSuiteConcurrent runs many commands at once beside a stream and, where
// there is an agent, a detached process: none waits for another.
func TestSuiteConcurrent(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		n := 50
		if !strings.HasSuffix(t.Name(), "/"+socketWay) && !strings.Contains(t.Name(), "/docker/") {
			n = 10 // execs of Podman: of more at once it may never tell how they ended
		}
		cmd := pocketdock.Shell("while read x; do echo $x; done")
		cmd.Stdin, cmd.Timeout = pocketdock.Interactive, -1
		s, err := box.Stream(t.Context(), cmd)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				cmd := pocketdock.Shell(fmt.Sprintf("echo out %d; echo err %d >&2; exit %d", i, i, i))
				cmd.Timeout = 5 * time.Minute
				res, err := box.Run(context.WithoutCancel(t.Context()), cmd)
				if err != nil {
					t.Errorf("%d: %v", i, err)
				} else if res.ExitCode != i || string(res.Stdout) != fmt.Sprintf("out %d\n", i) || string(res.Stderr) != fmt.Sprintf("err %d\n", i) {
					t.Errorf("%d: %+v", i, res)
				}
			})
		}
		wg.Wait()
		if _, err := io.WriteString(s, "still\n"); err != nil {
			t.Fatal(err)
		}
		if err := s.CloseInput(); err != nil {
			t.Fatal(err)
		}
		var all string
		for c := range s.Chunks() {
			all += string(c.Data)
		}
		if res, err := s.Result(); err != nil || all != "still\n" {
			t.Errorf("the stream: %q, %+v, %v", all, res, err)
		}
	})
}

// TestSuiteCancel ends the context at different moments.
func TestSuiteCancel(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		boom := errors.New("enough")
		for _, after := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond} {
			ctx, cancel := context.WithCancelCause(t.Context())
			timer := time.AfterFunc(after, func() { cancel(boom) })
			if after == 0 {
				timer.Stop()
				cancel(boom)
			}
			begun := time.Now()
			_, err := box.Run(ctx, pocketdock.Argv("sleep", "61"))
			if !errors.Is(err, boom) {
				t.Errorf("after %v: %v", after, err)
			}
			if d := time.Since(begun); d > after+8*time.Second {
				t.Errorf("after %v: returned after %v", after, d)
			}
			timer.Stop()
			cancel(nil)
			noProcess(t, box, "sleep 61")
		}
	})
}

// TestSuiteWriterFails: a consumer that fails ends the command.
func TestSuiteWriterFails(t *testing.T) {
	onEach(t, allWays, func(t *testing.T, box *pocketdock.Container) {
		full := errors.New("full")
		cmd := pocketdock.Shell("yes 62")
		cmd.Stdout = writerFunc(func(p []byte) (int, error) { return 0, full })
		if _, err := box.Run(t.Context(), cmd); !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
		noProcess(t, box, "yes 62")
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
