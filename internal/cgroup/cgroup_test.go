package cgroup

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// tree makes files below a temporary directory and returns it.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// The texts are as the kernel writes them: Documentation/admin-guide/cgroup-v2.rst
// and cgroup-v1/{memory,cpuacct,pids}.rst.
func TestRead(t *testing.T) {
	v2 := func(prefix string) map[string]string {
		return map[string]string{
			"cgroup.controllers":      "cpu memory pids\n",
			prefix + "memory.current": "4096\n",
			prefix + "memory.max":     "268435456\n",
			prefix + "cpu.stat":       "usage_usec 1234\nuser_usec 1000\nsystem_usec 234\n",
			prefix + "pids.current":   "3\n",
			prefix + "pids.max":       "512\n",
		}
	}
	v1 := func(group string) map[string]string {
		return map[string]string{
			"memory" + group + "/memory.usage_in_bytes": "4096\n",
			"memory" + group + "/memory.limit_in_bytes": "268435456\n",
			"cpuacct" + group + "/cpuacct.usage":        "1234000\n",
			"pids" + group + "/pids.current":            "3\n",
			"pids" + group + "/pids.max":                "512\n",
		}
	}
	full := Usage{Memory: 4096, MemoryLimit: 256 << 20, CPUNanos: 1234000, PIDs: 3, PIDsLimit: 512}
	unknown := Usage{-1, -1, -1, -1, -1}
	noLimits := full
	noLimits.MemoryLimit, noLimits.PIDsLimit = 0, 0
	change := func(files map[string]string, more map[string]string) map[string]string {
		maps.Copy(files, more)
		return files
	}
	for _, tt := range []struct {
		name   string
		files  map[string]string
		groups string // /proc/PID/cgroup
		want   Usage
	}{
		{"v2 inside", v2(""), "", full},
		{"v2 of a process", v2("system.slice/c.scope/"), "0::/system.slice/c.scope\n", full},
		{"v2 without limits", change(v2(""), map[string]string{"memory.max": "max\n", "pids.max": "max\n"}), "", noLimits},
		{"v2 without the group's files", map[string]string{"cgroup.controllers": ""}, "0::/gone\n", unknown},
		{"v2 of garbage", map[string]string{"cgroup.controllers": "", "memory.current": "many\n", "cpu.stat": "usage_usec -\nusage_usec\n",
			"pids.current": ""}, "", unknown},
		{"v1 inside", v1(""), "", full},
		{"v1 of a process", v1("/docker/c"), "5:memory:/docker/c\n4:cpu,cpuacct:/docker/c\n3:pids:/docker/c\n", full},
		{"v1 without limits", change(v1(""), map[string]string{
			"memory/memory.limit_in_bytes": "9223372036854771712\n", "pids/pids.max": "max\n"}), "", noLimits},
		{"v1 without files", nil, "", unknown},
		{"v1 of a process in fewer groups", v1(""), "1:name=systemd:/\n", unknown},
		{"v2 of a process in no v2 group", v2(""), "1:memory:/\n", unknown},
	} {
		var groups map[string]string // nil inside
		if tt.groups != "" {
			groups = parseGroups([]byte(tt.groups))
		}
		if got := read(tree(t, tt.files), groups); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestParseGroups(t *testing.T) {
	got := parseGroups([]byte("12:cpu,cpuacct:/a\n7:name=systemd:/b:c\n0::/d e\nnonsense\n1:memory:/last"))
	want := map[string]string{"cpu": "/a", "cpuacct": "/a", "name=systemd": "/b:c", "": "/d e", "memory": "/last"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestEndedProcess: what is told of a process that has ended is nothing, not
// what the whole machine uses.
func TestEndedProcess(t *testing.T) {
	if got, want := OfProcess(0), (Usage{-1, -1, -1, -1, -1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
