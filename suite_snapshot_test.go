package pocketdock_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pocketdock/pocketdock"
)

// snapshotOf makes an image and removes it with the test.
func snapshotOf(t *testing.T, e testEngine, box *pocketdock.Container, o pocketdock.SnapshotOptions) (image, id string) {
	t.Helper()
	image = "pocketdock-test/snapshot-" + strings.ToLower(strings.NewReplacer("/", "-", "=", "-").Replace(t.Name())) + ":v1"
	id, err := box.Snapshot(t.Context(), image, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.client.RemoveImage(context.Background(), image); err != nil {
			t.Error(err)
		}
	})
	return image, id
}

// TestSuiteSnapshotExclude: what is to be left out is, and nothing else.
func TestSuiteSnapshotExclude(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := ownBox(t, e, socketWay, python)
		script := pocketdock.Shell(`set -e
					mkdir -p /work /work/sub; chmod 1770 /work; echo secret > /work/sub/secret; echo token > /tmp/token
					echo linked > /work/linked; ln /work/linked /home/sandbox/linked1; ln /work/linked /home/sandbox/linked2; ln /work/linked /tmp/linked3
					echo kept > /home/sandbox/kept; ln -s /work/sub/secret /home/sandbox/symlink; echo history > /home/sandbox/.history
					setfattr -n user.x -v y /home/sandbox/kept 2>/dev/null || true
					mkdir -p "/home/sandbox/` + strings.Repeat("long name/", 20) + `"; echo deep > "/home/sandbox/` + strings.Repeat("long name/", 20) + `é"
					rm /etc/issue; rm -r /etc/default; mkdir /etc/default; echo new > /etc/default/new
					chown -R sandbox /home/sandbox`)
		script.User = "root"
		// As root without capabilities: /home/sandbox is another user's.
		script.Capabilities = []string{"CHOWN", "DAC_OVERRIDE", "FOWNER"}
		mustRun(t, box, script)
		if _, err := box.Start(t.Context(), pocketdock.Shell("echo said in the log")); err != nil {
			t.Fatal(err)
		}
		image, id := snapshotOf(t, e, box, pocketdock.SnapshotOptions{
			Exclude: []string{"/work", "/tmp/", "/home/sandbox/.history", "/no/such/path"},
			Labels:  map[string]string{"k": "v"}, Comment: "without"})
		img, err := e.client.Image(t.Context(), image)
		if err != nil || img.User != "sandbox" || img.Labels["k"] != "v" || strings.TrimPrefix(img.ID, "sha256:") != strings.TrimPrefix(id, "sha256:") {
			t.Errorf("%+v, id %s, %v", img, id, err)
		}
		// Nothing of ours is left in the state directory.
		if m, _ := filepath.Glob(filepath.Join(e.client.StateDir, "work", "*")); len(m) > 0 {
			t.Errorf("left: %q", m)
		}
		copied := create(t, e, image, pocketdock.CreateOptions{})
		check := pocketdock.Shell(`cd /home/sandbox; id -un; find /work /tmp /.pocketdock -xdev -type f ! -path /.pocketdock/agent ! -path '/.pocketdock/io/*'
					stat -c '%a %n' /work /tmp; cat linked1 linked2 kept; [ linked1 -ef linked2 ] && stat -c %h linked1; stat -c %U kept linked1; readlink symlink
					ls .history /etc/issue 2>&1 | wc -l; ls /etc/default; cat long*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/é`)
		want := "sandbox\n1770 /work\n1777 /tmp\nlinked\nlinked\nkept\n2\nsandbox\nsandbox\n/work/sub/secret\n2\nnew\ndeep\n"
		check.User = "root"
		check.Capabilities = []string{"DAC_OVERRIDE"}
		got := string(mustRun(t, copied, check).Stdout)
		if want = strings.Replace(want, "sandbox\n1770", "root\n1770", 1); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if res := mustRun(t, copied, pocketdock.Shell("id -un")); string(res.Stdout) != "sandbox\n" {
			t.Errorf("user %q", res.Stdout)
		}
		destroy(t, copied)
	})
}

// TestSuiteSnapshotHasNoLogs: what commands printed is in no layer, whatever
// is left out.
func TestSuiteSnapshotHasNoLogs(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		for _, way := range e.ways(socketWay, bridgeWay, residentWay) {
			t.Run(way, func(t *testing.T) {
				box := ownBox(t, e, way, busybox)
				const mark = "printed-by-a-command"
				job, err := box.Start(t.Context(), pocketdock.Shell("echo printed-by-a-com''mand"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := job.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				// There it is, in the sandbox's own files if the way in is no mount.
				look := pocketdock.Shell("find /.pocketdock/io -name '*.out' | xargs grep -l printed-by-a-com''mand")
				look.User, look.Capabilities = "root", []string{"DAC_OVERRIDE"}
				mustRun(t, box, look)
				image, _ := snapshotOf(t, e, box, pocketdock.SnapshotOptions{})
				f, err := os.Create(filepath.Join(t.TempDir(), "image"))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if err := e.client.SaveImages(t.Context(), f, image); err != nil {
					t.Fatal(err)
				}
				all, err := os.ReadFile(f.Name())
				if err != nil || len(all) < 1<<20 {
					t.Fatalf("%d bytes, %v", len(all), err)
				}
				if strings.Contains(string(all), mark) {
					t.Errorf("the image contains %q", mark)
				}
			})
		}
	})
}

// TestSuiteSnapshotSwept: a client that is killed in the middle leaves images
// and a large file; the next sweep removes them, and no finished snapshot.
// Other tests make and remove images meanwhile.
func TestSuiteSnapshotSwept(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		c, d := swept(t, e)
		box, err := c.Create(t.Context(), busybox, pocketdock.CreateOptions{Project: testProject})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { destroy(t, box) })
		mustRun(t, box, pocketdock.Shell("echo x > /tmp/x"))
		name := "pocketdock-test/swept-" + e.name
		d.Container, d.Snapshot = box.ID(), name
		for _, step := range []string{"committed", "saved", "loaded"} {
			makes := 1
			if step == "loaded" {
				makes = 2 // with everything, and without /tmp
			}
			d.Step = step
			d.run(t)
			if made := imagesLabelled(t, e, sweptLabel, name); !c.SweepNeeded() || len(made) != makes {
				t.Errorf("%s: needed %v, made %q", step, c.SweepNeeded(), made)
			}
			report, err := c.Sweep(t.Context())
			if err != nil || len(report.Images) == 0 {
				t.Errorf("%s: %+v, %v", step, report, err)
			}
			if left := imagesLabelled(t, e, sweptLabel, name); len(left) > 0 {
				t.Errorf("%s: left %q", step, left)
			}
			if _, entries := leftIn(t, e, c.StateDir); len(entries) != 1 {
				t.Errorf("%s: left %q", step, entries)
			}
		}
		mustRun(t, box, pocketdock.Argv("true"))
	})
}

// imagesLabelled are the images that have a label, those without a name too.
func imagesLabelled(t *testing.T, e testEngine, key, value string) (ids []string) {
	t.Helper()
	var all []struct {
		ID     string `json:"Id"`
		Labels map[string]string
	}
	if err := api(t.Context(), e, "GET", "/images/json", nil, &all); err != nil {
		t.Fatal(err)
	}
	for _, img := range all {
		if img.Labels[key] == value {
			ids = append(ids, img.ID)
		}
	}
	return ids
}

func TestSuiteSnapshotExcludeInvalid(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := sharedBox(t, e, socketWay)
		for _, p := range []string{"", "/", "tmp", "/..", "/a\x00"} {
			if _, err := box.Snapshot(t.Context(), "x", pocketdock.SnapshotOptions{Exclude: []string{p}}); err == nil {
				t.Errorf("%q is accepted", p)
			}
		}
	})
}
