package install

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var entry = Entry{Name: "pocketdock", Command: "/opt/my programs/pocketdock", Args: []string{"mcp", "--allow-dir", `/a "b" <c>`}}

// value is the entry as it is in most of the JSON below, indented by two.
const value = `{
      "command": "/opt/my programs/pocketdock",
      "args": [
        "mcp",
        "--allow-dir",
        "/a \"b\" <c>"
      ]
    }`

// TestAddJSON: only the entry changes.
func TestAddJSON(t *testing.T) {
	c, _ := Find("cursor")
	whole := "{\n  \"mcpServers\": {\n    \"pocketdock\": " + value + "\n  }\n}\n"
	for name, tc := range map[string]struct{ old, want string }{
		"none":          {"", whole},
		"blank":         {" \n", whole},
		"only comments": {"// hi\n", "// hi\n" + whole},
		"empty":         {"{}\n", whole},
		"empty object":  {"{\n  \"mcpServers\": {}\n}\n", whole},
		"the same":      {whole, whole},
		"another value": {"{\n  \"mcpServers\": {\n    \"pocketdock\": {\"url\": \"x\", \"n\": 1}\n  }\n}\n", whole},
		"other entries, comments, a last comma": {
			"{\n  // servers\n  \"mcpServers\": {\n    \"a\": {\"command\": \"x, y\"}, // the first\n    /* end */\n  },\n  \"z\": [1, 2,],\n}\n",
			"{\n  // servers\n  \"mcpServers\": {\n    \"a\": {\"command\": \"x, y\"}, // the first\n    /* end */\n    \"pocketdock\": " + value + "\n  },\n  \"z\": [1, 2,],\n}\n"},
		"no last comma": {
			"{\n  \"mcpServers\": {\n    \"a\": {} // first\n  }\n}",
			"{\n  \"mcpServers\": {\n    \"a\": {}, // first\n    \"pocketdock\": " + value + "\n  }\n}"},
		"on one line": {
			`{"theme": "dark", "s": "// no comment"}`,
			"{\"theme\": \"dark\", \"s\": \"// no comment\",\n  \"mcpServers\": {\n    \"pocketdock\": " + value + "\n  }\n}"},
	} {
		got, err := c.Add([]byte(tc.old), entry)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %v\n%s\nnot\n%s", name, err, got, tc.want)
		}
	}
	// Tabs and Windows' line ends stay.
	got, err := c.Add([]byte("\ufeff{\r\n\t\"a\": 1\r\n}\r\n"), entry)
	if err != nil || !strings.HasPrefix(string(got), "\ufeff{\r\n\t\"a\": 1,\r\n\t\"mcpServers\": {\r\n\t\t\"pocketdock\": {\r\n\t\t\t\"command\"") || strings.Contains(strings.ReplaceAll(string(got), "\r\n", ""), "\n") {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"[]", "{", `{"mcpServers": []}`, `{"mcpServers": null}`, `{"mcpServers": 1}`, "null", "{} {}", `{"a": 1,, "b": 2}`, `"x"`} {
		if got, err := c.Add([]byte(bad), entry); err == nil {
			t.Errorf("%s: %s", bad, got)
		}
	}
}

// TestAddTOML: only the table changes.
func TestAddTOML(t *testing.T) {
	c, _ := Find("codex")
	const table = "[mcp_servers.pocketdock]\ncommand = \"/opt/my programs/pocketdock\"\nargs = [\"mcp\", \"--allow-dir\", \"/a \\\"b\\\" <c>\"]\n"
	for name, tc := range map[string]struct{ old, want string }{
		"none":     {"", table},
		"the same": {table, table},
		"others":   {"model = \"x\" # mine\n[mcp_servers.a]\ncommand = \"a\"", "model = \"x\" # mine\n[mcp_servers.a]\ncommand = \"a\"\n\n" + table},
		"another value, with a table below": {
			"[mcp_servers.pocketdock]\ncommand = \"old\"\n[mcp_servers.pocketdock.env]\nA = \"b\"\n\n# about b\n[mcp_servers.b]\ncommand = \"b\"\n",
			table + "\n# about b\n[mcp_servers.b]\ncommand = \"b\"\n"},
		"a header in a string": {
			"x = \"\"\"\n[mcp_servers.pocketdock]\n\"\"\"\n", "x = \"\"\"\n[mcp_servers.pocketdock]\n\"\"\"\n\n" + table},
		"another name that begins so": {
			"[mcp_servers.pocketdock2]\ncommand = \"b\"\n", "[mcp_servers.pocketdock2]\ncommand = \"b\"\n\n" + table},
	} {
		got, err := c.Add([]byte(tc.old), entry)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %v\n%s\nnot\n%s", name, err, got, tc.want)
		}
	}
	for _, bad := range []string{"x =", "mcp_servers = { pocketdock = { command = \"x\" } }", "mcp_servers.pocketdock.command = \"x\"\n", "[[mcp_servers]]\n", "mcp_servers = 1\n"} {
		if got, err := c.Add([]byte(bad), entry); err == nil {
			t.Errorf("%s: %s", bad, got)
		}
	}
}

// TestWrite: the file is whole or what it was, with a copy, its mode and its
// link kept.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	c, _ := Find("gemini")
	path, err := c.Path(Machine{OS: "linux", Home: dir, Getenv: func(string) string { return "" }})
	if err != nil || path != filepath.Join(dir, ".gemini", "settings.json") {
		t.Fatal(path, err)
	}
	w, err := c.Write(path, entry)
	if err != nil || !w.Changed || w.Backup != "" {
		t.Fatalf("%+v, %v", w, err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	if w, err = c.Write(path, entry); err != nil || w.Changed || w.Backup != "" {
		t.Errorf("again: %+v, %v", w, err)
	}
	real := filepath.Join(dir, "dotfiles.json")
	old := `{"theme": "x"}`
	if err := os.WriteFile(real, []byte(old), 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.json")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if w, err = c.Write(link, entry); err != nil || !w.Changed || w.Path != real {
		t.Fatalf("%+v, %v", w, err)
	}
	if b, err := os.ReadFile(w.Backup); err != nil || string(b) != old {
		t.Errorf("the copy: %q, %v", b, err)
	}
	if fi, err := os.Lstat(link); err != nil || fi.Mode().IsRegular() {
		t.Errorf("the link: %v, %v", fi, err)
	}
	if fi, err := os.Stat(real); err != nil || fi.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	if err := os.WriteFile(real, []byte("{"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err = c.Write(real, entry); err == nil || !strings.Contains(err.Error(), real) {
		t.Errorf("broken: %v", err)
	}
	if _, err = c.Write(dir, entry); err == nil {
		t.Error("a directory was written")
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*.new-*"))
	if b, _ := os.ReadFile(real); string(b) != "{" || len(left) > 0 {
		t.Errorf("%q, %v", b, left)
	}
}

// TestClients: each has a place on each system, and a snippet that is valid.
func TestClients(t *testing.T) {
	seen := map[string]string{}
	for _, c := range Clients() {
		for _, system := range []string{"linux", "darwin", "windows"} {
			p, err := c.Path(Machine{OS: system, Home: "/home/u", Getenv: func(string) string { return "" }})
			if err != nil || !strings.HasPrefix(filepath.ToSlash(p), "/home/u/") || seen[system+p] != "" {
				t.Errorf("%s on %s: %s, %v; also %s's", c.Name, system, p, err, seen[system+p])
			}
			seen[system+p] = c.Name
		}
		s, err := c.Snippet(entry)
		if err != nil || !c.toml && !json.Valid([]byte(s)) || !strings.Contains(s, c.keys[0]) || c.Title == "" || c.Next == "" {
			t.Errorf("%s: %s, %v", c.Name, s, err)
		}
		if strings.Contains(s, `"stdio"`) != c.typed {
			t.Errorf("%s: %s", c.Name, s)
		}
	}
	for variable, want := range map[string]string{"XDG_CONFIG_HOME": "/x/zed/settings.json", "CODEX_HOME": "/x/config.toml"} {
		c, _ := Find(map[string]string{"XDG_CONFIG_HOME": "zed", "CODEX_HOME": "codex"}[variable])
		if p, err := c.Path(Machine{OS: "linux", Home: "/h", Getenv: func(v string) string { return map[string]string{variable: "/x"}[v] }}); p != want || err != nil {
			t.Errorf("%s: %s, %v", variable, p, err)
		}
	}
}

// FuzzAddJSON: whatever the file is, the entry is added to valid JSON that is
// otherwise the same, or there is an error.
func FuzzAddJSON(f *testing.F) {
	for _, s := range []string{"{}", `{"a":1,"mcpServers":{"x":{}}}`, "{/*a*/}//b", `{"mcpServers":{"pocketdock":1,},}`, "{\n\t\"a\": [1,],\n}"} {
		f.Add([]byte(s))
	}
	c, _ := Find("vscode")
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := c.Add(text, entry)
		if err != nil {
			return
		}
		if again, err := c.Add(got, entry); err != nil || string(again) != string(got) {
			t.Errorf("%q, then %q, %v", got, again, err)
		}
	})
}
