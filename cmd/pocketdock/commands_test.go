//go:build unix

package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// newRoot is the command line as users have it.
func newRoot() *cobra.Command {
	root, _ := newApp()
	return root
}

func newApp() (*cobra.Command, *app) {
	a := &app{stdin: strings.NewReader(""), out: newScreen(io.Discard), err: newScreen(io.Discard)}
	return a.root(), a
}

// TestEveryCommand: each has a description, two examples of real use, a group
// in the help, a completion that does not offer files where none belong, and a
// script that tests it.
func TestEveryCommand(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		name := cmd.Name()
		examples := 0
		for line := range strings.Lines(cmd.Example) {
			if strings.Contains(line, "pocketdock "+name) {
				examples++
			}
		}
		switch {
		case cmd.Short == "" || strings.HasSuffix(cmd.Short, "."):
			t.Errorf("%s: Short %q", name, cmd.Short)
		case len(cmd.Long) <= len(cmd.Short):
			t.Errorf("%s has no Long", name)
		case examples < 2:
			t.Errorf("%s has %d examples, not 2", name, examples)
		case cmd.GroupID == "":
			t.Errorf("%s is in no group", name)
		case strings.Contains(cmd.Use, "CONTAINER") && cmd.ValidArgsFunction == nil:
			t.Errorf("%s does not complete containers", name)
		}
		if _, err := os.Stat(filepath.Join("testdata/script", name+".txtar")); err != nil {
			t.Errorf("%s has no script: %v", name, err)
		}
		for line := range strings.Lines(cmd.Long) {
			if len([]rune(line)) > 90 {
				t.Errorf("%s: a line of %d columns: %s", name, len([]rune(line)), line)
			}
		}
	}
}

// TestPublicAPIOnly: what the commands can do, everybody's program can. When
// garbage is collected is nothing that they can do.
func TestPublicAPIOnly(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			if rest, ours := strings.CutPrefix(path, "github.com/pocketdock/pocketdock/"); ours && strings.HasPrefix(rest, "internal/") && rest != "internal/lategc" || path == "net/http" {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

// TestOptions: the options that commands have by contract, under these names.
func TestOptions(t *testing.T) {
	root := newRoot()
	for name, flags := range map[string]string{
		"create": "image name profile secret project mem-limit cpu-percent persist device port/p volume/v env/e workdir network no-network timeout ttl idle-timeout runtime json",
		"run":    "stream/s detach/d timeout lang max-output env workdir user stdin/i tty/t json",
		"shell":  "command profile detach-keys",
		"list":   "project all-projects running json",
		"info":   "json",
		"reboot": "fresh", "stop": "all", "shutdown": "yes/y force", "prune": "yes project images",
		"init":   "name profile",
		"logs":   "history last limit tail follow/f type json",
		"push":   "exclude gitignore",
		"export": "all profile image output/o",
		"doctor": "fix json", "profiles": "json", "config": "user json", "do": "profile image",
		"status": "json", "kill": "signal/s",
	} {
		cmd, _, err := root.Find([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		cmd.InitDefaultHelpFlag()
		for flag := range strings.FieldsSeq(flags + " socket engine quiet verbose help") {
			long, short, _ := strings.Cut(flag, "/")
			f := cmd.Flag(long)
			if f == nil {
				t.Errorf("%s has no --%s", name, long)
			} else if short != "" && f.Shorthand != short {
				t.Errorf("%s: --%s is -%s, not -%s", name, long, f.Shorthand, short)
			}
		}
	}
}

// TestWrongCommandLines end with code 2 before any engine is asked.
func TestWrongCommandLines(t *testing.T) {
	t.Setenv("POCKETDOCK_SOCKET", filepath.Join(t.TempDir(), "none.sock"))
	root, a := newApp()
	for _, cmd := range root.Commands() {
		if code, _, errs := try(t, cmd.Name(), "--no-such-option"); code != exitUsage || !strings.Contains(errs, "--help") {
			t.Errorf("%s --no-such-option: code %d, %s", cmd.Name(), code, errs)
		}
		if !a.printsJSON(cmd) {
			args := []string{cmd.Name(), "--json", "a", "b"}
			if code, _, _ := try(t, args...); code != exitUsage {
				t.Errorf("%s: code %d", args, code)
			}
		}
	}
	for _, args := range [][]string{{"no-such-command"}, {"--engine"}, {"run"}, {"push", "a", "b"}, {"completion", "tcsh"}} {
		if code, out, errs := try(t, args...); code != exitUsage || out != "" || errs == "" {
			t.Errorf("%s: code %d, %q, %q", args, code, out, errs)
		}
	}
	if code, _, errs := try(t, "list"); code != exitFailed || !strings.Contains(errs, "no such socket") {
		t.Errorf("no engine: code %d, %s", code, errs)
	}
}

// TestHelp: asked for, it is the output, with the examples and without an
// engine, a colour or an error.
func TestHelp(t *testing.T) {
	t.Setenv("POCKETDOCK_SOCKET", filepath.Join(t.TempDir(), "none.sock"))
	t.Setenv("TERM", "xterm-256color")
	root, a := newApp()
	for _, cmd := range root.Commands() {
		code, out, errs := try(t, cmd.Name(), "--help")
		if code != 0 || errs != "" || !strings.Contains(out, "Examples:\n"+cmd.Example) || strings.ContainsRune(out, 0x1b) {
			t.Errorf("%s --help: code %d, %q, %q", cmd.Name(), code, out, errs)
		}
		if a.printsJSON(cmd) && !strings.Contains(out, "With --json there is") {
			t.Errorf("%s --help does not describe its JSON", cmd.Name())
		}
	}
}

// TestOtherWords: what users of other tools type is answered with ours, and
// none of it hides a command.
func TestOtherWords(t *testing.T) {
	root := newRoot()
	for word, ours := range otherWords {
		if cmd, _, err := root.Find([]string{word}); err == nil && cmd != root {
			t.Errorf("%s is a command", word)
		}
		first, _, _ := strings.Cut(strings.Trim(ours, ","), " ")
		if cmd, _, err := root.Find([]string{strings.Trim(first, ",")}); err != nil || cmd == root {
			t.Errorf("%s: there is no %s", word, first)
		}
	}
	if code, _, errs := try(t, "exec", "box", "ls"); code != exitUsage || !strings.Contains(errs, "here that is run") {
		t.Errorf("code %d, %s", code, errs)
	}
	for line, want := range map[string]string{
		"exec -it web sh":             "exec is not a command; here that is run: pocketdock run -it web sh\n",
		"-q exec -e A=b web ls -l":    "run: pocketdock -q run -e A=b web ls -l\n",
		"--socket /x exec -it web sh": "run: pocketdock --socket /x run -it web sh\n",
		"exec -it web":                "here that is run\n", // no whole line
		"destroy --all":               "here that is shutdown\n",
		"history web":                 "pocketdock logs --history web\n",
		"cp ./x.txt web:/tmp/":        "pocketdock push web ./x.txt /tmp/\n",
		"cp web:/srv ./out":           "pocketdock pull web /srv ./out\n",
		"push ./x.txt web:/tmp/":      "pocketdock push web ./x.txt /tmp/\n",
		"pull web:/srv ./out":         "pocketdock pull web /srv ./out\n",
		"cp a b":                      "here that is push and pull\n",
		"pause web":                   "here that is stop, which ends what runs",
		"rmi a":                       "here that is prune --images, for all",
		"prunee":                      "did you mean prune?",
		"shutdwon":                    "did you mean shutdown?",
		"help exec":                   "here that is run",
		"kill -9 web a":               "here that is -s 9",
		"list -a":                     "here that is always so",
		"create --nmae x":             "did you mean --name?",
		"create --cpus 2":             "here that is --cpu-percent",
		"do --rm -- ls":               "always so",
		"--nosuch list":               "unknown flag: --nosuch\n",
		"run --timeout 1 web ls":      `--timeout "1": write a number and a unit, such as 90s`,
		"create --cpu-percent 1.5":    `--cpu-percent "1.5": write a whole number`,
		"export web:v1":               "an image goes behind --image",
		"completion":                  "for which shell?",
	} {
		if code, _, errs := try(t, strings.Fields(line)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: code %d, %s", line, code, errs)
		}
	}
	for _, word := range []string{"pausee", "shutwon1", "prudent", "runne"} {
		if _, _, errs := try(t, word); strings.Contains(errs, "prune") || strings.Contains(errs, "shutdown") {
			t.Errorf("%s: %s", word, errs)
		}
	}
	if code, out, _ := try(t, "help", "run"); code != 0 || !strings.Contains(out, "pocketdock run [flags] CONTAINER") {
		t.Errorf("help run: code %d, %s", code, out)
	}
	if code, _, errs := try(t, "create", "web"); code != exitUsage || !strings.Contains(errs, "behind --name") {
		t.Errorf("code %d, %s", code, errs)
	}
	if _, out, _ := try(t, "--help"); strings.Index(out, "Exit codes:") < strings.Index(out, "  create ") {
		t.Errorf("the commands do not come first:\n%s", out)
	}
}

// TestOtherFlags: what is said of other tools' options is so: the command is
// there, without that option, and what it has instead, it has.
func TestOtherFlags(t *testing.T) {
	root := newRoot()
	for key, ours := range otherFlags {
		name, flag, of := strings.Cut(key, " ")
		if !of {
			name, flag = "", key
		}
		for _, cmd := range root.Commands() {
			if name != "" && cmd.Name() != name {
				continue
			}
			cmd.InitDefaultHelpFlag()
			letter := strings.TrimPrefix(flag, "-")
			if of && (cmd.Flag(strings.TrimPrefix(flag, "--")) != nil || len(letter) == 1 && cmd.Flags().ShorthandLookup(letter) != nil) {
				t.Errorf("%s has %s", cmd.Name(), flag)
			}
		}
		on := name
		for word := range strings.FieldsSeq(strings.NewReplacer(",", "", ";", "").Replace(ours)) {
			if cmd, _, err := root.Find([]string{word}); err == nil && cmd != root {
				on = word
			}
			long, isFlag := strings.CutPrefix(word, "--")
			has := func(cmd *cobra.Command) bool { return on != "" && cmd.Name() == on || on == "" }
			if isFlag && !slices.ContainsFunc(root.Commands(), func(cmd *cobra.Command) bool { return has(cmd) && cmd.Flag(long) != nil }) {
				t.Errorf("%s: %s has no %s", key, on, word)
			}
		}
	}
}

// try runs a command line in this process.
func try(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestNearest(t *testing.T) {
	names := []string{"list", "shell", "shutdown", "snapshot", "status", "stop", "web", "web-staging"}
	for word, want := range map[string]string{"lsit": "list", "lst": "list", "shel": "shell", "shutdwon": "shutdown",
		"stauts": "status", "SNAPSHOT": "snapshot", "wbe": "web", "web-s": "web-staging", "xyzzy": "", "": "", "q": ""} {
		if got := nearest(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := nearest(strings.Repeat("x", 1000), []string{strings.Repeat("y", 1000)}); got != "" {
		t.Errorf("%q", got)
	}
	if d := distance("kitten", "sitting"); d != 3 {
		t.Errorf("distance %d, want 3", d)
	}
	if !slices.Contains(names, nearest("stp", names)) {
		t.Error("nothing near stp")
	}
}
