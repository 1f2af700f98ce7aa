package images

import (
	"os/exec"
	"strings"
	"testing"
)

// TestProfiles: what every profile promises, as far as it can be read.
func TestProfiles(t *testing.T) {
	for _, p := range Profiles() {
		b, err := Dockerfile(p.Name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		for line := range strings.Lines(text) {
			if from, ok := strings.CutPrefix(line, "FROM "); ok && strings.Fields(from)[0] != Base {
				t.Errorf("%s: not based on %s: %s", p.Name, Base, line)
			}
		}
		final := text[strings.LastIndex(text, "\nFROM "):]
		for _, want := range []string{"useradd --uid 1000 ", "\nUSER sandbox\n", "\nWORKDIR /home/sandbox\n", "--no-install-recommends", "rm -rf /var/lib/apt/lists/*"} {
			if !strings.Contains(final, want) {
				t.Errorf("%s: its Dockerfile has no %q", p.Name, want)
			}
		}
		smoke, err := Smoke(p.Name)
		if err != nil || !strings.HasSuffix(string(smoke), "\necho ok "+p.Name+"\n") || !strings.HasPrefix(string(smoke), "set -eu\n") {
			t.Errorf("%s: smoke script: %v", p.Name, err)
		}
		if sh, err := exec.LookPath("sh"); err == nil {
			cmd := exec.Command(sh, "-n")
			cmd.Stdin = strings.NewReader(string(smoke))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v %s", p.Name, err, out)
			}
		}
		if p.Network != (p.Name == "dev" || p.Name == "embedded") {
			t.Errorf("%s: network %v", p.Name, p.Network)
		}
	}
	for _, name := range []string{"", ".", "..", "nope", "../images", "agent/x", "/agent"} {
		if _, err := Dockerfile(name); err == nil {
			t.Errorf("a profile %q", name)
		}
	}
}

// TestSharedSteps: agent begins with the steps of minimal-python, so that an
// engine has their layers once.
func TestSharedSteps(t *testing.T) {
	steps := func(name string) string {
		b, err := Dockerfile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(string(b), "FROM ")
		return text
	}
	shared, _, _ := strings.Cut(steps("minimal-python"), "ENV PATH")
	if !strings.HasPrefix(steps("agent"), shared) {
		t.Error("agent and minimal-python do not share their layers any more")
	}
}
