package mcp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSuiteAgentTask: what an agent does all day, through the tools: it writes
// a program with tests, sees them fail, finds the bug, mends it, sees them pass,
// and takes the result home.
func TestSuiteAgentTask(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		dir := t.TempDir()
		c := connect(t, serve(t, e, Options{Image: python, Directories: []Directory{{Path: dir}}}), nil)
		c.do("file_write", args{"path": "work/roman.py", "content": `VALUES = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
          (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]


def roman(n):
    out = ""
    for value, letters in VALUES:
        if n >= value:
            out += letters
            n -= value
    return out
`}, nil)
		c.do("file_write", args{"path": "work/test_roman.py", "content": `import unittest
from roman import roman


class Roman(unittest.TestCase):
    def test_known(self):
        for n, want in {1: "I", 4: "IV", 9: "IX", 14: "XIV", 1994: "MCMXCIV", 2023: "MMXXIII"}.items():
            with self.subTest(n):
                self.assertEqual(roman(n), want)


if __name__ == "__main__":
    unittest.main()
`}, nil)
		test := args{"command": "python3 -m unittest", "cwd": "work"}
		c.fails("run_command", test, "Exit code 1", "AssertionError", "MMXXIII")
		var found searchResult
		c.do("file_search", args{"query": "if n >= value", "path": "work", "glob": "*.py"}, &found)
		if len(found.Matches) != 1 || found.Matches[0].Path != "roman.py" || found.Matches[0].Line != 8 {
			t.Fatalf("%+v", found)
		}
		if text := c.do("file_read", args{"path": "work/roman.py", "start_line": 7, "end_line": 10}, nil); !strings.Contains(text, "n -= value") {
			t.Errorf("%q", text)
		}
		c.fails("file_edit", args{"path": "work/roman.py", "old_text": "if n > value:", "new_text": "x"}, "not in")
		c.do("file_edit", args{"path": "work/roman.py", "old_text": "        if n >= value:", "new_text": "        while n >= value:"}, nil)
		if text := c.do("run_command", test, nil); !strings.Contains(text, "OK") {
			t.Errorf("%q", text)
		}
		var r ran
		c.do("run_code", args{"language": "python", "cwd": "work", "code": "import sys\nsys.path.insert(0, '.')\nfrom roman import roman\nopen('table.txt', 'w').writelines(f'{n} {roman(n)}\\n' for n in range(1, 101))\nprint('done')"}, &r)
		if r.Stdout != "done\n" {
			t.Errorf("%+v", r)
		}
		var tr transferred
		c.do("download", args{"sandbox_path": "work", "host_path": "result"}, &tr)
		b, err := os.ReadFile(filepath.Join(dir, "result/table.txt"))
		if err != nil || !strings.HasSuffix(string(b), "\n99 XCIX\n100 C\n") {
			t.Errorf("%+v, %q, %v", tr, b, err)
		}
	})
}
