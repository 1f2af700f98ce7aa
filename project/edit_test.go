package project

import (
	"os"
	"strings"
	"sync"
	"testing"
)

// TestSetKeepsTheRest shows each way that a setting can stand in a file, and
// that nothing but its value changes.
func TestSetKeepsTheRest(t *testing.T) {
	for _, tt := range []struct{ name, key, val, before, after string }{
		{"plain", "socket", "/new", "# head\nsocket: /old # why\n\n# foot\n", "# head\nsocket: /new # why\n\n# foot\n"},
		{"quoted", "socket", "/new", "socket: '/o''ld' # why\nlog_level: info\n", "socket: /new # why\nlog_level: info\n"},
		{"double", "socket", "/new", `socket: "/o\"#ld" # why` + "\n", "socket: /new # why\n"},
		{"needs quotes", "project_name", "a: b #c", "project_name: x\n", "project_name: \"a: b #c\"\n"},
		{"like a number", "project_name", "1.10", "project_name: x\n", "project_name: \"1.10\"\n"},
		{"nothing yet", "socket", "/new", "socket:  # none\nlog_level: info\n", "socket: /new  # none\nlog_level: info\n"},
		{"nested", "logging.auto_log", "false", "logging:\n    # c\n    auto_log:   true   # why\n    retention_days: 1\n", "logging:\n    # c\n    auto_log:   false   # why\n    retention_days: 1\n"},
		{"flow", "logging.auto_log", "false", "logging: {auto_log: true, retention_days: 1} # c\n", "logging: {auto_log: false, retention_days: 1} # c\n"},
		{"flow, missing", "logging.auto_log", "false", "logging: {retention_days: 1}\n", "logging: {auto_log: false, retention_days: 1}\n"},
		{"flow, empty", "logging.auto_log", "false", "logging: {}\n", "logging: {auto_log: false}\n"},
		{"missing in its section", "logging.auto_log", "false", "logging:\n    retention_days: 1\n", "logging:\n    auto_log: false\n    retention_days: 1\n"},
		{"empty section", "logging.auto_log", "false", "logging:\nsocket: a\n", "logging:\n  auto_log: false\nsocket: a\n"},
		{"commented out", "logging.auto_log", "false", "logging:\n  # what it does\n  # auto_log: true\nsocket: a\n", "logging:\n  # what it does\n  auto_log: false\nsocket: a\n"},
		{"no section", "logging.auto_log", "false", "socket: a", "socket: a\nlogging:\n  auto_log: false\n"},
		{"no key", "socket", "/new", "log_level: info\n", "log_level: info\nsocket: /new\n"},
		{"no file", "socket", "/new", "", "socket: /new\n"},
		{"only comments", "socket", "/new", "# a\n# socket: x\n# b\n", "# a\nsocket: /new\n# b\n"},
		{"lines of Windows", "socket", "/new", "log_level: info\r\n", "log_level: info\r\nsocket: /new\r\n"},
		{"not ASCII", "log_level", "warn", "logging: {retention_days: 1}\nprofiles: {a: \"ü€\"}\nlog_level: info # ü\n", "logging: {retention_days: 1}\nprofiles: {a: \"ü€\"}\nlog_level: warn # ü\n"},
		{"columns behind characters", "logging.auto_log", "false", "{socket: \"ü€𝄞\", logging: {auto_log: true}}\n", "{socket: \"ü€𝄞\", logging: {auto_log: false}}\n"},
		{"same", "socket", "/old", "socket: '/old'\n", "socket: /old\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProject(t, "#\n")
			if err := os.WriteFile(p.ConfigPath(), []byte(tt.before), 0); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(p.ConfigPath(), 0o640); err != nil {
				t.Fatal(err)
			}
			if err := p.Set(tt.key, tt.val); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(p.ConfigPath())
			if err != nil || string(b) != tt.after {
				t.Errorf("%q, want %q (%v)", b, tt.after, err)
			}
			if fi, _ := os.Stat(p.ConfigPath()); fi.Mode().Perm() != 0o640 {
				t.Errorf("mode became %o", fi.Mode().Perm())
			}
		})
	}
}

// TestSetEveryKey sets each setting in the file of init, and they are what is
// loaded then; the comments are all there.
func TestSetEveryKey(t *testing.T) {
	p := newProject(t, "")
	for key, val := range map[string]string{
		"project_name": "x y", "default_profile": "dev", "default_persist": "true", "socket": "/s", "log_level": "debug",
		"logging.auto_log": "false", "logging.max_log_size": "1g", "logging.max_logs_per_instance": "5",
		"logging.retention_days": "6", "containers.idle_timeout": "7m",
	} {
		if err := p.Set(key, val); err != nil {
			t.Fatal(err)
		}
		s, err := Load(LoadOptions{Project: p, Home: t.TempDir(), Getenv: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := s.Value(key); !ok || v.Value != val || v.Source != ProjectFile {
			t.Errorf("%s: %+v", key, v)
		}
	}
	b, _ := os.ReadFile(p.ConfigPath())
	for _, f := range fields {
		if !strings.Contains(string(b), f.comment[:20]) {
			t.Errorf("the comment of %s is gone", f.key)
		}
	}
	if strings.Contains(string(b), "# auto_log") || strings.Count(string(b), "\n") < 40 {
		t.Errorf("the file:\n%s", b)
	}
}

// TestSetRefuses: a fault leaves the file as it is.
func TestSetRefuses(t *testing.T) {
	for _, tt := range []struct{ key, val, before, want string }{
		{"sockte", "x", "# a\n", `unknown key "sockte", did you mean "socket"?`},
		{"log_level", "x", "# a\n", "must be one of"},
		{"socket", "x\ny", "# a\n", "must be a line"},
		{"socket", "x", "sockte: y\n", ":1:1: unknown key"},
		{"socket", "x", "socket: |-\n  y\n", "by hand"},
		{"socket", "x", "socket: y\n  z\n", "by hand"},
		{"socket", "x", "socket: !!str y\n", "by hand"},
		{"socket", "x", "log_level: info\n...\n", "by hand"},
	} {
		p := newProject(t, tt.before)
		err := p.Set(tt.key, tt.val)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), p.ConfigPath()) {
			t.Errorf("%s in %q: %v, want %q", tt.key, tt.before, err, tt.want)
		}
		if b, _ := os.ReadFile(p.ConfigPath()); string(b) != tt.before {
			t.Errorf("%s in %q: the file became %q", tt.key, tt.before, b)
		}
	}
}

// TestSetTogether: of programs that set different settings at once, none
// undoes another's.
func TestSetTogether(t *testing.T) {
	p := newProject(t, "")
	var wg sync.WaitGroup
	want := map[string]string{"socket": "/s", "log_level": "debug", "logging.auto_log": "false", "logging.retention_days": "6", "project_name": "x"}
	for key, val := range want {
		wg.Go(func() {
			q, err := Open(p.Dir())
			if err != nil {
				t.Error(err)
				return
			}
			defer q.Close()
			if err := q.Set(key, val); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s, err := Load(LoadOptions{Project: p, Home: t.TempDir(), Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	for key, val := range want {
		if v, _ := s.Value(key); v.Value != val {
			t.Errorf("%s is %q, want %q", key, v.Value, val)
		}
	}
}
