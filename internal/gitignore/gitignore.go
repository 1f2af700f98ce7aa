// Package gitignore decides what the patterns of .gitignore files leave out,
// as gitignore(5) says: https://git-scm.com/docs/gitignore.
package gitignore

import (
	"bytes"
	"path"
	"strings"
)

// Patterns are those of one file, in its order.
type Patterns []pattern

type pattern struct {
	match   glob
	include bool // with "!": does not leave out, but take back
	dirOnly bool // with a "/" at its end
	base    bool // without any other "/": of names in any directory
}

// Parse reads a .gitignore file. There is no text that is wrong: a line that
// makes no sense matches nothing.
func Parse(text []byte) Patterns {
	var list Patterns
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		list = list.Append(string(bytes.TrimSuffix(line, []byte("\r"))))
	}
	return list
}

// Append adds a line: a pattern, or nothing for a blank line or a comment.
func (list Patterns) Append(line string) Patterns {
	line = trimSpaces(line)
	if line == "" || line[0] == '#' {
		return list
	}
	var p pattern
	if line[0] == '!' {
		p.include = true
		line = line[1:]
	}
	if line, p.dirOnly = strings.CutSuffix(line, "/"); line == "" {
		return list // "/" and "!" name nothing
	}
	p.base = !strings.Contains(line, "/")
	p.match = compile(strings.TrimPrefix(line, "/"))
	return append(list, p)
}

// trimSpaces drops spaces at the end that no backslash quotes.
func trimSpaces(line string) string {
	end := 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ' ':
			continue
		case '\\':
			if i++; i == len(line) {
				return line
			}
		}
		end = i + 1
	}
	return line[:end]
}

// decide returns whether the patterns leave a file out, if they say anything
// about it. The path is relative to where the patterns count from.
func (list Patterns) decide(name string, dir bool) (out, said bool) {
	base := path.Base(name)
	for i := len(list) - 1; i >= 0; i-- { // the last one that matches counts
		p := &list[i]
		if p.dirOnly && !dir {
			continue
		}
		on := name
		if p.base {
			on = base
		}
		if p.match.matches(on) {
			return !p.include, true
		}
	}
	return false, false
}

// A Tree has the patterns of a tree of files, each set with the directory
// that its patterns count from. The zero value leaves nothing out.
type Tree struct {
	// Over are patterns from the top that are stronger than all in Add.
	Over Patterns
	dirs map[string]Patterns
}

// Add sets the patterns of a directory, "." for the top. Those of a deeper
// directory are stronger.
func (t *Tree) Add(dir string, p Patterns) {
	if len(p) == 0 {
		return
	}
	if t.dirs == nil {
		t.dirs = map[string]Patterns{}
	}
	t.dirs[dir] = p
}

// Excluded reports whether a file is left out. name is relative to the top
// and slash-separated. What is in a directory that is left out is not to be
// asked about: nothing takes it back.
func (t *Tree) Excluded(name string, dir bool) bool {
	if out, said := t.Over.decide(name, dir); said {
		return out
	}
	if len(t.dirs) == 0 {
		return false
	}
	for at := path.Dir(name); ; at = path.Dir(at) {
		rel := name
		if at != "." {
			rel = name[len(at)+1:]
		}
		if out, said := t.dirs[at].decide(rel, dir); said {
			return out
		}
		if at == "." {
			return false
		}
	}
}
