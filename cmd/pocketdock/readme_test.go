//go:build unix

package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/enginetest"
)

// TestReadmeRuns runs the README's transcripts, with names that nobody has, and
// compares what they print. (They are the same on all engines, as the scripts
// show.)
func TestReadmeRuns(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range firstEngine(t) {
		runTranscripts(t, e, string(readme))
	}
}

// hostLine is the image of the profile host among those that were removed: only
// where no other test had made it on the engine before.
var hostLine = regexp.MustCompile(`(?m)^pocketdock/host:[0-9a-f]+\n`)

func runTranscripts(t *testing.T, e enginetest.Engine, readme string) {
	state, err := os.MkdirTemp("", "pd")
	if err != nil {
		t.Fatal(err)
	}
	name := uniqueName()
	t.Cleanup(func() {
		if err := removeAll(&pocketdock.Client{Socket: e.Socket, StateDir: state}, name+":v1"); err != nil {
			t.Error(err)
		}
		os.RemoveAll(state)
	})
	word := regexp.MustCompile(`\bwork\b`)
	commands := 0
	for _, block := range strings.Split(readme, "```console\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for _, part := range strings.Split("\n"+word.ReplaceAllString(block, name), "\n$ ")[1:] {
			line, want, _ := strings.Cut(part, "\n")
			if strings.HasPrefix(line, "go build ") || strings.Contains(line, " go run ") {
				continue // the tests' own is used, see TestMain; scripts/embedded has the other
			}
			commands++
			cmd := exec.Command("sh", "-c", strings.ReplaceAll(line, "./pocketdock", "pocketdock"))
			cmd.Env = append(os.Environ(), "POCKETDOCK_SOCKET="+e.Socket, "POCKETDOCK_STATE_DIR="+state)
			cmd.Dir = state
			out, err := cmd.CombinedOutput()
			if strings.Contains(line, " prune ") {
				out = hostLine.ReplaceAll(out, nil)
			}
			pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(want)), "…", "[^ ]+") + "$"
			if err != nil || !regexp.MustCompile(pattern).MatchString(strings.TrimSpace(string(out))) {
				t.Errorf("%s\nprinted %q, want %q, %v", line, out, want, err)
			}
		}
	}
	if commands < 12 {
		t.Errorf("there are %d commands", commands)
	}
}
