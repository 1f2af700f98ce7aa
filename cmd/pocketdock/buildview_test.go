//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pocketdock/pocketdock"
)

// TestSuiteBuildBar: on a terminal a build is a bar with the step that is under
// way, which is gone at the end, whichever that is.
func TestSuiteBuildBar(t *testing.T) {
	onTerminals(t, func(t *testing.T, p *pane, _ *pocketdock.Container) {
		dir, err := os.MkdirTemp("", "pd")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		for name, text := range map[string]string{
			".pocketdock/pocketdock.yaml": "profiles: {fails: ./fails}\n",
			"fails/Dockerfile":            "FROM " + testImage + ":latest\nRUN sleep 3; exit 3\n",
		} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		p.line("cd " + dir + "; clear; pocketdock build fails; echo code=$?")
		p.shows(`(?m)^fails +█+░+ +\d+s +step 2 of \d+: RUN sleep 3; exit 3`)
		p.shows(`code=125`)
		if s := p.screen(); strings.ContainsAny(s, "█░") || !strings.Contains(s, "RUN sleep 3; exit 3") {
			t.Errorf("at the end: %s", s)
		}
		p.sane("bar")

		p.line("clear; pocketdock build fails; echo code=$?")
		p.shows(`(?m)^fails +█+░+ +\d+s +step 2`)
		p.keys("C-c")
		p.shows(`code=130`)
		p.sane("int")
	})
}
