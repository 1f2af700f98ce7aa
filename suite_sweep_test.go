package pocketdock_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/state"
)

// A dying is a client of its own that ends itself with SIGKILL.
type dying struct {
	Socket, StateDir string
	NoMounts         bool
	Image            string // busybox, if empty
	Options          pocketdock.CreateOptions
	// Step after which it dies: one of state.Step's, or "running".
	Step string
	// Container whose RebootFresh it dies in; empty: it creates one, and if it
	// lives so long runs a command in it and destroys it.
	Container string
	// Snapshot is the image to make of it instead, without /tmp.
	Snapshot string
}

// sweptLabel is on the snapshots of a dying client, with their name.
const sweptLabel = "com.example.swept"

// diesHelper is what that client does.
func diesHelper(text string) error {
	var d dying
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return err
	}
	state.Step = func(step string) {
		if step == d.Step {
			if p, err := os.FindProcess(os.Getpid()); err == nil {
				p.Kill()
			}
			select {}
		}
	}
	ctx, cancel := helperContext()
	defer cancel()
	c := &pocketdock.Client{Socket: d.Socket, StateDir: d.StateDir, NoMounts: d.NoMounts}
	if d.Container != "" {
		box, err := c.Get(ctx, d.Container)
		if err != nil {
			return err
		}
		if d.Snapshot != "" {
			_, err = box.Snapshot(ctx, d.Snapshot, pocketdock.SnapshotOptions{
				Exclude: []string{"/tmp"}, Labels: map[string]string{sweptLabel: d.Snapshot}})
		} else {
			_, err = box.RebootFresh(ctx)
		}
		return err
	}
	box, err := c.Create(ctx, cmp.Or(d.Image, busybox), d.Options)
	if err != nil {
		return err
	}
	if _, err := box.Start(ctx, pocketdock.Shell("sleep 1000")); err != nil {
		return err
	}
	state.Step("running")
	return box.Destroy(ctx)
}

// command is the client, not yet started.
func (d dying) command(t *testing.T) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "dies", string(text))
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	return cmd
}

// run runs the client until it dies.
func (d dying) run(t *testing.T) {
	t.Helper()
	cmd := d.command(t)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("at step %s the client was not killed: %v %s", d.Step, err, said.String())
	}
}

// sweepProject marks containers that a test of Sweep may see removed.
var sweepProject = testProject + "-sweep"

// swept is an engine with a state directory of the test's own, which is
// checked to be empty of containers afterwards.
func swept(t *testing.T, e testEngine) (*pocketdock.Client, dying) {
	t.Helper()
	c := &pocketdock.Client{Socket: e.client.Socket, StateDir: shortDir(t)}
	return c, dying{Socket: c.Socket, StateDir: c.StateDir, Options: pocketdock.CreateOptions{Project: sweepProject}}
}

// leftIn lists the containers that name a state directory, and the entries of
// its directories.
func leftIn(t *testing.T, e testEngine, stateDir string) (containers, entries []string) {
	t.Helper()
	var items []struct {
		Names  []string
		State  string
		Labels map[string]string
	}
	filters := `{"label":["pocketdock.managed=true"]}`
	if err := api(t.Context(), e, "GET", "/containers/json?all=1&filters="+url.QueryEscape(filters), nil, &items); err != nil {
		t.Fatal(err)
	}
	for _, it := range items {
		if strings.HasPrefix(it.Labels["pocketdock.data-path"], stateDir+"/") {
			containers = append(containers, it.Names[0]+" "+it.State)
		}
	}
	for _, pattern := range []string{"c/*", "work/*"} {
		m, err := filepath.Glob(filepath.Join(stateDir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, m...)
	}
	return containers, entries
}

// mustSweep sweeps, and checks that it leaves nothing.
func mustSweep(t *testing.T, e testEngine, c *pocketdock.Client) pocketdock.SweepReport {
	t.Helper()
	report, err := c.Sweep(t.Context())
	if err != nil {
		t.Fatalf("sweep: %v", err)
	}
	if containers, entries := leftIn(t, e, c.StateDir); len(containers)+len(entries) > 0 {
		t.Fatalf("left after a sweep that reports %+v: %q, %q", report, containers, entries)
	}
	return report
}

// createSteps are the steps of Create, and whether a container is left of a
// program that dies there.
var createSteps = []struct {
	name      string
	container bool
}{
	{"begin", false}, {"box", false}, {"owner", false}, {"placed", false}, {"key", false}, {"recipe", false},
	{"created", true}, {"started", true}, {"ready", true},
}

// TestSuiteSweepAfterKill ends a client with SIGKILL at every step of its
// work. The next sweep leaves nothing.
func TestSuiteSweepAfterKill(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		for _, step := range createSteps {
			for _, persist := range []bool{false, true} {
				if persist && !step.container {
					continue // as without
				}
				t.Run(fmt.Sprintf("create/%s/persist=%v", step.name, persist), func(t *testing.T) {
					c, d := swept(t, e)
					d.Step, d.Options.Persist = step.name, persist
					d.run(t)
					containers, entries := leftIn(t, e, c.StateDir)
					if (len(containers) > 0) != step.container {
						t.Errorf("the dead client left %q", containers)
					}
					if needed := c.SweepNeeded(); needed != (len(entries) > 0) {
						t.Errorf("SweepNeeded says %v of %q", needed, entries)
					}
					report := mustSweep(t, e, c)
					if len(report.Containers) != len(containers) {
						t.Errorf("%+v, there was %q", report, containers)
					}
				})
			}
		}
		for _, step := range []string{"finished", "running", "removed", "unplaced"} {
			for _, way := range e.ways(socketWay, bridgeWay) {
				t.Run(step+"/"+way, func(t *testing.T) {
					c, d := swept(t, e)
					d.Step, d.NoMounts = step, way == bridgeWay
					d.run(t)
					if !c.SweepNeeded() {
						t.Error("SweepNeeded says no")
					}
					mustSweep(t, e, c)
					if c.SweepNeeded() {
						t.Error("SweepNeeded says yes after a sweep")
					}
				})
			}
		}
	})
}

// TestSuiteSweepTogether has several programs sweep the same leftovers while
// others create containers.
func TestSuiteSweepTogether(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		c, d := swept(t, e)
		d.Step = "running"
		for range 2 {
			d.run(t)
		}
		errs := make(chan error, 8)
		for i := range cap(errs) {
			go func() {
				// A client of its own, as another program has.
				other := &pocketdock.Client{Socket: c.Socket, StateDir: c.StateDir}
				if i%4 != 0 {
					_, err := other.Sweep(t.Context())
					errs <- err
					return
				}
				box, err := other.Create(t.Context(), busybox, d.Options)
				if err == nil {
					_, err = box.Run(t.Context(), pocketdock.Argv("true"))
					err = errors.Join(err, box.Destroy(context.Background()))
				}
				errs <- err
			}()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		mustSweep(t, e, c)
	})
}

// TestSuiteSweepLeaves shows what no sweep removes.
func TestSuiteSweepLeaves(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "containers that other tools make with a network")
		c, d := swept(t, e)
		ctx := t.Context()
		keep := func(box *pocketdock.Container, err error) *pocketdock.Container {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { destroy(t, box) })
			return box
		}
		live := keep(c.Create(ctx, busybox, d.Options))
		// One that belongs to nobody, of a program that is dead.
		ownerless := d
		ownerless.Step, ownerless.Options.Owner = "running", -1
		ownerless.Options.Name = "pd-ownerless-" + e.name + filepath.Base(c.StateDir)
		ownerless.run(t)
		nobodys := keep(c.Get(ctx, ownerless.Options.Name))
		d.Options.Persist, d.Step = true, "running"
		d.Options.Name = "pd-lasting-" + e.name + filepath.Base(c.StateDir)
		d.run(t)
		lasting := keep(c.Get(ctx, d.Options.Name))
		// A dead owner of another state directory.
		otherClient, other := swept(t, e)
		other.Step, other.Options.Name = "running", "pd-other-"+e.name+filepath.Base(c.StateDir)
		other.run(t)
		others := keep(otherClient.Get(ctx, other.Options.Name))
		// Labels are anybody's text.
		dead := c.StateDir + "/c/0123456789abcdef"
		forged := map[string]string{"live": live.DataPath(), "missing": dead, "other": others.DataPath(), "elsewhere": "/etc", "root": "/"}
		for name, path := range forged {
			id, err := forge(t, e, path)
			if err != nil {
				t.Fatal(err)
			}
			forged[name] = id
		}
		// One owned by a process that lives.
		parent := d.Options
		parent.Owner, parent.Persist, parent.Name = os.Getppid(), false, ""
		owned := keep(c.Create(ctx, busybox, parent))

		report, err := c.Sweep(ctx)
		if err != nil || len(report.Containers)+report.Directories > 0 {
			t.Errorf("swept %+v, %v", report, err)
		}
		for _, box := range []*pocketdock.Container{live, lasting, nobodys, others, owned} {
			if ok, err := box.Running(ctx); !ok || err != nil {
				t.Errorf("%s: %v, %v", box, ok, err)
				continue
			}
			mustRun(t, box, pocketdock.Argv("true"))
		}
		for name, id := range forged {
			box, err := c.Get(ctx, id)
			if err != nil {
				t.Errorf("forged %s: %v", name, err)
				continue
			}
			// Nor may its removal take the other one's directory along.
			destroy(t, box)
		}
		mustRun(t, live, pocketdock.Argv("true"))
		if _, err := os.Stat(live.DataPath()); err != nil {
			t.Errorf("a forged container's removal took it away: %v", err)
		}
		if names, err := c.Prune(ctx, pocketdock.PruneOptions{Persistent: true}); err != nil || len(names) > 0 {
			t.Errorf("pruned %q, %v", names, err)
		}
	})
}

// forge makes a container whose labels say that it is ours and dead.
func forge(t *testing.T, e testEngine, dataPath string) (string, error) {
	body := map[string]any{"Image": busybox, "Cmd": []string{"true"}, "Labels": map[string]string{
		"pocketdock.managed": "true", "pocketdock.persist": "false", "pocketdock.project": sweepProject,
		"pocketdock.owner": "1:1:dead:1", "pocketdock.agent": "socket", "pocketdock.data-path": dataPath}}
	var out struct{ ID string }
	if err := api(t.Context(), e, "POST", "/containers/create", body, &out); err != nil {
		return "", err
	}
	t.Cleanup(func() { api(context.Background(), e, "DELETE", "/containers/"+out.ID+"?force=true", nil, nil) })
	return out.ID, nil
}

// TestSuiteSweepReboot: what a RebootFresh leaves that was killed.
func TestSuiteSweepReboot(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		for _, step := range []string{"aside", "created", "ready", "finished", "removed"} {
			t.Run(step, func(t *testing.T) {
				c, d := swept(t, e)
				o := d.Options
				o.Persist = true
				box, err := c.Create(t.Context(), busybox, o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { destroy(t, box) })
				mustRun(t, box, pocketdock.Shell("echo kept > /tmp/kept"))
				d.Container, d.Step = box.ID(), step
				d.run(t)
				if _, err := c.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				if left, _ := leftIn(t, e, c.StateDir); len(left) != 1 {
					t.Errorf("containers after it: %q", left)
				}
				now, err := c.Get(t.Context(), box.Name())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { destroy(t, now) })
				if err := now.Resume(t.Context()); err != nil {
					t.Fatal(err)
				}
				res := mustRun(t, now, pocketdock.Shell("cat /tmp/kept 2>/dev/null; true"))
				finished := step == "finished" || step == "removed"
				if (string(res.Stdout) == "kept\n") == finished || (now.ID() == box.ID()) == finished {
					t.Errorf("container %s, was %s, has %q", now.ID(), box.ID(), res.Stdout)
				}
			})
		}
	})
}

// TestSuiteTimeLimitsWithoutClient: a container ends at its limits though the
// client was killed, the engine removes it, and the next sweep its directory.
func TestSuiteTimeLimitsWithoutClient(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		for _, limit := range []string{"ttl", "idle"} {
			t.Run(limit, func(t *testing.T) {
				c, d := swept(t, e)
				d.Step = "running" // it runs a sleep, which is no idleness
				d.Options.TTL = 2 * time.Second
				if limit == "idle" {
					d.Step, d.Options.TTL, d.Options.IdleTimeout = "finished", 0, time.Second
				}
				d.run(t)
				eventually(t, 30*time.Second, "the container is gone", func() bool {
					containers, _ := leftIn(t, e, c.StateDir)
					return len(containers) == 0
				})
				if _, entries := leftIn(t, e, c.StateDir); len(entries) != 1 {
					t.Errorf("before the sweep: %q", entries)
				}
				mustSweep(t, e, c)
			})
		}
	})
}
