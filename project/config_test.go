package project

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newProject makes a project with a settings file of this text.
func newProject(t testing.TB, text string) *Project {
	t.Helper()
	r, err := initialize(t.TempDir(), "", InitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Project.Close() })
	if text != "" {
		if err := os.WriteFile(r.Project.ConfigPath(), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return r.Project
}

// TestPrecedence shows for one key how each source overrides the next one,
// and that the value says where it came from.
func TestPrecedence(t *testing.T) {
	home := t.TempDir()
	p := newProject(t, "logging:\n  max_logs_per_instance: 3\n")
	env := map[string]string{}
	o := LoadOptions{Home: home, Getenv: func(k string) string { return env[k] }}
	const key = "logging.max_logs_per_instance"
	check := func(want int, source Source, from string) {
		t.Helper()
		s, err := Load(o)
		if err != nil {
			t.Fatal(err)
		}
		v, _ := s.Value(key)
		if s.Logging.MaxLogsPerInstance != want || v.Source != source || v.From() != from {
			t.Errorf("%d from %s (%v), want %d from %s (%v)", s.Logging.MaxLogsPerInstance, v.From(), v.Source, want, from, source)
		}
	}
	check(100, BuiltIn, "built-in")
	if err := SetUser(home, key, "2"); err != nil {
		t.Fatal(err)
	}
	check(2, UserFile, UserFilePath(home)+":2")
	o.Project = p
	check(3, ProjectFile, p.ConfigPath()+":2")
	env["POCKETDOCK_LOGGING_MAX_LOGS_PER_INSTANCE"] = "4"
	check(4, Environment, "POCKETDOCK_LOGGING_MAX_LOGS_PER_INSTANCE")
	o.Explicit = map[string]string{key: "5"}
	check(5, Explicit, "--max-logs-per-instance")
}

func TestEveryKey(t *testing.T) {
	p := newProject(t, `
project_name: shop
default_profile: dev
default_persist: true
socket: /run/x.sock
log_level: debug
logging: {auto_log: false, max_log_size: 1.5m, max_logs_per_instance: 7, retention_days: 0}
containers:
  idle_timeout: 1h30m
profiles:
  mine: tools/mine
  other: /abs
`)
	s, err := Load(LoadOptions{Project: p, Home: t.TempDir(), Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	c := s.Config
	if c.ProjectName != "shop" || c.DefaultProfile != "dev" || !c.DefaultPersist || c.Socket != "/run/x.sock" || c.LogLevel != "debug" ||
		c.Logging != (Logging{false, 3 << 19, 7, 0}) || c.Containers.IdleTimeout != 90*time.Minute ||
		c.Profiles["mine"] != filepath.Join(p.Dir(), "tools/mine") || c.Profiles["other"] != "/abs" {
		t.Errorf("%+v", c)
	}
	if len(s.Values()) != len(fields)+2 {
		t.Errorf("%d values", len(s.Values()))
	}
	for _, v := range s.Values() {
		if v.Source != ProjectFile || v.Line == 0 || v.Column == 0 {
			t.Errorf("%s: %+v", v.Key, v)
		}
	}
}

// TestConfigErrors has each kind of fault with the place that is reported.
func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"logging:\n  max_log_sizes: 1m\n", `:2:3: unknown key "max_log_sizes", did you mean "max_log_size"?`},
		{"projectname: x\n", `:1:1: unknown key "projectname", did you mean "project_name"?`},
		{"zzzzzzzz: x\n", `:1:1: unknown key "zzzzzzzz"`},
		{"default_persist: yes\n", `:1:18: default_persist: "yes": must be true or false`},
		{"default_persist: 1\n", `:1:18: default_persist: "1": must be true or false`},
		{"log_level: warning\n", `:1:12: log_level: "warning": must be one of debug, info, warn, error, did you mean "warn"?`},
		{"project_name: 1.10\n", `:1:15: project_name: "1.10" is not a text in YAML: put it in quotes`},
		{"project_name: [a]\n", ":1:15: project_name must be one value"},
		{"logging: all\n", ":1:10: logging must be a mapping, with auto_log"},
		{"logging:\n  max_log_size: 10 MB\n", `:2:17: logging.max_log_size: "10 MB": write a number and a unit`},
		{"logging:\n  max_log_size: -1\n", ":2:17:"},
		{"logging:\n  max_log_size: 10\n", "at least 64k"},
		{"logging:\n  retention_days: 1.5\n", "whole number"},
		{"logging:\n  retention_days: 0x10\n", "whole number"},
		{"logging:\n  retention_days: -1\n", "whole number"},
		{"logging:\n  retention_days: 99999999999\n", "whole number"},
		{"containers:\n  idle_timeout: 30\n", `:2:17: containers.idle_timeout: "30": write a number and a unit, such as 90s`},
		{"containers:\n  idle_timeout: -5m\n", "write a number and a unit"},
		{"containers:\n  idle_timeout: 1d\n", "write a number and a unit"},
		{"profiles:\n  Mine: x\n", `:2:3: profile "Mine"`},
		{"profiles:\n  a: 1\n", ":2:6: profile a: must be the path"},
		{"profiles:\n  ../x: y\n", ":2:3: profile"},
		{"socket: \"a\\u0007b\"\n", ":1:9: socket: "},
		{"a: b: c\n", ":1:5: not valid YAML: mapping values"},
		{"project_name: 'x\n", ":2:1: not valid YAML"},
		{"socket: a\nsocket: b\n", `:2:1: key "socket" is there already, in line 1`},
		{"logging:\n  auto_log: true\nlogging:\n  auto_log: false\n", ":3:1: key"},
		{"- a\n", ":1:1: must be a mapping"},
		{"text\n", ":1:1: must be a mapping"},
		{"socket: a\n---\nsocket: b\n", "a second document begins here"},
		{"? [a]\n: b\n", ":1:3: a key must be a word"},
		{"socket: &a x\n", ":1:9: anchors and aliases"},
		{"a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "anchors and aliases"},
		{"<<: {socket: a}\n", `:1:1: unknown key "<<"`},
		{strings.Repeat("[", 1000), "not valid YAML"},
		{strings.Repeat("a: {", 1000), "not valid YAML"},
		{"socket: a\x00b\n", ":1:10: control character U+0000"},
		{"socket: a\n\x1b[2J: x\n", ":2:1: control character U+001B"},
		{"socket: ü\xff\n", ":1:10: byte 0xff is not UTF-8"},
		{"# " + strings.Repeat("x", maxConfig), "the file is larger than 65536 bytes"},
	} {
		d, err := parseDocument("f.yaml", []byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "f.yaml:") {
			t.Errorf("%.60q: %v (%v), want %q", tt.text, err, d, tt.want)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%.60q: an error of %d bytes", tt.text, len(err.Error()))
		}
	}
}

// TestConfigErrorsTogether: whoever has three faults is told all at once.
func TestConfigErrorsTogether(t *testing.T) {
	_, err := parseDocument("f", []byte("x: 1\nsocket: 1\nlogging: {y: 1}\n"))
	if n := strings.Count(err.Error(), "\n") + 1; n != 3 {
		t.Errorf("%d faults: %v", n, err)
	}
	if ce, ok := errors.AsType[*ConfigError](err); !ok || ce.Line != 1 {
		t.Errorf("as a ConfigError: %+v", ce)
	}
}

// TestEmptyConfig: a file that says nothing is no error.
func TestEmptyConfig(t *testing.T) {
	for _, text := range []string{"", "\n", "# x\n", "---\n", "null\n", "{}\n", "logging:\nprofiles:\n", "socket:\n", "\ufeffsocket:\n"} {
		if d, err := parseDocument("f", []byte(text)); err != nil || len(d.settings) > 0 {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestOutsideErrors(t *testing.T) {
	getenv := func(k string) string {
		if k == "POCKETDOCK_LOG_LEVEL" {
			return "loud"
		}
		return ""
	}
	_, err := Load(LoadOptions{Home: t.TempDir(), Getenv: getenv})
	if err == nil || !strings.HasPrefix(err.Error(), `POCKETDOCK_LOG_LEVEL: "loud": must be one of`) {
		t.Error(err)
	}
	_, err = Load(LoadOptions{Home: t.TempDir(), Explicit: map[string]string{"log_levle": "x"}})
	if err == nil || !strings.Contains(err.Error(), `did you mean "log_level"?`) {
		t.Error(err)
	}
}

// FuzzConfig: no file makes the reader fail otherwise than by an error of
// this file, and what is accepted can be edited or says that it cannot.
func FuzzConfig(f *testing.F) {
	own, err := template(InitOptions{Name: "n"})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{own, "socket: 'a''b' # c\n", "logging: {auto_log: true}\n", "a: &x [*x]", "socket: |\n  a\n", "\r\nsocket: \"\\x\"\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDocument("f", b)
		if err != nil {
			if _, ok := errors.AsType[*ConfigError](err); !ok || !strings.HasPrefix(err.Error(), "f:") {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		for _, key := range []string{"socket", "logging.auto_log", "containers.idle_timeout"} {
			fd := fieldOf(key)
			val := map[kind]string{text: "a'b #c", flag: "false", duration: "5m"}[fd.kind]
			out, err := d.with(fd, val)
			if err != nil {
				continue
			}
			again, err := parseDocument("f", out)
			if err != nil || !sameBut(d, again, fd, val) {
				t.Fatalf("%s: %v\n%q", key, err, out)
			}
		}
	})
}
