package pocketdock_test

import (
	"os/exec"
	"slices"
	"testing"

	"github.com/pocketdock/pocketdock"
)

// TestSuitePruneLeaves what belongs to another program that lives, what is
// another state directory's, and what only says that it is ours.
func TestSuitePruneLeaves(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "containers that other tools make with a network")
		c, d := swept(t, e)
		other := exec.Command("sleep", "1000")
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { other.Process.Kill(); other.Wait() })
		stopped := func(c *pocketdock.Client, o pocketdock.CreateOptions) *pocketdock.Container {
			t.Helper()
			box, err := c.Create(t.Context(), busybox, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { destroy(t, box) })
			if err := box.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			return box
		}
		o := d.Options
		mine := stopped(c, o)
		o.Owner = other.Process.Pid
		theirs := stopped(c, o)
		elsewhere, _ := swept(t, e)
		foreign := stopped(elsewhere, d.Options)
		if _, err := forge(t, e, theirs.DataPath()); err != nil {
			t.Fatal(err)
		}
		prune := func(want ...string) {
			t.Helper()
			names, err := c.Prune(t.Context(), pocketdock.PruneOptions{Project: sweepProject, Persistent: true})
			if err != nil || !slices.Equal(names, want) {
				t.Errorf("pruned %q, want %q, %v", names, want, err)
			}
		}
		prune(mine.Name())
		prune()
		if err := theirs.Resume(t.Context()); err != nil {
			t.Error(err)
		}
		if report, err := c.Sweep(t.Context()); err != nil || len(report.Containers) > 0 {
			t.Errorf("%+v, %v", report, err)
		}
		other.Process.Kill()
		other.Wait()
		if report, err := c.Sweep(t.Context()); err != nil || !slices.Equal(report.Containers, []string{theirs.Name()}) {
			t.Errorf("after its owner's end: %+v, %v", report, err)
		}
		if _, err := elsewhere.Get(t.Context(), foreign.ID()); err != nil {
			t.Error(err)
		}
	})
}
