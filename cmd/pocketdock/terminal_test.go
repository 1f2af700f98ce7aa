//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/term"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/enginetest"
)

// A pane is a real terminal, tmux's, with a shell in it that somebody types into.
type pane struct {
	t      *testing.T
	socket string
	env    []string
}

func newPane(t *testing.T, env ...string) *pane {
	if _, err := exec.LookPath("tmux"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no tmux: scripts/engines tools installs it")
		}
		t.Skip("no tmux to type into")
	}
	// Of a short path: that of a socket is limited to 107 bytes.
	dir, err := os.MkdirTemp("", "pd")
	if err != nil {
		t.Fatal(err)
	}
	p := &pane{t, dir + "/tmux", append(os.Environ(), env...)}
	p.env = append(p.env, "ENV=", "LC_ALL=C.UTF-8", "TMUX=", "SHELL=/bin/sh")
	t.Cleanup(func() {
		p.tmux("kill-server")
		os.RemoveAll(dir)
	})
	p.tmux("new-session", "-d", "-x", "80", "-y", "24", "sh")
	p.line("PS1='here> '; tty=$(stty -g); clear")
	p.shows(`(?m)^here> $`)
	return p
}

func (p *pane) tmux(args ...string) string {
	p.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", p.socket, "-f", "/dev/null", "-u"}, args...)...)
	cmd.Env = p.env
	out, err := cmd.CombinedOutput()
	if err != nil && args[0] != "kill-server" {
		p.t.Fatalf("tmux %s: %v: %s", args, err, out)
	}
	return string(out)
}

// line types a line and Enter.
func (p *pane) line(text string) {
	p.t.Helper()
	p.tmux("send-keys", "-l", text)
	p.keys("Enter")
}

// keys types keys by name, such as C-c.
func (p *pane) keys(names ...string) {
	p.t.Helper()
	p.tmux(append([]string{"send-keys"}, names...)...)
}

// shows waits until the screen matches. What is typed is on it, too: patterns
// are of what only comes out.
func (p *pane) shows(pattern string) {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	eventually(p.t, func() bool { return re.MatchString(p.screen()) },
		func() string { return fmt.Sprintf("the screen never showed %s:\n%s", pattern, p.screen()) })
}

// eventually waits until something is so.
func eventually(t *testing.T, ok func() bool, complaint func() string) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second) // seconds were seen with three suites at once
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal(complaint())
		}
		time.Sleep(30 * time.Millisecond)
	}
}

// inside types a line at the prompt of busybox's shell. That asks the terminal
// where its cursor is, and drops what is typed behind the answer until it has
// read it, under docker exec, too: a letter that shows is the sign.
func (p *pane) inside(text string) {
	p.t.Helper()
	p.shows(`/ # $`)
	probe := regexp.MustCompile(`/ # x+$`)
	for !probe.MatchString(p.screen()) {
		p.keys("x")
		for range 20 {
			if probe.MatchString(p.screen()) {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	p.keys("C-u")
	p.shows(`/ # +$`)
	p.line(text)
}

func (p *pane) screen() string {
	p.t.Helper()
	return strings.TrimRight(p.tmux("capture-pane", "-p", "-J"), "\n")
}

// sane asserts that the terminal is as it was: with all its settings, and the
// first of its two screens.
func (p *pane) sane(mark string) {
	p.t.Helper()
	p.line("clear; test \"$(stty -g)\" = \"$tty\" || stty -a; echo " + mark + "$((1+1))")
	p.shows(`(?m)^` + mark + `2`)
	if strings.Contains(p.screen(), "icanon") {
		p.t.Errorf("the terminal is not as it was:\n%s", p.screen())
	}
	if got := p.tmux("display-message", "-p", "#{alternate_on}#{cursor_flag}#{mouse_any_flag}"); strings.TrimSpace(got) != "010" {
		p.t.Errorf("alternate screen, cursor, mouse: %s", got)
	}
}

// onTerminals runs a test on each engine, with a sandbox and a terminal.
func onTerminals(t *testing.T, test func(t *testing.T, p *pane, box *pocketdock.Container)) {
	onBox(t, func(t *testing.T, box *pocketdock.Container) {
		test(t, newPane(t, environment(box)...), box)
	})
}

// environment is that of a process of the command that uses a sandbox.
func environment(box *pocketdock.Container) []string {
	state := filepath.Dir(filepath.Dir(box.DataPath())) // of STATE/c/BOX
	return []string{"POCKETDOCK_SOCKET=" + box.Socket(), "POCKETDOCK_STATE_DIR=" + state, "BOX=" + box.Name()}
}

// onBox runs a test on each engine, with a sandbox.
func onBox(t *testing.T, test func(t *testing.T, box *pocketdock.Container)) {
	for _, e := range testEngines(t) {
		t.Run(e.Name, func(t *testing.T) { test(t, newBox(t, e, testImage, pocketdock.CreateOptions{})) })
	}
}

func testEngines(t testing.TB) []enginetest.Engine {
	engines, err := enginetest.Engines()
	if err != nil {
		t.Fatal(err)
	}
	return engines
}

// firstEngine is one of those that are there, for what is the same on all. As
// root there may be none: the tests of rootless Podman run as its user.
func firstEngine(t testing.TB) []enginetest.Engine {
	engines := testEngines(t)
	return engines[:min(1, len(engines))]
}

// newBox is a sandbox of a state directory of its own.
func newBox(t *testing.T, e enginetest.Engine, image string, o pocketdock.CreateOptions) *pocketdock.Container {
	state, err := os.MkdirTemp("", "pd")
	if err != nil {
		t.Fatal(err)
	}
	client := &pocketdock.Client{Socket: e.Socket, StateDir: state}
	t.Cleanup(func() {
		if err := removeAll(client, "none"); err != nil {
			t.Error(err)
		}
		os.RemoveAll(state)
	})
	o.Name = uniqueName()
	box, err := client.Create(t.Context(), image, o)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// TestSuiteShell types into a shell as people do.
func TestSuiteShell(t *testing.T) {
	onTerminals(t, func(t *testing.T, p *pane, box *pocketdock.Container) {
		p.line("pocketdock shell --detach-keys ctrl-p,ctrl-q $BOX; echo code=$?")
		p.shows(`/ # $`)

		// UTF-8 both ways, and the size, also when it changes.
		p.inside("echo $((40+2)) ü€漢 $TERM; stty size")
		p.shows(`(?m)^42 ü€漢 \S*(tmux|screen|xterm)\S*\s+24 80`)
		p.tmux("resize-window", "-x", "100", "-y", "30")
		p.inside("until stty size | grep '30 100'; do sleep 0.1; done")
		p.shows(`(?m)^30 100`)

		// Ctrl-C, Ctrl-Z, and Ctrl-P, which alone is the shell's.
		p.inside("echo begun $((1+1)); sleep 1000")
		p.shows(`begun 2`)
		p.keys("C-c")
		p.inside("echo int $((100+$?))")
		p.shows(`int 230`)
		p.inside("echo begun $((2+2)); sleep 1001")
		p.shows(`begun 4`)
		eventuallyRuns(t, box, "sleep 1001")
		p.keys("C-z")
		p.shows(`Stopped.*sleep 1001`)
		p.inside("kill -9 %1; wait; echo history $((20+3))")
		p.shows(`history 23`)
		p.shows(`/ # $`)
		p.keys("C-l", "C-p")
		p.shows(`echo history`)
		p.keys("Enter")
		p.shows(`(?m)^history 23`)

		// A paste of many lines arrives whole.
		var text strings.Builder
		for i := range 200 {
			fmt.Fprintf(&text, "line %d of a paste\n", i)
		}
		p.inside("cat > /tmp/pasted; clear")
		eventuallyRuns(t, box, "cat") // the shell drops what comes before
		p.tmux("set-buffer", text.String())
		p.tmux("paste-buffer")
		p.keys("C-d")
		p.shows(`\A/ # $`)
		p.inside("echo pasted $(wc -l < /tmp/pasted)")
		p.shows(`pasted 200`)
		if got, err := box.ReadFile(t.Context(), "/tmp/pasted"); err != nil || string(got) != text.String() {
			t.Errorf("%d bytes pasted became %d: %v", text.Len(), len(got), err)
		}

		// A full-screen program.
		p.inside("vi /tmp/note")
		p.shows(`(?m)^~`)
		p.keys("i")
		p.tmux("send-keys", "-l", "written in vi")
		p.shows(`^written in vi`)
		p.keys("Escape") // and what follows at once is taken for one sequence
		p.shows(`(?m)^- /tmp/note`)
		p.line(":wq")
		p.inside("clear; sed 's/in/with/' /tmp/note; exit 7")
		p.shows(`(?m)^written with vi`)
		p.shows(`code=7`)
		p.sane("exit")

		// Ctrl-D.
		p.line("clear; pocketdock shell --command 'sh' $BOX; echo code=$?")
		p.shows(`/ # $`)
		p.keys("C-d")
		p.shows(`code=0`)
		p.sane("eof")
	})
}

// eventuallyRuns waits until a command line is in the sandbox's process list.
func eventuallyRuns(t *testing.T, box *pocketdock.Container, line string) {
	t.Helper()
	res, err := box.Run(t.Context(), pocketdock.Shell("until ps -o args | grep -qx '"+line+"'; do sleep 0.05; done"))
	if err != nil || !res.OK() {
		t.Fatalf("%s never ran: %v", line, err)
	}
}

// TestSuiteDetach leaves a full-screen program and comes back to it.
func TestSuiteDetach(t *testing.T) {
	onTerminals(t, func(t *testing.T, p *pane, box *pocketdock.Container) {
		p.line("pocketdock shell $BOX; echo code=$?")
		p.inside("seq 1 300 > /tmp/numbers; printf '\\033[?25l\\033[?1000h'; less /tmp/numbers; echo left $((40+4)); exit 9")
		p.shows(`(?m)^20$`)
		p.keys("C-p", "C-q")
		p.shows(`Left running; come back with: pocketdock attach`)
		p.shows(`code=0`)
		p.sane("away")
		p.line("clear; pocketdock ps $BOX; pocketdock logs --history $BOX")
		p.shows(`(?m)^\S+ +running .* sh$`)
		p.shows(`(?m) session +running .* sh$`)
		p.line("clear; id=$(pocketdock ps -q $BOX); pocketdock attach $BOX $id; echo code=$?")
		p.shows(`(?m)^20$`)
		p.keys("Space")
		p.shows(`(?m)^40$`)
		p.keys("q")
		p.shows(`(?m)left 44`)
		p.shows(`code=9`)
		p.sane("back")

		// Once more, to a shell: what was on the screen is there again.
		p.line("clear; pocketdock shell $BOX")
		p.inside("echo remembered $((60+6))")
		p.shows(`remembered 66`)
		p.keys("C-p", "C-q")
		p.shows(`Left running`)
		p.shows(`(?m)^here> $`)
		p.line("clear; pocketdock attach $BOX $(pocketdock ps -q $BOX); echo code=$?")
		p.shows(`remembered 66\s+/ # `)

		// The client is killed: the shell goes with it, the terminal is restored.
		list, err := box.Processes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.inside("exit 3")
		p.shows(`code=3`)
		p.line("clear; pocketdock shell $BOX & fg; echo code=$?")
		p.shows(`/ # $`)
		if out, err := exec.Command("sh", "-c", "kill -TERM $(pgrep -f '[p]ocketdock shell "+box.Name()+"$')").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		p.shows(`code=143`)
		p.sane("killed")
		now, err := box.Processes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, proc := range now {
			if proc.Running {
				t.Errorf("%s %s still runs; there were %d processes", proc.ID, proc.Args, len(list))
			}
		}
	})
}

// TestSuiteUnheard: a process with a terminal that reads nothing says so, and is
// left with Ctrl-C as well.
func TestSuiteUnheard(t *testing.T) {
	onTerminals(t, func(t *testing.T, p *pane, box *pocketdock.Container) {
		p.line("clear; id=$(pocketdock run -d -t $BOX -- sh -c 'echo begun $((1+1)); until [ -e /tmp/go ]; do sleep 0.1; done; echo went on $((1+2)); exec sleep 1000'); pocketdock attach $BOX $id; echo code=$?")
		p.shows(`was started without -i: no key reaches it, Ctrl-C or`)
		p.shows(`begun 2`)
		// What comes now is followed: the terminal is ours.
		if _, err := box.Run(t.Context(), pocketdock.Argv("touch", "/tmp/go")); err != nil {
			t.Fatal(err)
		}
		p.shows(`went on 3`)
		p.keys("x", "Enter", "C-c")
		p.shows(`Left running`)
		p.shows(`code=0`)
		p.sane("unheard")
		p.line("clear; pocketdock ps $BOX")
		p.shows(`(?m)^\S+ +running `)
	})
}

// TestSuiteRunTerminal: run -it is a terminal of its own; a terminal has
// colours and questions, and NO_COLOR and TERM=dumb have none.
func TestSuiteRunTerminal(t *testing.T) {
	onTerminals(t, func(t *testing.T, p *pane, box *pocketdock.Container) {
		p.line("pocketdock run -it $BOX sh; echo code=$?")
		p.inside("stty size; exit 4")
		p.shows(`(?m)^24 80`)
		p.shows(`code=4`)
		p.sane("run")

		p.line("clear; pocketdock list | cat -v; pocketdock shutdown $BOX; echo code=$?")
		p.shows(`Remove ` + box.Name() + ` with all files\? \[y/N\] $`)
		p.line("n")
		p.shows(`code=1`)
		p.line("clear; pocketdock shutdown $BOX; echo code=$?")
		p.shows(`\[y/N\] $`)
		p.keys("C-c")
		p.shows(`code=130`)

		p.line("clear; pocketdock list --project none; pocketdock list")
		p.shows(`no sandbox in project none; \d+ elsewhere: pocketdock list --all-projects`)
		p.shows(box.Name() + ` +running +\S+ +(just now|\d+ (second|minute)s? ago)`)
		if screen := p.tmux("capture-pane", "-p", "-e"); !strings.Contains(screen, "\x1b[32mrunning") {
			t.Errorf("no green: %q", screen)
		}
		for _, setting := range []string{"NO_COLOR=1", "TERM=dumb"} {
			p.line("clear; " + setting + " pocketdock list; echo done")
			p.shows(`(?m)^done`)
			if screen := p.tmux("capture-pane", "-p", "-e"); strings.Contains(screen, "\x1b[3") {
				t.Errorf("%s: colours: %q", setting, screen)
			}
		}

		// A bar, that goes away, and a sum.
		p.line("clear; (head -c 20000000 /dev/zero; sleep 2; head -c 20000000 /dev/zero) | pocketdock push $BOX - /tmp/big; echo code=$?")
		p.shows(`push /tmp/big .*19.1 MiB.*/s`)
		p.shows(`push /tmp/big: 38.1 MiB in .*/s\s+code=0`)

		p.line("clear; pocketdock shutdown $BOX; echo code=$?")
		p.shows(`\[y/N\] $`)
		p.line("y")
		p.shows(box.Name() + `\s+code=0`)
	})
}

// TestPanicRestoresTerminal: a panic anywhere in us leaves the terminal as it was.
func TestPanicRestoresTerminal(t *testing.T) {
	p := newPane(t)
	p.line("panics; echo code=$?")
	p.shows(`code=2`)
	p.sane("panic")
}

// panics is a program that panics in a goroutine while its terminal is raw.
func panics() {
	tty := &rawTerminal{fd: int(os.Stdin.Fd())}
	if err := tty.raw(); err != nil {
		panic(err)
	}
	state, err := term.GetState(tty.fd)
	if err != nil || state == nil {
		panic("no state")
	}
	go func() {
		defer tty.rescue()
		panic("on purpose")
	}()
	select {}
}
