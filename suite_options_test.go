package pocketdock_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/pocketdock/pocketdock"
)

func TestSuiteDevices(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "devices of the host")
		const device = "/dev/fuse"
		if _, err := os.Stat(device); err != nil {
			t.Fatalf("this test needs %s on the host: %v", device, err)
		}
		plain := create(t, e, busybox, pocketdock.CreateOptions{})
		if res, err := plain.Run(t.Context(), pocketdock.Argv("test", "-c", device)); err != nil || res.OK() {
			t.Errorf("without the option: %+v, %v", res, err)
		}
		box := create(t, e, busybox, pocketdock.CreateOptions{Devices: []string{device}})
		mustRun(t, box, pocketdock.Argv("test", "-c", device))
	})
}

// TestSuiteRefusedOptions: what an engine cannot do is an error, and nothing
// is left.
func TestSuiteRefusedOptions(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		for name, o := range map[string]pocketdock.CreateOptions{
			"runtime":  {Runtime: "no-such-runtime"},
			"user":     {User: "no-such-user"},
			"volume":   {Volumes: []pocketdock.Volume{{Host: "/no/such/dir", Container: "/v"}}},
			"device":   {Devices: []string{"/dev/no-such-device"}},
			"capacity": {Capabilities: []string{"NO_SUCH_CAP"}},
		} {
			if name == "device" && e.name == "embedded" {
				continue // it has none
			}
			o.Project = testProject + "-refused"
			box, err := e.client.Create(t.Context(), busybox, o)
			if err == nil {
				// A user is looked up when a command starts.
				_, err = box.Run(t.Context(), pocketdock.Argv("true"))
				destroy(t, box)
			}
			if err == nil || !strings.Contains(err.Error(), "no-such") && !strings.Contains(err.Error(), "/no/such") && !strings.Contains(strings.ToUpper(err.Error()), "NO_SUCH_CAP") {
				t.Errorf("%s: %v", name, err)
			}
		}
		left, err := e.client.List(t.Context(), pocketdock.ListOptions{Project: testProject + "-refused"})
		if err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
}

// TestSuiteDiskLimit: a limit of the disk holds, or is refused.
func TestSuiteDiskLimit(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		o := pocketdock.CreateOptions{Disk: 16 << 20, Project: testProject}
		box, err := e.client.Create(t.Context(), busybox, o)
		if err != nil {
			if errors.Is(err, pocketdock.ErrNoEngine) {
				t.Error(err)
			}
			if e.name == "embedded" {
				t.Error(err) // it can
			}
			t.Logf("refused: %v", err)
			return
		}
		t.Cleanup(func() { destroy(t, box) })
		res, err := box.Run(t.Context(), pocketdock.Argv("dd", "if=/dev/zero", "of=/tmp/big", "bs=1M", "count=32"))
		if err != nil || res.OK() || !strings.Contains(string(res.Stderr), "No space left") {
			t.Errorf("32 MB in 16: %+v, %v", res, err)
		}
		if fi, err := box.Stat(t.Context(), "/tmp/big", pocketdock.FileOptions{}); err != nil || fi.Size > o.Disk {
			t.Errorf("in 16 MB: %+v, %v", fi, err)
		}
	})
}
