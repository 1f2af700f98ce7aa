//go:build unix

package project

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// TestPlantedPaths: a project that was cloned, or that a sandbox has mounted,
// may have anything in .pocketdock. Nothing outside of it is read, written or
// removed, and nothing blocks.
func TestPlantedPaths(t *testing.T) {
	for _, tt := range []struct {
		name  string
		plant func(dir, outside string) error // dir is the instance's
	}{
		{"instances", func(dir, outside string) error {
			all := filepath.Dir(dir)
			os.RemoveAll(all)
			os.MkdirAll(filepath.Join(outside, "box/logs"), 0o755)
			return os.Symlink(outside, all)
		}},
		{"instance", func(dir, outside string) error {
			os.RemoveAll(dir)
			os.MkdirAll(filepath.Join(outside, "logs"), 0o755)
			return os.Symlink(outside, dir)
		}},
		{"instance, relative", func(dir, outside string) error {
			os.RemoveAll(dir)
			rel, _ := filepath.Rel(filepath.Dir(dir), outside)
			return os.Symlink(rel, dir)
		}},
		{"logs", func(dir, outside string) error {
			os.RemoveAll(filepath.Join(dir, "logs"))
			return os.Symlink(outside, filepath.Join(dir, "logs"))
		}},
		{"history", func(dir, outside string) error { return os.Symlink(outside+"/victim", filepath.Join(dir, historyName)) }},
		{"history inside", func(dir, _ string) error {
			return os.Symlink("../../pocketdock.yaml", filepath.Join(dir, historyName))
		}},
		{"older history", func(dir, outside string) error { return os.Symlink(outside+"/victim", filepath.Join(dir, olderName)) }},
		{"manifest", func(dir, outside string) error {
			os.Remove(filepath.Join(dir, manifestName))
			return os.Symlink(outside+"/victim", filepath.Join(dir, manifestName))
		}},
		{"lock", func(dir, outside string) error {
			os.Remove(filepath.Join(dir, lockName))
			return os.Symlink(outside+"/new", filepath.Join(dir, lockName))
		}},
		{"history is a pipe", func(dir, _ string) error { return syscall.Mkfifo(filepath.Join(dir, historyName), 0o644) }},
		{"lock is a pipe", func(dir, _ string) error {
			os.Remove(filepath.Join(dir, lockName))
			return syscall.Mkfifo(filepath.Join(dir, lockName), 0o644)
		}},
		{"a log is a link", func(dir, outside string) error {
			return os.Symlink(outside+"/victim", filepath.Join(dir, "logs", logFileName(KindRun, time.Unix(1e9, 0))))
		}},
		{"a log is a directory", func(dir, _ string) error {
			return os.Mkdir(filepath.Join(dir, "logs", logFileName(KindRun, time.Unix(1e9, 0))), 0o755)
		}},
		{"a log's part is a pipe", func(dir, _ string) error {
			name := filepath.Join(dir, "logs", logFileName(KindRun, time.Unix(1e9, 0)))
			os.WriteFile(name, []byte("{}\n"), 0o644)
			return syscall.Mkfifo(name+".1", 0o644)
		}},
		{"data", func(dir, outside string) error {
			os.RemoveAll(filepath.Join(dir, dataName))
			return os.Symlink(outside, filepath.Join(dir, dataName))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			outside := t.TempDir()
			victim := filepath.Join(outside, "victim")
			if err := os.WriteFile(victim, []byte("secret"), 0o644); err != nil {
				t.Fatal(err)
			}
			old := time.Unix(1e9, 0)
			os.Chtimes(victim, old, old)
			i := newInstance(t)
			config, _ := os.ReadFile(i.project.ConfigPath())
			if err := tt.plant(i.Dir(), outside); err != nil {
				t.Fatal(err)
			}
			before := tree(t, outside)
			p := i.project
			if again, err := p.Instance("box"); err == nil {
				r := again.Record(KindRun, pocketdock.Shell("x"), Logging{AutoLog: true, MaxLogsPerInstance: 1})
				r.Output(pocketdock.Stdout, []byte("x"))
				r.Finish(ok, nil)
				again.rotateRest()
				h, _ := again.History(HistoryOptions{})
				list, _ := again.Logs()
				for _, l := range list {
					for rec := range again.ReadLog(t.Context(), l.Name, LogOptions{}) {
						if strings.Contains(string(rec.Data), "secret") {
							t.Error("read outside")
						}
					}
				}
				m, err := again.Manifest()
				if strings.Contains(strings.Join([]string{sprint(h), sprint(m), sprint(err)}, " "), "secret") {
					t.Error("read outside")
				}
				again.Collect(t.Context(), nil, DefaultLogging())
				again.Close()
			}
			p.CreateInstance(&Manifest{Container: ManifestContainer{Name: "box"}})
			p.Instances()
			p.RemoveInstance("box")
			if after := tree(t, outside); after != before {
				t.Errorf("outside was %s\nand is %s", before, after)
			}
			if now, _ := os.ReadFile(p.ConfigPath()); string(now) != string(config) {
				t.Errorf("the settings became %q", now)
			}
		})
	}
}

// TestHeldLock: a sandbox that has the project mounted can hold the lock for
// ever, and a command is recorded all the same.
func TestHeldLock(t *testing.T) {
	i := newInstance(t)
	var warned []error
	i.project.Warn = func(err error) { warned = append(warned, err) }
	unlock, err := lockDir(i.root)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	begun := time.Now()
	i.Record(KindRun, pocketdock.Shell("x"), DefaultLogging()).Finish(ok, nil)
	if took := time.Since(begun); took > 2*lockWait {
		t.Errorf("took %v", took)
	}
	if h, err := i.History(HistoryOptions{}); err != nil || len(h) != 1 || len(warned) != 1 {
		t.Errorf("%v, %v, warned %v", h, err, warned)
	}
}

// TestInstanceNames: only what a container can be called becomes a path.
func TestInstanceNames(t *testing.T) {
	p := newProject(t, "")
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/a", "a\x00", ".hidden", "-a", strings.Repeat("a", 129), "ü", "a\n"} {
		if _, err := p.CreateInstance(&Manifest{Container: ManifestContainer{Name: name}}); err == nil {
			t.Errorf("%q is a name", name)
		}
		if _, err := p.Instance(name); err == nil {
			t.Errorf("%q is opened", name)
		}
		if err := p.RemoveInstance(name); err == nil {
			t.Errorf("%q is removed", name)
		}
	}
}
