package gitignore

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rules are patterns, and names that they leave out or (with a "!" in front)
// do not. A name with a "/" at its end is a directory.
var rules = []struct{ name, patterns, files string }{
	{"blank lines and comments", "\n#a\n\\#b", "!#a #b"},
	{"a name anywhere", "foo", "foo foo/ a/foo a/b/foo/ !foobar !afoo"},
	{"a directory", "foo/", "foo/ a/foo/ !foo !a/foo"},
	{"anchored by a slash in front", "/foo", "foo foo/ !a/foo"},
	{"anchored by a slash within", "a/foo", "a/foo !b/a/foo"},
	{"anchored directory", "/a/b/", "a/b/ !a/b !c/a/b/"},
	{"a slash at the end does not anchor", "foo/", "x/foo/"},
	{"a star", "*.o", "x.o .o a/x.o !x.oo !o"},
	{"a star is in one directory", "a/*.o", "a/x.o !a/b/x.o"},
	{"a star before a slash", "*/x", "a/x !x !a/b/x"},
	{"stars within a name", "a/b**c", "a/bc a/bxc !a/b/c"},
	{"a question mark", "?.c", "a.c !.c !ab.c d/a.c"},
	{"a question mark is no slash", "a?b", "axb !a/b"},
	{"a set", "[a-c]x", "ax bx cx !dx !x"},
	{"a negated set", "[!a-c]x", "dx !ax !bx"},
	{"another negated set", "[^a]x", "dx !ax"},
	{"a set is no slash", "a[!b]c", "axc !a/c !abc"},
	{"a set with a bracket", "[]]x", "]x !x"},
	{"a set with a minus", "[a-]x", "ax -x !bx"},
	{"a set with an escape", "[\\]a]x", "]x ax !\\x"},
	{"a set with a class", "[[:digit:]]x", "1x !ax"},
	{"a set with classes", "[_[:upper:][:digit:]]x", "1x Ax _x !ax"},
	{"a set with an unknown class", "[[:nope:]]x", "!nx !:x"},
	{"a set without an end", "[ax", "![ax !ax"},
	{"an empty range", "[c-a]x", "!ax !bx"},
	{"an escape", "\\*x", "*x !ax"},
	{"an escape at the end", "x\\", "!x !x\\"},
	{"an escaped letter", "\\a", "a !\\a"},
	{"leading stars", "**/foo", "foo a/foo a/b/foo/ !foob"},
	{"leading stars and a path", "**/a/b", "a/b x/a/b x/y/a/b !a/x/b"},
	{"trailing stars", "a/**", "a/b a/b/c/ !a/ !a !x/a/b"},
	{"stars between", "a/**/b", "a/b a/x/b a/x/y/b !ab !b !a/xb"},
	{"stars between, twice", "a/**/b/**/c", "a/b/c a/x/b/y/z/c !a/c"},
	{"only stars", "**", "a a/b/ c/d"},
	{"three stars", "a/***/b", "a/b a/x/b"},
	{"stars and a slash", "**/", "a/ a/b/ !a"},
	{"stars, a name, stars", "**/x/**", "x/a a/x/b !x !a/x"},
	{"taking back", "*.o\n!keep.o", "x.o !keep.o !a/keep.o"},
	{"the last one counts", "!x\nx", "x"},
	{"taking back all but one", "/*\n!/keep", "a b/ !keep"},
	{"an escaped exclamation mark", "\\!x", "!!x !x"},
	{"spaces at the end", "x  ", "x"},
	{"an escaped space at the end", "x\\ ", "x\\40 !x"},
	{"an escaped space and more", "x\\   ", "x\\40 !x"},
	{"spaces in front", " x", "\\40x !x"},
	{"a tab at the end", "x\t", "!x x\\11"},
	{"Windows line ends", "x\r\ny\r\n", "x y"},
	{"a byte order mark", "\ufeffx", "x"},
	{"a slash", "/", "!x !x/"},
	{"an exclamation mark", "!", "!x"},
	{"bytes that are not UTF-8", "\xff*", "\xffx !x"},
	{"letters beyond ASCII", "ä?", "!ä äx"},
	{"upper case is another", "Foo", "Foo !foo"},
	{"dots", "a.b", "a.b !axb"},
	{"a doubled slash", "a//b", "!a/b"},
	{"two stars and a letter", "**b", "b ab a/b"},
	{"a dot directory", "./a", "!a"},
}

// files are a rule's, with what is expected of each.
func files(list string) (names []string, dirs, out []bool) {
	unescape := strings.NewReplacer("\\40", " ", "\\11", "\t")
	for f := range strings.SplitSeq(list, " ") {
		in := false
		if strings.HasPrefix(f, "!") && f != "!!x" {
			f, in = f[1:], true
		} else if f == "!!x" {
			f = "!x"
		}
		name, dir := strings.CutSuffix(unescape.Replace(f), "/")
		names, dirs, out = append(names, name), append(dirs, dir), append(out, !in)
	}
	return names, dirs, out
}

func TestRules(t *testing.T) {
	for _, tt := range rules {
		var tree Tree
		tree.Add(".", Parse([]byte(tt.patterns)))
		names, dirs, out := files(tt.files)
		for i, name := range names {
			if strings.HasPrefix(tt.name, "an escaped exclamation") && i == 1 {
				continue // "!x" is the file itself there
			}
			if got := tree.Excluded(name, dirs[i]); got != out[i] {
				t.Errorf("%s: %q leaves out %q (directory: %v): %v, want %v", tt.name, tt.patterns, name, dirs[i], got, out[i])
			}
		}
	}
}

func TestNested(t *testing.T) {
	var tree Tree
	tree.Over = Patterns{}.Append("secret").Append("!always.o")
	tree.Add(".", Parse([]byte("*.o\n/top\n!a/b/taken.o")))
	tree.Add("a", Parse([]byte("!*.o\n/local\nlog/")))
	tree.Add("a/b", Parse([]byte("*.o\n")))
	for name, want := range map[string]bool{
		"x.o": true, "a/x.o": false, "a/b/x.o": true, "a/b/taken.o": true, "a/c/x.o": false,
		"local": false, "a/local": true, "a/b/local": false,
		"top": true, "a/top": false,
		"a/b/always.o": false, "a/secret": true,
	} {
		if got := tree.Excluded(name, false); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if !tree.Excluded("a/b/log", true) || tree.Excluded("log", true) {
		t.Error("a directory's pattern counts from there")
	}
}

// TestGit compares every rule with what git itself says.
func TestGit(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("no git")
	}
	for _, tt := range rules {
		names, dirs, _ := files(tt.files)
		compareWithGit(t, git, []byte(tt.patterns), names, dirs)
	}
}

// compareWithGit asks git about the files, one repository for each, since a
// name may be a file here and a directory there.
func compareWithGit(t *testing.T, git string, patterns []byte, names []string, dirs []bool) {
	t.Helper()
	repo := t.TempDir()
	run := func(stdin []byte, args ...string) ([]byte, error) {
		cmd := exec.Command(git, args...)
		cmd.Dir = repo
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C")
		cmd.Stdin = bytes.NewReader(stdin)
		return cmd.Output()
	}
	if out, err := run(nil, "init", "-q"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(repo, ".gitignore"), patterns, 0o644); err != nil {
		t.Fatal(err)
	}
	var tree Tree
	tree.Add(".", Parse(patterns))
	for i, name := range names {
		full := filepath.Join(repo, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		os.RemoveAll(full)
		if dirs[i] {
			err := os.Mkdir(full, 0o755)
			if err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(full, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		// -v -n tells what decided, and of a pattern that takes back that too.
		out, err := run([]byte(name+"\x00"), "check-ignore", "--no-index", "--stdin", "-z", "-v", "-n")
		if err != nil && len(out) == 0 {
			t.Fatalf("git about %q: %v", name, err)
		}
		fields := strings.Split(string(out), "\x00")
		ignored := fields[2] != "" && !strings.HasPrefix(fields[2], "!")
		if got := excludedWithParents(&tree, name, dirs[i]); got != ignored {
			t.Errorf("%q leaves out %q (directory: %v): %v, git says %v by %q", patterns, name, dirs[i], got, ignored, fields[2])
		}
		os.RemoveAll(full)
	}
}

// TestGitRandom compares random patterns. git takes names that do not exist
// for files.
func TestGitRandom(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("no git")
	}
	repo := t.TempDir()
	if out, err := exec.Command(git, "init", "-q", repo).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	word := func(pieces string, n int) string {
		var b strings.Builder
		list := strings.Fields(pieces)
		for range 1 + rnd.IntN(n) {
			b.WriteString(list[rnd.IntN(len(list))])
		}
		return b.String()
	}
	for range 400 {
		var patterns []byte
		for range 1 + rnd.IntN(3) {
			patterns = fmt.Appendf(patterns, "%s\n", word("a b c a b / * ** **/ /** ? [ab] [!a] ! \\ [a-c]", 6))
		}
		if err := os.WriteFile(filepath.Join(repo, ".gitignore"), patterns, 0o644); err != nil {
			t.Fatal(err)
		}
		var stdin []byte
		var names []string
		for range 40 {
			name := path.Clean(word("a b c ab / / abc", 7))
			if name = strings.Trim(name, "/"); name != "" {
				names = append(names, name)
				stdin = append(append(stdin, name...), 0)
			}
		}
		cmd := exec.Command(git, "check-ignore", "--no-index", "--stdin", "-z", "-v", "-n")
		cmd.Dir = repo
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
		cmd.Stdin = bytes.NewReader(stdin)
		out, err := cmd.Output()
		if err != nil && len(out) == 0 {
			t.Fatalf("git: %v", err)
		}
		fields := strings.Split(string(out), "\x00")
		var tree Tree
		tree.Add(".", Parse(patterns))
		for i, name := range names {
			by := fields[4*i+2]
			ignored := by != "" && !strings.HasPrefix(by, "!")
			if got := excludedWithParents(&tree, name, false); got != ignored {
				t.Errorf("%q leaves out %q: %v, git says %v by %q", patterns, name, got, ignored, by)
			}
		}
	}
}

// excludedWithParents is what a walk finds.
func excludedWithParents(tree *Tree, name string, dir bool) bool {
	for i := range len(name) {
		if name[i] == '/' && tree.Excluded(name[:i], true) {
			return true
		}
	}
	return tree.Excluded(name, dir)
}

// TestHostilePattern: backtracking would take for ever.
func TestHostilePattern(t *testing.T) {
	begun := time.Now()
	g := compile(strings.Repeat("*a", 200) + "b")
	if g.matches(strings.Repeat("a", 4000)) {
		t.Error("it matches")
	}
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
}

func FuzzMatch(f *testing.F) {
	for _, r := range rules {
		f.Add([]byte(r.patterns), "a/b/x.o")
	}
	f.Fuzz(func(t *testing.T, patterns []byte, name string) {
		p := Parse(patterns)
		p.decide(name, false)
		// A name without special bytes matches itself, and taking it back undoes that.
		if name == "" || strings.ContainsAny(name, "*?[]\\!#/ \n\r\t\ufeff") {
			return
		}
		var tree Tree
		tree.Add(".", Parse(fmt.Appendf(nil, "%s", name)))
		if !tree.Excluded(name, false) {
			t.Fatalf("%q does not match itself", name)
		}
		tree.Over = tree.Over.Append("!" + name)
		if tree.Excluded(name, false) {
			t.Fatalf("%q is not taken back", name)
		}
	})
}
