package mcp

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/pocketdock/pocketdock"
)

type fileSearch struct {
	Query      string `json:"query" jsonschema:"text to look for; in names also a pattern such as *_test.py"`
	In         string `json:"in,omitempty" jsonschema:"content (default) or name"`
	Path       string `json:"path,omitempty" jsonschema:"directory to search, with all below it (default: the sandbox's working directory)"`
	Glob       string `json:"glob,omitempty" jsonschema:"search only files whose name matches, such as *.go"`
	Regex      bool   `json:"regex,omitempty" jsonschema:"the query is a regular expression (RE2), matched line by line"`
	IgnoreCase bool   `json:"ignore_case,omitempty"`
	SandboxID  string `json:"sandbox_id,omitempty" jsonschema:"leave out for the default sandbox"`
}

type searchMatch struct {
	Path string `json:"path" jsonschema:"relative to the directory"`
	Line int    `json:"line,omitempty" jsonschema:"from 1; absent for a name"`
	Text string `json:"text,omitempty" jsonschema:"the line, cut if it is long"`
}

type searchResult struct {
	Path       string        `json:"path"`
	Matches    []searchMatch `json:"matches"`
	Files      int           `json:"files" jsonschema:"files that were looked at"`
	Incomplete string        `json:"incomplete,omitempty" jsonschema:"why not everything was searched"`
}

func (r searchResult) text() string {
	var b strings.Builder
	for _, m := range r.Matches {
		if m.Line == 0 {
			fmt.Fprintln(&b, m.Path)
		} else {
			fmt.Fprintf(&b, "%s:%d: %s\n", m.Path, m.Line, m.Text)
		}
	}
	fmt.Fprintf(&b, "%d matches in %d files.", len(r.Matches), r.Files)
	if r.Incomplete != "" {
		fmt.Fprintf(&b, " Not everything was searched: %s.", r.Incomplete)
	}
	return b.String()
}

const (
	maxMatches     = 100
	maxSearchFiles = 5000
	maxSearchDirs  = 5000
	maxSearchFile  = 4 << 20 // bytes of a file; larger ones are data
	maxSearchBytes = 256 << 20
	maxMatchText   = 300 // bytes of a line that are shown
)

// skipped are directories in which nobody looks for something, unless they are
// named: their size hides everything else.
var skipped = map[string]bool{".git": true, "node_modules": true, "__pycache__": true, ".venv": true}

func (s *Server) addSearchTools() {
	add(s, tool[fileSearch, searchResult]{
		name: "file_search", title: "Search files", effect: reads,
		description: "Searches the files below a directory of a sandbox, by content or by name. Leaves out binary files, /proc, /sys, /dev and directories named .git, node_modules, __pycache__ and .venv.",
		input: func(in *jsonschema.Schema) {
			needs(in, "query")
			oneOf(in, "in", "content", "name")
		},
		do: func(ctx context.Context, c *call, in fileSearch) (searchResult, error) {
			b, err := c.use(ctx, in.SandboxID)
			if err != nil {
				return searchResult{}, err
			}
			q, err := in.matcher()
			if err != nil {
				return searchResult{}, err
			}
			return (&search{c: c, b: b, in: &in, match: q}).run(ctx)
		},
	})
}

// matcher tells what matches the query: a line, or a path.
func (in *fileSearch) matcher() (func(string) bool, error) {
	byName := in.In == "name"
	switch {
	case in.Regex:
		flags := ""
		if in.IgnoreCase {
			flags = "(?i)"
		}
		re, err := regexp.Compile(flags + in.Query)
		if err != nil {
			return nil, fmt.Errorf("query: %w", err)
		}
		return re.MatchString, nil
	case byName && strings.ContainsAny(in.Query, "*?["):
		if _, err := path.Match(in.Query, ""); err != nil {
			return nil, fmt.Errorf("query %q: %w", in.Query, err)
		}
		return func(s string) bool {
			q, name := in.Query, path.Base(s)
			if in.IgnoreCase {
				q, name = strings.ToLower(q), strings.ToLower(name)
			}
			ok, _ := path.Match(q, name)
			return ok
		}, nil
	case in.IgnoreCase:
		low := strings.ToLower(in.Query)
		return func(s string) bool { return strings.Contains(strings.ToLower(s), low) }, nil
	}
	return func(s string) bool { return strings.Contains(s, in.Query) }, nil
}

// A search is one under way. It walks by itself, so that it works in an image
// without any program, and within bounds.
type search struct {
	c     *call
	b     *sandbox
	in    *fileSearch
	match func(string) bool
	out   searchResult
	bytes int64
}

// errEnough ends a search that has found enough, or worked enough.
type errEnough string

func (e errEnough) Error() string { return string(e) }

func (s *search) run(ctx context.Context) (searchResult, error) {
	s.out = searchResult{Path: cmp.Or(s.in.Path, "."), Matches: []searchMatch{}}
	dirs := []string{"."}
	for n := 0; len(dirs) > 0; n++ {
		dir := dirs[0]
		dirs = dirs[1:]
		if n == maxSearchDirs {
			s.out.Incomplete = fmt.Sprintf("there are more than %d directories: name one of them", maxSearchDirs)
			break
		}
		below, err := s.directory(ctx, dir)
		if enough, ok := errors.AsType[errEnough](err); ok {
			s.out.Incomplete = string(enough)
			break
		}
		if err != nil && (n == 0 || ctx.Err() != nil) {
			return s.out, err
		}
		dirs = append(dirs, below...)
	}
	return s.out, nil
}

// directory searches one, and returns those in it.
func (s *search) directory(ctx context.Context, dir string) (below []string, err error) {
	list, err := s.b.box.ListFiles(ctx, path.Join(s.out.Path, dir), pocketdock.FilesOptions{})
	if err != nil {
		return nil, err // one that may not be read is passed by
	}
	for i := range list {
		f := &list[i]
		name := path.Join(dir, path.Base(f.Path))
		if f.IsDir() {
			if !s.passedBy(name) {
				below = append(below, name)
			}
		}
		if s.in.Glob != "" {
			if ok, _ := path.Match(s.in.Glob, path.Base(name)); !ok {
				continue
			}
		}
		if err := s.file(ctx, name, f); err != nil {
			return nil, err
		}
	}
	return below, nil
}

// passedBy tells of directories that are not searched.
func (s *search) passedBy(name string) bool {
	if skipped[path.Base(name)] {
		return true
	}
	switch path.Join(s.out.Path, name) {
	case "/proc", "/sys", "/dev":
		return true
	}
	return false
}

func (s *search) file(ctx context.Context, name string, f *pocketdock.FileInfo) error {
	if s.c.left() < answerMargin+s.c.srv.opts.AnswerWithin/10 {
		return errEnough("it takes too long: name a directory below")
	}
	if s.in.In == "name" {
		s.out.Files++
		if s.match(name) {
			return s.found(searchMatch{Path: readable([]byte(name))})
		}
		return nil
	}
	if !f.Mode.IsRegular() || f.Size == 0 || f.Size > maxSearchFile {
		return nil
	}
	if s.out.Files == maxSearchFiles || s.bytes > maxSearchBytes {
		return errEnough(fmt.Sprintf("it looks at %d files and %s at most: name a directory below, or use glob", maxSearchFiles, pocketdock.FormatSize(maxSearchBytes)))
	}
	data, err := s.b.read(ctx, path.Join(s.out.Path, name), maxSearchFile)
	if err != nil {
		return context.Cause(ctx) // a file that cannot be read is passed by
	}
	s.out.Files++
	s.bytes += int64(len(data))
	if bytes.IndexByte(data[:min(len(data), 8000)], 0) >= 0 {
		return nil
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data)+1)
	for n := 1; lines.Scan(); n++ {
		if s.match(lines.Text()) {
			if err := s.found(searchMatch{readable([]byte(name)), n, short(lines.Text())}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *search) found(m searchMatch) error {
	if len(s.out.Matches) == maxMatches {
		return errEnough(fmt.Sprintf("there are more than %d matches: be more exact", maxMatches))
	}
	s.out.Matches = append(s.out.Matches, m)
	return nil
}

// short is a line for a list.
func short(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= maxMatchText {
		return s
	}
	p := []byte(s[:maxMatchText])
	return string(p[:len(p)-incomplete(p)]) + " [...]"
}
