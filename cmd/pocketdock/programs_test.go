//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/pocketdock/pocketdock"
)

// TestSuitePrograms types into the real bash, vim, less and htop, those of
// this machine: editing, sizes, pages, job control, pastes and coming back. The
// terminal is the agent's, so one engine shows it; TestSuiteShell runs on all.
func TestSuitePrograms(t *testing.T) {
	for _, name := range []string{"bash", "vim.tiny", "less", "htop"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("no %s: scripts/engines tools installs it", name)
			}
			t.Skipf("this machine has no %s", name)
		}
	}
	for _, e := range firstEngine(t) {
		typePrograms(t, newBox(t, e, "", pocketdock.CreateOptions{Profile: pocketdock.ProfileHost}))
	}
}

func typePrograms(t *testing.T, box *pocketdock.Container) {
	p := newPane(t, environment(box)...)
	prompt := func() {
		t.Helper()
		p.shows(`in> $`)
	}
	enter := func() {
		t.Helper()
		p.line("clear; pocketdock shell -e HISTFILE= -e PS1='in> ' $BOX; echo code=$?")
		prompt()
	}
	enter()
	typeVim(t, p, box, prompt)
	typePaste(p, prompt)
	typeLess(p, prompt)
	typeHtop(p, prompt)

	// Left in vim with a text that is not saved, and back in another window's size.
	p.line("clear; vim.tiny -u NONE -i NONE /tmp/left")
	p.shows(`(?m)^~`)
	p.keys("i")
	p.tmux("send-keys", "-l", "not saved yet")
	p.shows(`(?m)^not saved yet`)
	p.keys("C-p", "C-q")
	p.shows(`Left running; come back with: pocketdock attach`)
	p.sane("away")
	p.tmux("resize-window", "-x", "90", "-y", "20")
	p.line("clear; pocketdock attach $BOX $(pocketdock ps -q $BOX); echo code=$?")
	p.shows(`(?m)\Anot saved yet\n~`)
	p.keys("C-c")
	vimSays(p, "lines", "20")
	p.line(":wq")
	prompt()
	p.keys("C-d")
	p.shows(`code=0`)
	p.sane("back")
	if text, err := box.ReadFile(t.Context(), "/tmp/left"); err != nil || string(text) != "not saved yet\n" {
		t.Errorf("%q, %v", text, err)
	}

	// Killed in a full-screen program, the client leaves the terminal as it was.
	enter()
	p.line("clear; htop")
	p.shows(`(?m)PID\s+USER`)
	if out, err := exec.Command("pkill", "-TERM", "-f", "pocketdock shell -e HISTFILE= .* "+box.Name()+"$").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p.shows(`code=143`)
	p.sane("killed")
}

func typeVim(t *testing.T, p *pane, box *pocketdock.Container, prompt func()) {
	p.line("clear; vim.tiny -u NONE -i NONE /tmp/note")
	p.shows(`(?m)^~`)
	p.keys("i")
	p.tmux("send-keys", "-l", "written in vim: ü€漢")
	p.shows(`\Awritten in vim: ü€漢`)
	p.keys("Escape")
	p.tmux("resize-window", "-x", "100", "-y", "30")
	vimSays(p, "lines", "30")
	vimSays(p, "columns", "100")
	// Suspended, and in the foreground again.
	p.keys("C-z")
	p.shows(`Stopped.*vim`)
	prompt()
	p.line("fg")
	p.shows(`\Awritten in vim: ü€漢\n~`)
	p.tmux("set-buffer", "\nfirst\n    second\nthird")
	p.keys("A")
	p.tmux("paste-buffer")
	p.shows(`(?m)^    second\s+third`)
	p.keys("C-c")             // as Escape; what follows that at once is taken for one sequence
	vimSays(p, "lines", "30") // it drops what comes before it is done with that
	p.line(":wq")
	prompt()
	if text, err := box.ReadFile(t.Context(), "/tmp/note"); err != nil || string(text) != "written in vim: ü€漢\nfirst\n    second\nthird\n" {
		t.Errorf("%q, %v", text, err)
	}
	p.tmux("resize-window", "-x", "80", "-y", "24")
}

// vimSays asks until a setting has a value.
func vimSays(p *pane, setting, value string) {
	p.t.Helper()
	eventually(p.t, func() bool {
		p.line(":set " + setting + "?")
		return strings.Contains(p.screen(), "  "+setting+"="+value)
	}, func() string { return "vim never had " + setting + "=" + value + ":\n" + p.screen() })
}

// typePaste: a bracketed paste is text until somebody presses Enter, and
// Ctrl-C takes it back.
func typePaste(p *pane, prompt func()) {
	p.line("clear; bind 'set enable-bracketed-paste on'")
	prompt()
	p.tmux("set-buffer", "echo one $((1+1))\necho ü $((2+2))")
	p.tmux("paste-buffer", "-p")
	p.shows(`echo one \$\(\(1\+1\)\)\s+echo ü \$\(\(2\+2\)\)$`)
	p.keys("C-c")
	prompt()
	p.tmux("paste-buffer", "-p")
	p.shows(`echo ü \$\(\(2\+2\)\)$`)
	p.keys("Enter")
	p.shows(`(?m)^one 2\s+ü 4`)
	prompt()
	p.line("clear; echo begun $((1+1)); sleep 1000")
	p.shows(`begun 2`)
	p.keys("C-c")
	prompt()
	p.line("echo int $((100+$?))")
	p.shows(`int 230`)
	prompt()
}

func typeLess(p *pane, prompt func()) {
	p.line("clear; seq 1 500 > /tmp/numbers; less /tmp/numbers")
	p.shows(`(?m)\A1\n2\n(.*\n)*22\n23\n`)
	p.keys("Space")
	p.shows(`(?m)\A24\n`)
	p.line("/333")
	p.shows(`(?m)\A333\n`)
	p.tmux("resize-window", "-x", "70", "-y", "15")
	p.shows(`\A333\n(\d+\n){13}:`) // it drops what is typed while it draws
	p.keys("g")
	p.shows(`\A1\n(\d+\n){13}:`)
	p.keys("q")
	prompt()
	p.tmux("resize-window", "-x", "80", "-y", "24")
}

func typeHtop(p *pane, prompt func()) {
	p.line("clear; htop")
	p.shows(`(?m)PID\s+USER(.*\n)+.*F10`)
	p.tmux("resize-window", "-x", "120", "-y", "32")
	last := func() string { // of the screen's lines, which is where htop has its keys
		lines := strings.Split(p.screen(), "\n")
		return fmt.Sprint(len(lines), " ", lines[len(lines)-1])
	}
	eventually(p.t, func() bool { return strings.HasPrefix(last(), "32 ") && strings.Contains(last(), "F10") }, func() string {
		return "htop never had 32 lines:\n" + p.screen()
	})
	p.keys("q")
	prompt()
	p.tmux("resize-window", "-x", "80", "-y", "24")
}
