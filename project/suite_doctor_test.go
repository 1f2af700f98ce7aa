//go:build unix

package project

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// TestSuiteDoctor makes each fault of a project on purpose; doctor finds it,
// and nothing else, and mends what is ours.
func TestSuiteDoctor(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		ctx := t.Context()
		p := newProject(t, "project_name: "+testProject+"\n")
		persistent := pocketdock.CreateOptions{Persist: true, Project: testProject}
		var r *Report
		bad := func() map[string][]Finding {
			t.Helper()
			r = Doctor(ctx, e.client, p)
			wellFormed(t, r)
			if r.Engine == nil || len(findings(r, "engine-list")) > 0 {
				t.Fatalf("the engine did not answer: %+v", r.Findings)
			}
			m := map[string][]Finding{}
			for _, f := range r.Findings {
				// What this machine's engine lacks is not the project's.
				if f.Severity > Fine && !strings.HasPrefix(f.ID, "engine-") && !strings.HasSuffix(f.ID, "-disk") {
					m[f.ID] = append(m[f.ID], f)
				}
			}
			return m
		}
		healthy := create(t, e, persistent)
		instanceOf(t, p, healthy, persistent)
		if m := bad(); len(m) > 0 {
			t.Fatalf("of a project that is in order: %+v", m)
		}

		gone := create(t, e, persistent)
		i := instanceOf(t, p, gone, persistent)
		m, err := i.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		m.Container.Name, m.Container.ID = "kept", strings.Repeat("2", 64) // as of another one that is gone
		k, err := p.CreateInstance(m)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		if err := os.WriteFile(filepath.Join(k.DataDir(), "result"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := gone.Destroy(ctx); err != nil {
			t.Fatal(err)
		}
		unknown := create(t, e, persistent) // no instance
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		port := listener.Addr().(*net.TCPAddr).Port
		var o *Instance
		for range 2 {
			ports := persistent
			ports.Ports = []pocketdock.Port{{Container: 80, Host: port}}
			box := create(t, e, persistent)
			o = instanceOf(t, p, box, ports)
			if err := box.Stop(ctx); err != nil {
				t.Fatal(err)
			}
		}
		abandoned := startAndLeave(t, e)
		if m, err = o.Manifest(); err != nil {
			t.Fatal(err)
		}
		m.Container.Project, m.Container.Persist = "another", false
		if err := o.writeManifest(m); err != nil {
			t.Fatal(err)
		}

		found := bad()
		if f := found["stale-instance"]; len(f) != 2 || f[0].Fixable == f[1].Fixable {
			t.Errorf("stale instances: %+v", f)
		}
		if f := found["orphaned-container"]; len(f) != 2 || !strings.Contains(f[0].What+f[1].What, unknown.Name()) || !strings.Contains(f[0].What+f[1].What, abandoned) {
			t.Errorf("orphaned containers: %+v", f)
		}
		if f := found["port-conflict"]; len(f) != 2 {
			t.Errorf("ports: %+v", f)
		}
		if f := found["label-mismatch"]; len(f) != 2 {
			t.Errorf("labels: %+v", f)
		}
		if len(found) != 4 {
			t.Errorf("more than was done: %+v", found)
		}

		mended, err := Fix(ctx, r)
		if err != nil || len(mended) != 2 || mended[0].ID != "stale-instance" || mended[1].ID != "orphaned-container" || !strings.Contains(mended[1].What, abandoned) {
			t.Errorf("mended %+v, %v", mended, err)
		}
		if _, err := e.client.Get(ctx, abandoned); !errors.Is(err, pocketdock.ErrContainerNotFound) {
			t.Errorf("what a program left: %v", err)
		}
		if _, err := os.Stat(i.Dir()); !os.IsNotExist(err) {
			t.Errorf("the stale instance: %v", err)
		}
		if _, err := os.Stat(filepath.Join(k.DataDir(), "result")); err != nil {
			t.Errorf("somebody's data: %v", err)
		}
		if _, err := e.client.Get(ctx, unknown.ID()); err != nil {
			t.Errorf("a container that may be another directory's: %v", err)
		}
		if f := bad()["stale-instance"]; len(f) != 1 {
			t.Errorf("afterwards: %+v", f)
		}
	})
}

// TestSuiteDoctorRecreated: an instance follows its container when that was
// made anew, and one of another engine is left alone.
func TestSuiteDoctorRecreated(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		ctx := t.Context()
		p := newProject(t, "project_name: "+testProject+"\n")
		o := pocketdock.CreateOptions{Persist: true, Project: testProject}
		box := create(t, e, o)
		i := instanceOf(t, p, box, o)
		m, err := i.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		m.Container.ID = strings.Repeat("0", 64)
		if err := i.writeManifest(m); err != nil {
			t.Fatal(err)
		}
		r := Doctor(ctx, e.client, p)
		if f := findings(r, "label-mismatch"); len(f) != 1 || !f[0].Fixable {
			t.Errorf("%+v", r.Findings)
		}
		if mended, err := Fix(ctx, r); err != nil || len(mended) != 1 {
			t.Errorf("%+v, %v", mended, err)
		}
		if m, err = i.Manifest(); err != nil || m.Container.ID != box.ID() {
			t.Errorf("%+v, %v", m, err)
		}
		m.Container.Socket, m.Container.ID = "/run/other.sock", strings.Repeat("1", 64)
		if err := i.writeManifest(m); err != nil {
			t.Fatal(err)
		}
		r = Doctor(ctx, e.client, p)
		if f := findings(r, "other-engine"); len(f) != 1 || len(findings(r, "stale-instance")) != 0 {
			t.Errorf("%+v", r.Findings)
		}
		if mended, err := Fix(ctx, r); err != nil || len(mended) != 0 {
			t.Errorf("%+v, %v", mended, err)
		}
	})
}

// startAndLeave has another program make a container and end; it returns the
// container's name.
func startAndLeave(t *testing.T, e testEngine) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "create", e.client.Socket, e.client.StateDir, testProject)
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		ctx, cancel := testContext(2 * time.Minute)
		defer cancel()
		box, err := e.client.Get(ctx, name)
		if err == nil {
			err = box.Destroy(ctx)
		}
		if err != nil && !errors.Is(err, pocketdock.ErrContainerNotFound) {
			t.Errorf("removing %s: %v", name, err)
		}
	})
	return name
}
