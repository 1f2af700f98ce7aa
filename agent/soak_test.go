//go:build linux

package agent

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A footprint is what the agent holds.
type footprint struct {
	rss, descriptors, threads, files int
}

func (s *sandbox) footprint() (f footprint) {
	pid := s.cmd.Process.Pid
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		switch fields[0] {
		case "VmRSS:":
			f.rss, _ = strconv.Atoi(fields[1])
		case "Threads:":
			f.threads, _ = strconv.Atoi(fields[1])
		}
	}
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	files, _ := os.ReadDir(s.dir)
	f.descriptors, f.files = len(fds), len(files)
	return f
}

// rested waits until the agent has given memory back: its footprint at rest.
func (s *sandbox) rested() footprint {
	last := footprint{}
	s.await("the agent comes to rest", func() bool {
		time.Sleep(2 * restTime)
		f := s.footprint()
		same := f.rss == last.rss
		last = f
		return same
	})
	return last
}

// TestFootprint: what the agent holds at rest is little and does not grow with
// the number of runs. POCKETDOCK_SOAK=100000 is the figure.
func TestFootprint(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's memory is not the agent's")
	}
	n := 2000
	if v, err := strconv.Atoi(os.Getenv("POCKETDOCK_SOAK")); err == nil {
		n = v
	}
	s := newSandbox(t)
	fresh := s.rested()
	batch := func(n int) {
		for i := range n {
			start := wire.Start{Argv: []string{"/bin/true"}, TimeoutMS: 30_000}
			switch i % 20 {
			case 3:
				start.Keep = true
			case 7:
				start.TTY = &wire.Size{}
			case 11:
				start.Stdin = true
			case 13:
				start.Argv = []string{"head", "-c", "100000", "/dev/zero"}
			}
			if o := s.run(start); o.exit == nil {
				t.Fatalf("run %d: %+v %v", i, o.failure, o.err)
			}
		}
	}
	batch(2 * maxRecords * 20) // so that all records that may be kept are
	before := s.rested()
	batch(n)
	after := s.rested()
	t.Logf("fresh %+v, before %+v, after %d runs %+v", fresh, before, n, after)
	if fresh.rss > 6<<10 || after.rss > 6<<10+512 { // the 6 MB, and what a busy machine adds
		t.Errorf("at rest it has %d kB fresh, %d kB later", fresh.rss, after.rss)
	}
	if after.rss > before.rss+512 || after.descriptors > before.descriptors || after.threads > before.threads+2 || after.files > before.files+2 {
		t.Errorf("it grows: %+v, then %+v", before, after)
	}
}
