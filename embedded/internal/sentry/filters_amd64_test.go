//go:build linux && !noembedded && !race

// With the race detector gVisor has other filters.

package sentry

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/bpf"
	"gvisor.dev/gvisor/pkg/seccomp"
	"gvisor.dev/gvisor/pkg/seccomp/precompiledseccomp"
	"gvisor.dev/gvisor/pkg/sentry/platform"
	"gvisor.dev/gvisor/runsc/boot/filter"
	sandboxconfig "gvisor.dev/gvisor/runsc/boot/filter/config"
	gofer "gvisor.dev/gvisor/runsc/fsgofer/filter"
	goferconfig "gvisor.dev/gvisor/runsc/fsgofer/filter/config"
)

var update = flag.Bool("update", false, "write filters_amd64.json")

// options are those that our sandboxes have.
func options(t *testing.T) (filter.Options, gofer.Options) {
	t.Helper()
	systrap, err := platform.Lookup("systrap")
	if err != nil {
		t.Fatal(err)
	}
	return filter.Options{Platform: systrap.PrecompiledSeccompInfo()[0], HostFilesystem: true, ControllerFD: 1234}, gofer.Options{UDSCreateEnabled: true, DirectFS: true}
}

// linked is the gVisor that tests have, which know nothing of their modules.
func linked(t *testing.T) *debug.BuildInfo {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", gvisorPath).Output()
	if err != nil {
		t.Fatal("no module: ", err)
	}
	return &debug.BuildInfo{Deps: []*debug.Module{{Path: gvisorPath, Version: strings.TrimSpace(string(out))}}}
}

// sandboxProgram and goferProgram are what gVisor compiles.
func sandboxProgram(o filter.Options) *seccomp.Program {
	rules, deny := sandboxconfig.Rules(o)
	return &seccomp.Program{RuleSets: []seccomp.RuleSet{{Rules: deny}, {Rules: rules, Action: seccomp.Allow}}, Options: sandboxconfig.SeccompOptions(o)}
}

func goferProgram(o gofer.Options) *seccomp.Program {
	rules, deny := goferconfig.Rules(o)
	return &seccomp.Program{RuleSets: []seccomp.RuleSet{{Rules: deny}, {Rules: rules, Action: seccomp.Allow}}}
}

// TestFilters: the filters that sandboxes get are, instruction by instruction,
// those that the gVisor of this program compiles. After an update of gVisor:
//
//	go test ./embedded/internal/sentry -run TestFilters -update
//	go test ./embedded/internal/sentry -run TestFilters
func TestFilters(t *testing.T) {
	info := linked(t)
	sandbox, files := options(t)
	if *update {
		write(t, info.Deps[0].Version, sandbox, files)
		return
	}
	if !useFilters(info, true) {
		t.Fatal("filters_amd64.json is of another gVisor: run this test with -update")
	}
	compare := func(name string, p precompiledseccomp.Program, found bool, vars precompiledseccomp.Values, program *seccomp.Program) {
		t.Helper()
		if !found {
			t.Errorf("%s: gVisor does not find it", name)
			return
		}
		got, err := p.RenderInstructions(vars)
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := program.Build()
		if err != nil {
			t.Fatal(err)
		}
		if len(want) < 50 || !slices.Equal(bpf.ToBytecode(got), bpf.ToBytecode(want)) {
			t.Errorf("%s: %d instructions are not the %d that gVisor makes: run this test with -update", name, len(got), len(want))
		}
	}
	p, found := filter.GetPrecompiled(sandbox.ConfigKey())
	compare("sandbox", p, found, sandbox.Vars(), sandboxProgram(sandbox))
	p, found = gofer.GetPrecompiled(files.ConfigKey())
	compare("gofer", p, found, files.Vars(), goferProgram(files))
}

// standIn is a platform with other values for its variables.
type standIn struct {
	platform.SeccompInfo
	vars precompiledseccomp.Values
}

func (s standIn) Variables() precompiledseccomp.Values { return s.vars }

// write compiles the filters with values for what is known only when they are
// used, and looks where those are. gVisor's own precompiler does not see that
// one rule has the process's number. A value that is there for another reason
// TestFilters finds, which has other values.
func write(t *testing.T, version string, sandbox filter.Options, files gofer.Options) {
	t.Helper()
	compile := func(name string, program *seccomp.Program, vars precompiledseccomp.Values) precompiledseccomp.Program {
		t.Helper()
		list, _, err := program.Build()
		if err != nil {
			t.Fatal(err)
		}
		p := precompiledseccomp.Program{Name: name, VarOffsets: map[string][]int{}}
		for b := range slices.Chunk(bpf.ToBytecode(list), 4) {
			p.Bytecode32 = append(p.Bytecode32, binary.NativeEndian.Uint32(b))
		}
		for name, value := range vars {
			p.VarOffsets[name] = nil
			for i, v := range p.Bytecode32 {
				if v == value && value != 0 {
					p.VarOffsets[name] = append(p.VarOffsets[name], i)
				}
			}
		}
		return p
	}
	values := precompiledseccomp.Values{}
	for name := range sandbox.Platform.Variables() {
		values[name] = 0x13371337 + 2*uint32(len(values))
	}
	sandbox.Platform, sandbox.ControllerFD = standIn{sandbox.Platform, values}, 0x42424242
	b, err := json.Marshal(filters{
		Version: version,
		Sandbox: compile(sandbox.ConfigKey(), sandboxProgram(sandbox), sandbox.Vars()),
		Gofer:   compile(files.ConfigKey(), goferProgram(files), files.Vars()),
	})
	if err == nil {
		err = os.WriteFile("filters_amd64.json", append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestFiltersOfAnotherVersion: filters of another gVisor would let through or
// stop what they should not.
func TestFiltersOfAnotherVersion(t *testing.T) {
	var f filters
	if err := json.Unmarshal(compiledFilters, &f); err != nil {
		t.Fatal(err)
	}
	for _, m := range []debug.Module{
		{Path: gvisorPath, Version: f.Version + "1"},
		{Path: gvisorPath, Version: f.Version, Replace: &debug.Module{Path: "../gvisor"}},
		{Path: "example.org/other", Version: f.Version},
	} {
		if useFilters(&debug.BuildInfo{Deps: []*debug.Module{&m}}, true) {
			t.Errorf("used with %+v", m)
		}
	}
	if useFilters(nil, false) {
		t.Error("used without knowing")
	}
}
