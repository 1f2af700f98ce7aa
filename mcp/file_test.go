package mcp

import (
	"encoding/base64"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// dot is a PNG of one pixel.
const dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

// TestSuiteFiles: reading, writing and editing, with good and bad input.
func TestSuiteFiles(t *testing.T) {
	onOne(t, func(t *testing.T, e testEngine) {
		c := connect(t, serve(t, e, Options{MaxOutput: 300}), nil)
		c.do("file_write", args{"path": "/tmp/d/a.txt", "content": "one\ntwo\nthree\ntwö\n"}, nil)
		var f fileContent
		read := func(a args) string {
			t.Helper()
			a["path"] = "/tmp/d/a.txt"
			f = fileContent{}
			c.do("file_read", a, &f)
			return f.Content
		}
		for want, a := range map[string]args{
			"one\ntwo\nthree\ntwö\n": {},
			"two\nthree\n":           {"start_line": 2, "end_line": 3},
			"one\n":                  {"end_line": 1},
			"three\ntwö\n":           {"start_line": 3},
			"twö\n":                  {"offset": -5},
			"tw":                     {"offset": 4, "length": 2},
			"wo\nthree\ntwö\n":       {"offset": 5},
			base64.StdEncoding.EncodeToString([]byte("one")): {"encoding": "base64", "length": 3},
		} {
			if got := read(a); got != want || f.NextOffset != 0 || f.Size != 19 {
				t.Errorf("%v: %q, not %q; %+v", a, got, want, f)
			}
		}
		// A cut is marked, on a whole character, and can be read on.
		long := strings.Repeat("ä", 500)
		c.do("file_write", args{"path": "/tmp/long", "content": long}, nil)
		got, at := "", int64(0)
		for n := 0; ; n++ {
			text := c.do("file_read", args{"path": "/tmp/long", "offset": at}, &f)
			got += f.Content
			if f.NextOffset == 0 {
				break
			}
			if !strings.Contains(text, "cut at byte") || n > 10 {
				t.Fatalf("%q", text)
			}
			at, f = f.NextOffset, fileContent{}
		}
		if got != long {
			t.Errorf("%d bytes, not %d", len(got), len(long))
		}
		c.fails("file_read", args{"path": "/tmp/no-such"}, "/tmp/no-such")
		c.fails("file_read", args{"path": "/tmp"}, "/tmp")
		c.fails("file_read", args{"path": ""}, "path")
		c.fails("file_read", args{"path": "/tmp/d/a.txt", "start_line": 3, "end_line": 2}, "end_line")
		c.fails("file_read", args{"path": "/tmp/d/a.txt", "start_line": 3, "offset": 2})
		c.fails("file_read", args{"path": "/tmp/d/a.txt", "start_line": 99}, "99")
		c.fails("file_read", args{"path": "/tmp/d/a.txt", "encoding": "utf-16"}, "encoding")

		// Binary content, and images.
		c.do("file_write", args{"path": "/tmp/dot.png", "content": dot, "encoding": "base64"}, nil)
		c.fails("file_read", args{"path": "/tmp/dot.png"}, "base64")
		res := c.try("file_read", args{"path": "/tmp/dot.png", "encoding": "image"})
		if img, ok := res.Content[len(res.Content)-1].(*sdk.ImageContent); res.IsError || !ok || img.MIMEType != "image/png" || base64.StdEncoding.EncodeToString(img.Data) != dot {
			t.Errorf("%s", textOf(res))
		}
		c.fails("file_read", args{"path": "/tmp/d/a.txt", "encoding": "image"}, "PNG")
		c.fails("file_write", args{"path": "/tmp/x", "content": "not base64!", "encoding": "base64"}, "base64")
		c.fails("file_write", args{"path": "/tmp/x"}, "content")
		c.fails("file_write", args{"path": "/proc/x", "content": ""}, "/proc/x")
		c.do("file_write", args{"path": "/tmp/prog", "content": "#!/bin/sh\necho ran\n", "executable": true}, nil)
		var r ran
		c.do("run_command", args{"command": "/tmp/prog; echo '<svg xmlns=\"http://www.w3.org/2000/svg\"/>' >/tmp/i.svg", "images": []string{"/tmp/*.svg", "/tmp/dot.png", "/tmp/none.png", "/tmp/prog"}}, &r)
		res = c.try("run_command", args{"command": "/tmp/prog", "cwd": "/tmp", "images": []string{"*.svg", "dot.png"}})
		var kinds []string
		for _, x := range res.Content {
			if img, ok := x.(*sdk.ImageContent); ok {
				kinds = append(kinds, img.MIMEType)
			}
		}
		if strings.Join(kinds, " ") != "image/svg+xml image/png" || r.Stdout != "ran\n" || len(r.ImageProblems) != 2 {
			t.Errorf("%v, %+v", kinds, r)
		}

		// Edits.
		var ed fileEdited
		c.do("file_edit", args{"path": "/tmp/d/a.txt", "old_text": "three", "new_text": "3"}, &ed)
		if ed.Line != 3 || ed.Now != "one\ntwo\n3\ntwö\n" || read(args{}) != "one\ntwo\n3\ntwö\n" {
			t.Errorf("%+v, %q", ed, f.Content)
		}
		c.fails("file_edit", args{"path": "/tmp/d/a.txt", "old_text": "tw", "new_text": "x"}, "2 times", "2, 4")
		c.fails("file_edit", args{"path": "/tmp/d/a.txt", "old_text": "nine", "new_text": "x"}, "not in")
		c.fails("file_edit", args{"path": "/tmp/d/a.txt", "old_text": "one two", "new_text": "x"}, "white space")
		c.fails("file_edit", args{"path": "/tmp/d/a.txt", "old_text": "one", "new_text": "one"}, "same")
		c.fails("file_edit", args{"path": "/tmp/d/a.txt", "old_text": "", "new_text": "one"})
		c.fails("file_edit", args{"path": "/tmp/none", "old_text": "a", "new_text": "b"}, "/tmp/none")
		if read(args{}) != "one\ntwo\n3\ntwö\n" {
			t.Error("a failed edit changed the file")
		}

		// Lists.
		c.do("run_command", args{"command": "mkdir -p /tmp/l/sub; cd /tmp/l; echo x >b.txt; echo y >sub/c.py; ln -s b.txt link"}, nil)
		var l fileListing
		text := c.do("file_list", args{"path": "/tmp/l"}, &l)
		if len(l.Entries) != 3 || l.Entries[0].Path != "b.txt" || l.Entries[0].Size != 2 || l.Entries[2].Type != "directory" || !strings.Contains(text, "link -> b.txt") {
			t.Errorf("%+v", l)
		}
		c.do("file_list", args{"path": "/tmp/l", "depth": 3, "glob": "*.py"}, &l)
		if len(l.Entries) != 1 || l.Entries[0].Path != "sub/c.py" {
			t.Errorf("%+v", l)
		}
		c.do("file_list", nil, nil)
		c.do("run_command", args{"command": "mkdir /tmp/many; cd /tmp/many; for i in $(seq 600); do : >f$i; done"}, nil)
		if text := c.do("file_list", args{"path": "/tmp/many"}, &l); l.Omitted != 100 || !strings.Contains(text, "100 more") {
			t.Errorf("%d omitted: %s", l.Omitted, text)
		}
		c.fails("file_list", args{"path": "/no/such"}, "/no/such")
		c.fails("file_list", args{"path": "/tmp", "depth": 0.5})
	})
}

// TestSuiteSearch: by content and by name.
func TestSuiteSearch(t *testing.T) {
	onOne(t, func(t *testing.T, e testEngine) {
		c := connect(t, serve(t, e, Options{}), nil)
		c.do("run_command", args{"command": `mkdir -p /tmp/s/a/.git /tmp/s/node_modules; cd /tmp/s
printf 'first\nNeedle here\n' >a/one.txt; printf 'needle\0' >a/binary; echo needle >a/.git/x; echo needle >node_modules/y; printf 'def f():\n  needle()\n' >a/two.py`}, nil)
		for _, tc := range []struct {
			a    args
			want string
		}{
			{args{"query": "needle"}, "a/two.py:2:   needle()\n"},
			{args{"query": "needle", "ignore_case": true}, "a/one.txt:2: Needle here\na/two.py:2:   needle()\n"},
			{args{"query": `^def \w+`, "regex": true}, "a/two.py:1: def f():\n"},
			{args{"query": "needle", "glob": "*.txt", "ignore_case": true}, "a/one.txt:2: Needle here\n"},
			{args{"query": "*.PY", "in": "name", "ignore_case": true}, "a/two.py\n"},
			{args{"query": "one", "in": "name"}, "a/one.txt\n"},
			{args{"query": `t.o\.`, "in": "name", "regex": true}, "a/two.py\n"},
			{args{"query": "nowhere"}, ""},
		} {
			tc.a["path"] = "/tmp/s"
			var r searchResult
			text := c.do("file_search", tc.a, &r)
			if got, _, _ := strings.Cut(text, "matches in"); !strings.HasPrefix(text, tc.want) || strings.Count(got, "\n") != strings.Count(tc.want, "\n") || r.Incomplete != "" {
				t.Errorf("%v: %q, not %q", tc.a, text, tc.want)
			}
		}
		// The whole file system ends, and without /proc; so does a flood of matches.
		var r searchResult
		c.do("file_search", args{"query": "two.py", "in": "name", "path": "/"}, &r)
		if len(r.Matches) != 1 || r.Matches[0].Path != "tmp/s/a/two.py" {
			t.Errorf("%+v", r)
		}
		c.do("run_command", args{"command": "seq 300 | sed s/^/x/ >/tmp/s/many"}, nil)
		if text := c.do("file_search", args{"query": "x", "path": "/tmp/s", "glob": "many"}, &r); len(r.Matches) != maxMatches || r.Incomplete == "" || !strings.Contains(text, "Not everything") {
			t.Errorf("%d: %q", len(r.Matches), text)
		}
		c.fails("file_search", args{"query": ""}, "query")
		c.fails("file_search", args{"query": "(", "regex": true}, "query")
		c.fails("file_search", args{"query": "[", "in": "name"}, "query")
		c.fails("file_search", args{"query": "x", "path": "/no/such"}, "/no/such")
		c.fails("file_search", args{"query": "x", "in": "everything"})
	})
}
