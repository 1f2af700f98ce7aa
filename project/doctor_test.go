package project

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/fakeengine"
)

func findings(r *Report, id string) []Finding {
	var list []Finding
	for _, f := range r.Findings {
		if f.ID == id {
			list = append(list, f)
		}
	}
	return list
}

// wellFormed: each finding is fit to be shown, and one that matters says why,
// and what to do.
func wellFormed(t *testing.T, r *Report) {
	t.Helper()
	for _, f := range r.Findings {
		if f.ID == "" || f.What == "" || f.Severity > Fine && (f.Why == "" || f.Fix == "") {
			t.Errorf("incomplete: %+v", f)
		}
		for _, s := range []string{f.What, f.Why, f.Fix} {
			if printable(s) != s || len(s) > 410 {
				t.Errorf("%s: %d bytes: %.300q", f.ID, len(s), s)
			}
		}
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// TestEngineChecks has each fault of an engine with what is said about it.
func TestEngineChecks(t *testing.T) {
	good := pocketdock.EngineDetails{EngineInfo: pocketdock.EngineInfo{Name: "podman", Version: "5.1.0"}, Rootless: true, CgroupVersion: 2,
		Controllers: []string{"cpu", "memory", "pids"}, SubUIDs: 65536, StorageDriver: "overlay", Seccomp: "default", Runtimes: []string{"crun"}, DefaultRuntime: "crun"}
	checks := map[string]func(*pocketdock.EngineDetails) Finding{"version": checkVersion, "rootless": checkRootless, "cgroup": checkCgroup,
		"subuid": checkSubIDs, "storage": checkStorage, "seccomp": checkSeccomp, "runtimes": checkRuntimes}
	for name, check := range checks {
		if f := check(&good); f.Severity != Fine || f.ID != "engine-"+name {
			t.Errorf("%s: %+v", name, f)
		}
	}
	for _, tt := range []struct {
		check    string
		spoil    func(d *pocketdock.EngineDetails)
		severity Severity
		want     string
	}{
		{"version", func(d *pocketdock.EngineDetails) { d.Version = "4.2.9-rc1" }, Warning, "4.3 and newer"},
		{"version", func(d *pocketdock.EngineDetails) { d.Name, d.Version = "docker", "20.09" }, Warning, "20.10 and newer"},
		{"version", func(d *pocketdock.EngineDetails) { d.Version = "nonsense" }, Fine, "nonsense"},
		{"version", func(d *pocketdock.EngineDetails) { d.Name = "other" }, Fine, "other"},
		{"rootless", func(d *pocketdock.EngineDetails) { d.Rootless = false }, Fine, "root of the host"},
		{"cgroup", func(d *pocketdock.EngineDetails) { d.Controllers = []string{"memory", "pids"} }, Warning, "Delegate=cpu"},
		{"cgroup", func(d *pocketdock.EngineDetails) { d.Controllers, d.CgroupVersion = nil, 1 }, Warning, "unified_cgroup_hierarchy"},
		{"cgroup", func(d *pocketdock.EngineDetails) { d.Controllers, d.Rootless = []string{"cpu", "pids"}, false }, Warning, "no limit of memory"},
		{"subuid", func(d *pocketdock.EngineDetails) { d.SubUIDs = 1000 }, Problem, "--add-subuids"},
		{"subuid", func(d *pocketdock.EngineDetails) { d.SubUIDs = -1 }, Fine, "does not say"},
		{"subuid", func(d *pocketdock.EngineDetails) { d.Rootless, d.SubUIDs = false, 0 }, Fine, "not needed"},
		{"storage", func(d *pocketdock.EngineDetails) { d.StorageDriver = "vfs" }, Warning, "whole image"},
		{"seccomp", func(d *pocketdock.EngineDetails) { d.Seccomp = "unconfined" }, Warning, "every system call"},
		{"seccomp", func(d *pocketdock.EngineDetails) { d.Seccomp = "" }, Warning, "no seccomp profile"},
		{"runtimes", func(d *pocketdock.EngineDetails) { d.DefaultRuntime = "kata" }, Problem, "not configured"},
	} {
		d := good
		tt.spoil(&d)
		f := checks[tt.check](&d)
		if f.Severity != tt.severity || !strings.Contains(f.What+f.Why+f.Fix, tt.want) || f.Severity > Fine && (f.Why == "" || f.Fix == "") {
			t.Errorf("%s: %+v, want %v with %q", tt.check, f, tt.severity, tt.want)
		}
	}
}

// TestDoctorNoEngine: that none answers is one finding, and the rest is
// looked at all the same.
func TestDoctorNoEngine(t *testing.T) {
	p := newProject(t, "log_levle: x\n")
	r := Doctor(t.Context(), &pocketdock.Client{Socket: filepath.Join(t.TempDir(), "no.sock"), StateDir: t.TempDir()}, p)
	wellFormed(t, r)
	if f := findings(r, "engine-reachable"); len(f) != 1 || f[0].Severity != Problem || f[0].Fix == "" || r.Engine != nil || r.Worst() != Problem {
		t.Errorf("%+v", f)
	}
	if f := findings(r, "settings"); len(f) != 1 || !strings.Contains(f[0].What, ":1:1: unknown key") {
		t.Errorf("%+v", f)
	}
}

// TestDoctorState: where the agent cannot be kept.
func TestDoctorState(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(path string) error
		want Severity
	}{
		{"missing", func(string) error { return nil }, Fine},
		{"private", func(path string) error { return os.Mkdir(path, 0o700) }, Fine},
		{"anybody's", func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o777)) }, Problem},
		{"a file", func(path string) error { return os.WriteFile(path, nil, 0o600) }, Problem},
	} {
		path := filepath.Join(t.TempDir(), "state")
		if err := tt.make(path); err != nil {
			t.Fatal(err)
		}
		r := &Report{}
		r.checkState(&pocketdock.Client{StateDir: path})
		wellFormed(t, r)
		if f := findings(r, "agent-path"); len(f) != 1 || f[0].Severity != tt.want {
			t.Errorf("%s: %+v", tt.name, f)
		}
	}
}

// TestDoctorNonsense: an engine may say anything about its containers, and
// an instance's description may say anything; it is shown safely, and nothing
// is said to be ours to mend.
func TestDoctorNonsense(t *testing.T) {
	f := fakeengine.Start(t, false)
	const bad = `\u001b[2J\u009b\n\u202e`
	items := `[{"Id": "` + bad + `", "Names": ["/` + bad + `"], "State": "` + bad + `", "Labels": {"pocketdock.project": "nonsense", "pocketdock.persist": "true", "pocketdock.owner": "a:b:c"}},
		{"Id": "x", "Names": null, "Labels": {"pocketdock.project": "nonsense", "pocketdock.owner": "` + bad + `"}},
		{"Id": "y", "Names": ["/;rm -rf ~"], "Labels": {"pocketdock.project": "nonsense", "pocketdock.owner": "1:2:3"}}, {}]`
	f.Fault("GET /containers/json", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.Write([]byte(items)) })
	f.Fault("GET /info", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Write([]byte(`{"Warnings": ["` + bad + `"], "Driver": "` + bad + `", "DockerRootDir": "/` + bad + `", "DefaultRuntime": "` + bad + `", "OperatingSystem": "` + bad + `"}`))
	})
	p := newProject(t, "project_name: nonsense\n")
	for _, name := range []string{"a", "b"} {
		i, err := p.CreateInstance(&Manifest{Container: ManifestContainer{Name: name, ID: "\x1b[31m", Project: "\u009b"},
			Ports: []ManifestPort{{Host: 1 << 20}, {Host: -1}, {Host: 7777, Address: "\x1b"}}})
		if err != nil {
			t.Fatal(err)
		}
		i.Close()
	}
	r := Doctor(t.Context(), &pocketdock.Client{Socket: f.Socket(), StateDir: t.TempDir()}, p)
	wellFormed(t, r)
	if len(findings(r, "orphaned-container")) == 0 || len(findings(r, "stale-instance")) != 2 || len(findings(r, "engine-warning")) != 1 {
		t.Errorf("%+v", r.Findings)
	}
	for _, f := range r.Findings {
		if f.Fixable {
			t.Errorf("said to be ours: %+v", f)
		}
		if strings.Contains(f.Fix, "~") && !strings.Contains(f.Fix, "'") {
			t.Errorf("a command that does something else: %s", f.Fix)
		}
	}
}

// TestDoctorHangs: an engine that does not answer is given up.
func TestDoctorHangs(t *testing.T) {
	f := fakeengine.Start(t, false)
	f.Fault("GET /info", func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r := Doctor(ctx, &pocketdock.Client{Socket: f.Socket(), StateDir: t.TempDir()}, nil)
	wellFormed(t, r)
	if f := findings(r, "engine-reachable"); len(f) != 1 || f[0].Severity != Problem {
		t.Errorf("%+v", r.Findings)
	}
}

func TestOwnerGone(t *testing.T) {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Skip("needs /proc")
	}
	start := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[19]
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	id := strings.TrimSpace(string(boot))
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	ns = strings.Trim(ns, "pid:[]")
	me := func(start, boot string) string {
		return strings.Join([]string{sprint(os.Getpid()), start, boot, ns}, ":")
	}
	for _, tt := range []struct {
		label string
		want  bool
	}{
		{me(start, id), false},
		{me("1", id), true},
		{me(start, "another-boot"), true},
		{"4194999:1:" + id + ":" + ns, true},
		{"4194999:1:" + id + ":1", false}, // of another PID namespace
		{"", false}, {"x", false}, {"1:2", false}, {"x:1:" + id + ":" + ns, false}, {"-1:1:" + id + ":" + ns, false}, {me("", id), false}, {me(start, ""), false}, {"1:1:" + id, false}, {"none", false}, {"1:1:1:1:1", false},
	} {
		if got := ownerGone(tt.label); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.label, got, tt.want)
		}
	}
}

func TestOldLogs(t *testing.T) {
	i := newInstance(t)
	for range 3 {
		i.Record(KindRun, pocketdock.Shell("x"), DefaultLogging()).Finish(ok, nil)
		i.closeIdle()
	}
	if err := i.project.Set("logging.max_logs_per_instance", "1"); err != nil {
		t.Fatal(err)
	}
	r := &Report{}
	r.checkProject(t.Context(), &pocketdock.Client{}, i.project)
	wellFormed(t, r)
	if f := findings(r, "old-logs"); len(f) != 1 || !f[0].Fixable || !strings.Contains(f[0].What, "has 2 logs more") {
		t.Errorf("%+v", r.Findings)
	}
	mended, err := Fix(t.Context(), r)
	list, _ := i.Logs()
	if err != nil || len(mended) != 1 || len(list) != 1 {
		t.Errorf("%+v, %v, %v", mended, err, list)
	}
	if slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.ID == "stale-instance" }) {
		t.Error("without an engine nothing is known about containers")
	}
}
