package pocketdock

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestCoreDependencies: the library and all it imports are the standard
// library and this module.
func TestCoreDependencies(t *testing.T) {
	const module = "github.com/pocketdock/pocketdock"
	for _, goos := range []string{"linux", "darwin", "windows"} {
		out := goCommand(t, []string{"GOOS=" + goos}, "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")
		deps := strings.Fields(out)
		found := false
		for _, dep := range deps {
			if dep != module && !strings.HasPrefix(dep, module+"/") {
				t.Errorf("%s: the core depends on %s", goos, dep)
			}
			found = found || dep == module
		}
		if !found {
			t.Errorf("%s: go list did not list the package itself: %q", goos, out)
		}
	}
}

// goCommand runs the go command with more environment and returns its output.
func goCommand(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s go %s: %v\n%s", strings.Join(env, " "), strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}
