//go:build linux && !noembedded

package sentry

import (
	"encoding/json"
	"runtime/debug"
	_ "unsafe" // for go:linkname

	"gvisor.dev/gvisor/pkg/seccomp/precompiledseccomp"
	gofer "gvisor.dev/gvisor/runsc/fsgofer/filter"

	"gvisor.dev/gvisor/runsc/boot/filter"
)

// gVisor compiles the filters of its own system calls, a seventh of the work of
// a start, unless it was built with them compiled, which only its own build
// tool does. So they are given to it where it looks for those. A version of
// gVisor that looks elsewhere compiles them itself.

//go:linkname sandboxFilters gvisor.dev/gvisor/runsc/boot/filter.precompiledPrograms
var sandboxFilters map[string]precompiledseccomp.Program

//go:linkname goferFilters gvisor.dev/gvisor/runsc/fsgofer/filter.precompiledPrograms
var goferFilters map[string]precompiledseccomp.Program

const gvisorPath = "gvisor.dev/gvisor"

// filters are compiled ones, of one version of gVisor. TestFilters makes and
// compares them.
type filters struct {
	Version string
	Sandbox precompiledseccomp.Program
	Gofer   precompiledseccomp.Program
}

// useFilters gives gVisor the filters, if they are its own.
func useFilters(info *debug.BuildInfo, known bool) bool {
	var f filters
	if !known || json.Unmarshal(compiledFilters, &f) != nil || f.Version == "" || version(info) != f.Version {
		return false
	}
	filter.ListPrecompiled() // so that it does not empty the list later
	gofer.ListPrecompiled()
	sandboxFilters = map[string]precompiledseccomp.Program{f.Sandbox.Name: f.Sandbox}
	goferFilters = map[string]precompiledseccomp.Program{f.Gofer.Name: f.Gofer}
	return true
}

// version is that of the gVisor in this program; empty if it is not one that
// everybody gets by this name.
func version(info *debug.BuildInfo) string {
	for _, m := range info.Deps {
		if m.Path == gvisorPath && m.Replace == nil {
			return m.Version
		}
	}
	return ""
}
