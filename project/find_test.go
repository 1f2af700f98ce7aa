//go:build unix

package project

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func mkdir(t *testing.T, path ...string) string {
	t.Helper()
	p := filepath.Join(path...)
	if err := os.MkdirAll(p, 0o755); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFind(t *testing.T) {
	base, _ := filepath.EvalSymlinks(t.TempDir())
	home := mkdir(t, base, "home")
	mkdir(t, home, ".pocketdock") // the user's settings
	mkdir(t, home, "work/p/.pocketdock")
	deep := mkdir(t, home, "work/p/a/b")
	mkdir(t, home, "work/p/a/inner/.pocketdock")
	mkdir(t, base, ".pocketdock") // above home
	mkdir(t, base, "elsewhere/x")
	if err := os.Symlink(deep, filepath.Join(base, "elsewhere/link")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ from, want string }{
		{"home/work/p", "home/work/p"},
		{"home/work/p/a/b", "home/work/p"},
		{"home/work/p/a/inner", "home/work/p/a/inner"},
		{"elsewhere/link", "home/work/p"}, // where it really is
		{"elsewhere/x", ""},               // base
		{"home/work", "-"},
		{"home", "-"},
	} {
		p, err := find(filepath.Join(base, tt.from), home)
		if tt.want == "-" {
			if !errors.Is(err, ErrNotInitialized) || !strings.Contains(err.Error(), "pocketdock init") {
				t.Errorf("%s: %v", tt.from, err)
			}
			continue
		}
		if err != nil || p.Dir() != filepath.Join(base, tt.want) {
			t.Errorf("%s: %v, %v", tt.from, p, err)
			continue
		}
		p.Close()
	}
	if _, err := find(filepath.Join(base, "no-such"), home); err == nil || errors.Is(err, ErrNotInitialized) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

// TestInTheWay: what is not a directory, or not a file, is said and left.
func TestInTheWay(t *testing.T) {
	outside := t.TempDir()
	for name, plant := range map[string]func(dir string) error{
		"file":          func(dir string) error { return os.WriteFile(dir+"/.pocketdock", []byte("x"), 0o644) },
		"link outside":  func(dir string) error { return os.Symlink(outside, dir+"/.pocketdock") },
		"link inside":   func(dir string) error { os.Mkdir(dir+"/x", 0o755); return os.Symlink("x", dir+"/.pocketdock") },
		"dangling link": func(dir string) error { return os.Symlink("nowhere", dir+"/.pocketdock") },
		"settings are a directory": func(dir string) error {
			return os.MkdirAll(dir+"/.pocketdock/pocketdock.yaml", 0o755)
		},
		"settings are a link": func(dir string) error {
			os.Mkdir(dir+"/.pocketdock", 0o755)
			return os.Symlink("/etc/passwd", dir+"/.pocketdock/pocketdock.yaml")
		},
		"settings are a pipe": func(dir string) error {
			os.Mkdir(dir+"/.pocketdock", 0o755)
			return syscall.Mkfifo(dir+"/.pocketdock/pocketdock.yaml", 0o644)
		},
	} {
		dir := t.TempDir()
		if err := plant(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := initialize(dir, "", InitOptions{}); err == nil || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("%s: Init: %v", name, err)
		}
		p, err := find(dir, "")
		if err == nil {
			_, err = Load(LoadOptions{Project: p, Home: t.TempDir()})
			p.Close()
		}
		if err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: reading it: %v", name, err)
		}
	}
	if list, _ := os.ReadDir(outside); len(list) > 0 {
		t.Errorf("written outside: %v", list)
	}
}

func TestInitTwice(t *testing.T) {
	dir := t.TempDir()
	r, err := initialize(dir, "", InitOptions{Name: "shop", Profile: "dev"})
	if err != nil || len(r.Created) != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	defer r.Project.Close()
	before, _ := os.ReadFile(r.Project.ConfigPath())
	s, err := Load(LoadOptions{Project: r.Project, Home: t.TempDir(), Getenv: func(string) string { return "" }})
	if err != nil || s.ProjectName != "shop" || s.DefaultProfile != "dev" || s.Logging != DefaultLogging() {
		t.Errorf("%+v, %v", s, err)
	}
	again, err := initialize(dir, "", InitOptions{Name: "other"})
	if err != nil || len(again.Created) != 0 {
		t.Errorf("the second time: %+v, %v", again, err)
	}
	again.Project.Close()
	if after, _ := os.ReadFile(r.Project.ConfigPath()); string(after) != string(before) {
		t.Error("the second time changed the file")
	}
	// What is missing is made again, and only that.
	os.Remove(filepath.Join(dir, ".pocketdock/.gitignore"))
	again, err = initialize(dir, "", InitOptions{})
	if err != nil || len(again.Created) != 1 {
		t.Errorf("with one file missing: %+v, %v", again, err)
	}
	again.Project.Close()
	if _, err := initialize(dir, dir, InitOptions{}); err == nil || !strings.Contains(err.Error(), "home directory") {
		t.Errorf("in the home directory: %v", err)
	}
	if _, err := initialize(t.TempDir(), "", InitOptions{Name: "a\nb"}); err == nil {
		t.Error("a name of two lines is accepted")
	}
}

// TestInitTogether: programs that make the same project at once agree.
func TestInitTogether(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r, err := initialize(dir, "", InitOptions{Name: "n"})
			if err != nil {
				t.Error(err)
				return
			}
			r.Project.Close()
		})
	}
	wg.Wait()
	list, _ := os.ReadDir(filepath.Join(dir, ".pocketdock"))
	if len(list) != 2 {
		t.Errorf("left: %v", list)
	}
}

// TestForeignOwner: settings that another user put above are not taken.
func TestForeignOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to give a directory away")
	}
	dir := t.TempDir()
	mkdir(t, dir, ".pocketdock")
	if err := os.Chown(filepath.Join(dir, ".pocketdock"), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := find(mkdir(t, dir, "sub"), ""); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
		t.Error(err)
	}
	t.Setenv("SUDO_UID", "12345")
	p, err := find(dir, "")
	if err != nil {
		t.Fatalf("with sudo: %v", err)
	}
	p.Close()
}
