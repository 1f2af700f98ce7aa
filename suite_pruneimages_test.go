package pocketdock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pocketdock/pocketdock"
)

// TestSuitePruneImages: what goes are images that this state directory has
// made and nobody uses; not another one's, not one that got a second name, not
// one that a container is of, and not one that only looks like ours.
func TestSuitePruneImages(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		ctx := t.Context()
		e.lacks(t, "building images")
		c, d := swept(t, e)
		elsewhere, _ := swept(t, e)
		suffix := filepath.Base(c.StateDir)
		name := func(s string) string { return "pocketdock-test/prune-" + s + ":" + suffix }
		box, err := c.Create(ctx, busybox, d.Options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { destroy(t, box) })
		remove := func(image string) {
			t.Cleanup(func() { c.RemoveImage(context.Background(), image) })
		}
		snapshot := func(box *pocketdock.Container, image string) {
			t.Helper()
			if _, err := box.Snapshot(ctx, image, pocketdock.SnapshotOptions{NoPause: true}); err != nil {
				t.Fatal(err)
			}
			remove(image)
		}
		mine, renamed, inUse, theirs := name("mine"), name("renamed"), name("used"), name("theirs")
		for _, image := range []string{mine, renamed, inUse} {
			mustRun(t, box, pocketdock.Shell("echo "+image+" > /tmp/which"))
			snapshot(box, image)
		}
		if err := c.Tag(ctx, renamed, name("second")); err != nil {
			t.Fatal(err)
		}
		remove(name("second"))
		other, err := elsewhere.Create(ctx, busybox, d.Options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { destroy(t, other) })
		snapshot(other, theirs)
		user, err := c.Create(ctx, inUse, d.Options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { destroy(t, user) })
		// A profile that was built twice leaves its first image without a name.
		dir := t.TempDir()
		p := pocketdock.Profile{Name: "prune-test-" + e.name, Dir: dir}
		remove(p.Image())
		var first string
		for _, text := range []string{"one", "two"} {
			err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM "+busybox+"\nLABEL which="+text+suffix+"\n"), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range c.BuildProfile(ctx, p, pocketdock.ProfileBuildOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
			}
			if img, err := c.Image(ctx, p.Image()); err != nil {
				t.Fatal(err)
			} else if text == "one" {
				first = img.ID[len("sha256:"):]
			}
		}
		prune := func(o pocketdock.PruneOptions, want ...string) {
			t.Helper()
			names, err := c.PruneImages(ctx, o)
			slices.Sort(names)
			slices.Sort(want)
			if err != nil || !slices.Equal(names, want) {
				t.Errorf("%+v: %q, want %q, %v", o, names, want, err)
			}
		}
		prune(pocketdock.PruneOptions{Project: "another", DryRun: true})
		prune(pocketdock.PruneOptions{Project: sweepProject, DryRun: true}, mine)
		prune(pocketdock.PruneOptions{DryRun: true}, mine, p.Image(), first)
		prune(pocketdock.PruneOptions{}, mine, p.Image(), first)
		prune(pocketdock.PruneOptions{})
		for image, there := range map[string]bool{mine: false, p.Image(): false, renamed: true, inUse: true, theirs: true, busybox: true} {
			if _, err := c.Image(ctx, image); there != (err == nil) || !there && !errors.Is(err, pocketdock.ErrImageNotFound) {
				t.Errorf("%s: %v", image, err)
			}
		}
		// Of a container that Prune would remove it is as good as unused.
		if err := user.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		prune(pocketdock.PruneOptions{})
		prune(pocketdock.PruneOptions{DryRun: true}, inUse)
		if _, err := c.Prune(ctx, pocketdock.PruneOptions{}); err != nil {
			t.Fatal(err)
		}
		prune(pocketdock.PruneOptions{}, inUse)
	})
}
