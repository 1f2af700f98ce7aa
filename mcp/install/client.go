// Package install writes the configuration that makes an MCP client start
// pocketdock: where each of the usual clients has it, in what form, and how to
// add to it without touching anything else.
package install

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// An Entry is a server in a client's configuration.
type Entry struct {
	Name    string // of the server
	Command string // absolute path of the program
	Args    []string
}

// A Client is a program that uses servers.
type Client struct {
	// Name on a command line, and Title for people.
	Name, Title string
	// Next is what the user does for the client to see a change.
	Next string

	path  func(Machine) (string, error)
	keys  []string // of the object that has the servers
	typed bool     // an entry says that it is of the type stdio
	toml  bool
}

// A Machine is where clients have their files.
type Machine struct {
	OS     string // as runtime.GOOS
	Home   string // the user's directory
	Getenv func(string) string
}

var errNoPlace = errors.New("where it has its configuration on this system is not known")

// Clients are those that are known, by name. The places and forms are those of
// their own documentation:
//
//   - modelcontextprotocol.io/docs/develop/connect-local-servers (Claude Desktop)
//   - code.claude.com/docs/en/mcp (Claude Code, scope user)
//   - cursor.com/docs/context/mcp
//   - code.visualstudio.com/docs/agents/reference/mcp-configuration
//   - developers.openai.com/codex/config-reference
//   - geminicli.com/docs/tools/mcp-server
//   - zed.dev/docs/ai/mcp
//   - docs.windsurf.com/windsurf/cascade/mcp
func Clients() []Client {
	return []Client{
		{Name: "claude-code", Title: "Claude Code", Next: "start it anew; it lists servers with /mcp",
			keys: []string{"mcpServers"}, typed: true, path: inHome(".claude.json")},
		{Name: "claude-desktop", Title: "Claude Desktop", Next: "quit it and start it again",
			keys: []string{"mcpServers"}, path: inConfig("Claude", "claude_desktop_config.json")},
		{Name: "codex", Title: "Codex", Next: "start it anew; it lists servers with /mcp",
			keys: []string{"mcp_servers"}, toml: true, path: inHomeOr("CODEX_HOME", ".codex", "config.toml")},
		{Name: "cursor", Title: "Cursor", Next: "it sees the change by itself, under Settings, MCP",
			keys: []string{"mcpServers"}, path: inHome(".cursor", "mcp.json")},
		{Name: "gemini", Title: "Gemini CLI", Next: "start it anew; it lists servers with /mcp",
			keys: []string{"mcpServers"}, path: inHome(".gemini", "settings.json")},
		{Name: "vscode", Title: "VS Code", Next: "start the server from its entry, or with: MCP: List Servers",
			keys: []string{"servers"}, typed: true, path: inConfig("Code", "User", "mcp.json")},
		{Name: "windsurf", Title: "Windsurf", Next: "refresh the list of servers in its settings",
			keys: []string{"mcpServers"}, path: inHome(".codeium", "windsurf", "mcp_config.json")},
		{Name: "zed", Title: "Zed", Next: "it sees the change by itself",
			keys: []string{"context_servers"}, path: zedPath},
	}
}

// Find is the client of that name.
func Find(name string) (Client, bool) {
	all := Clients()
	i := slices.IndexFunc(all, func(c Client) bool { return c.Name == name })
	if i < 0 {
		return Client{}, false
	}
	return all[i], true
}

// Path is the client's configuration file for all of a user's work. It need not
// exist.
func (c Client) Path(m Machine) (string, error) {
	p, err := c.path(m)
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.Title, err)
	}
	return p, nil
}

func inHome(parts ...string) func(Machine) (string, error) {
	return func(m Machine) (string, error) {
		return filepath.Join(append([]string{m.Home}, parts...)...), nil
	}
}

// inHomeOr is a directory that a variable names, or else one in the home.
func inHomeOr(variable, dir string, parts ...string) func(Machine) (string, error) {
	return func(m Machine) (string, error) {
		base := filepath.Join(m.Home, dir)
		if v := m.Getenv(variable); filepath.IsAbs(v) {
			base = v
		}
		return filepath.Join(append([]string{base}, parts...)...), nil
	}
}

// inConfig is below where programs have their settings on each system.
func inConfig(parts ...string) func(Machine) (string, error) {
	return func(m Machine) (string, error) {
		base, err := m.config()
		return filepath.Join(append([]string{base}, parts...)...), err
	}
}

func (m Machine) config() (string, error) {
	switch m.OS {
	case "darwin":
		return filepath.Join(m.Home, "Library", "Application Support"), nil
	case "windows":
		if v := m.Getenv("APPDATA"); v != "" {
			return v, nil
		}
		return filepath.Join(m.Home, "AppData", "Roaming"), nil
	case "linux", "freebsd", "openbsd", "netbsd":
		if v := m.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(v) {
			return v, nil
		}
		return filepath.Join(m.Home, ".config"), nil
	}
	return "", errNoPlace
}

// zedPath: on macOS it is not where other programs have theirs.
func zedPath(m Machine) (string, error) {
	if m.OS == "darwin" {
		return filepath.Join(m.Home, ".config", "zed", "settings.json"), nil
	}
	base, err := m.config()
	dir := "zed"
	if m.OS == "windows" {
		dir = "Zed"
	}
	return filepath.Join(base, dir, "settings.json"), err
}
