package pocketdock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/images"
)

// builtProfiles are those that the suite builds on an engine. dev and embedded
// are for when there is time: POCKETDOCK_TEST_PROFILES=all.
func builtProfiles(engine string) []string {
	all := os.Getenv("POCKETDOCK_TEST_PROFILES") == "all"
	switch {
	case engine == "rootless" && !all:
		return []string{"minimal-python"}
	case all:
		return []string{"minimal-python", "minimal-node", "minimal-bun", "agent", "dev", "embedded"}
	}
	return []string{"minimal-python", "minimal-node", "minimal-bun", "agent"}
}

func profile(t *testing.T, name string) pocketdock.Profile {
	t.Helper()
	for _, p := range pocketdock.Profiles() {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no profile %s", name)
	return pocketdock.Profile{}
}

// TestSuiteProfiles builds the built-in profiles and uses what they promise.
// The engines build at the same time.
func TestSuiteProfiles(t *testing.T) {
	if testing.Short() {
		t.Skip("builds take minutes")
	}
	onEngines(t, func(t *testing.T, e testEngine) {
		t.Parallel()
		for _, name := range builtProfiles(e.name) {
			t.Run(name, func(t *testing.T) {
				p := profile(t, name)
				began := time.Now()
				buildProfile(t, e, p)
				t.Logf("%s: built in %.0f s", p.Name, time.Since(began).Seconds())
				box := create(t, e, "", pocketdock.CreateOptions{Profile: name})
				info, err := box.Info(t.Context())
				if err != nil || info.Network != p.Network || info.User != "sandbox" || info.Profile != name || info.Image != p.Image() {
					t.Errorf("%+v, %v", info, err)
				}
				smoke(t, box, name)
				if name == "minimal-node" {
					nodeSession(t, box)
				}
				destroy(t, box)
			})
		}
		list, err := e.client.Profiles(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			t.Logf("%s: built %v, %.0f MB", p.Name, p.Built, float64(p.Size)/1e6)
		}
	})
}

// smoke runs a profile's smoke script.
func smoke(t *testing.T, box *pocketdock.Container, name string) {
	t.Helper()
	script, err := images.Smoke(name)
	if err != nil {
		t.Fatal(err)
	}
	cmd := pocketdock.Shell(string(script))
	cmd.Timeout = 3 * time.Minute
	if res := mustRun(t, box, cmd); !strings.HasSuffix(string(res.Stdout), "ok "+name+"\n") {
		t.Errorf("%s: %s%s", name, res.Stdout, res.Stderr)
	}
}

// buildProfile builds and checks the order of what is told.
func buildProfile(t *testing.T, e testEngine, p pocketdock.Profile) (events []pocketdock.BuildEvent) {
	t.Helper()
	for ev, err := range e.client.BuildProfile(t.Context(), p, pocketdock.ProfileBuildOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, ev)
	}
	if len(events) == 0 || events[0].Kind != pocketdock.BuildStep || events[0].Step != 1 || !strings.HasPrefix(events[0].Instruction, "FROM ") {
		t.Fatalf("events: %+v", events)
	}
	id := ""
	for _, ev := range events {
		if ev.Kind == pocketdock.BuildImage {
			id = ev.ImageID
		}
	}
	img, err := e.client.Image(t.Context(), p.Image())
	if err != nil || img.ID != id {
		t.Fatalf("image %+v, %v; the build said %s", img, err, id)
	}
	return events
}

// ownProfile is a user's profile in a directory.
func ownProfile(t *testing.T, name, dockerfile string, network bool) pocketdock.Profile {
	t.Helper()
	dir := t.TempDir()
	for file, text := range map[string]string{"Dockerfile": dockerfile, "data/f": "copied\n"} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return pocketdock.Profile{Name: name, Dir: dir, Network: network, Description: "for a test"}
}

func removeImage(t *testing.T, e testEngine, image string) {
	t.Cleanup(func() {
		if err := e.client.RemoveImage(context.Background(), image); err != nil {
			t.Error(err)
		}
	})
}

// TestSuiteOwnProfile: a directory with a Dockerfile, built, cached, and with
// the network that its owner said.
func TestSuiteOwnProfile(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "building images")
		p := ownProfile(t, "own-"+e.name, "FROM "+busybox+"\nCOPY data /data\nRUN echo built >>/data/f\nUSER sandbox\n", true)
		events := buildProfile(t, e, p)
		removeImage(t, e, p.Image())
		steps := 0
		for _, ev := range events {
			if ev.Kind == pocketdock.BuildStep {
				if steps++; ev.Step != steps || ev.Steps < 4 {
					t.Errorf("step %d: %+v", steps, ev)
				}
			}
		}
		cached := 0
		for _, ev := range buildProfile(t, e, p) {
			if ev.Kind == pocketdock.BuildCached {
				cached++
			}
		}
		if cached < 2 {
			t.Errorf("%d steps were cached", cached)
		}
		list, err := e.client.Profiles(t.Context(), p)
		if err != nil || list[len(list)-1].Name != p.Name || !list[len(list)-1].Built || list[len(list)-1].Size == 0 {
			t.Errorf("%+v, %v", list, err)
		}
		box := create(t, e, "", pocketdock.CreateOptions{Profile: p.Name, Ports: []pocketdock.Port{{Container: 80}}})
		if res := mustRun(t, box, pocketdock.Shell("cat /data/f; ls /sys/class/net")); !strings.HasPrefix(string(res.Stdout), "copied\nbuilt\n") || !strings.Contains(string(res.Stdout), "eth0") && !strings.Contains(string(res.Stdout), "tap0") {
			t.Errorf("%q", res.Stdout)
		}
		destroy(t, box)
	})
}

// TestSuiteProfileNetwork: what a profile says about the network is applied,
// and only an explicit wish overrules it.
func TestSuiteProfileNetwork(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "networks")
		// An image that claims to be a built-in profile with a network.
		forged := "pocketdock-test/forged-" + e.name + ":v1"
		ctx := buildContext(t, map[string]string{"Dockerfile": "FROM " + busybox + "\nUSER sandbox\n"})
		for _, err := range e.client.Build(t.Context(), ctx, pocketdock.BuildOptions{Tag: forged,
			Labels: map[string]string{"pocketdock.image.profile": "agent", "pocketdock.image.network": "true"}}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		removeImage(t, e, forged)
		for _, tt := range []struct {
			opts pocketdock.CreateOptions
			want bool
		}{
			{pocketdock.CreateOptions{}, false},
			{pocketdock.CreateOptions{Profile: "minimal-python"}, false},
			{pocketdock.CreateOptions{Profile: "agent"}, false},
			{pocketdock.CreateOptions{Profile: "agent", Network: true}, true},
			{pocketdock.CreateOptions{Profile: "dev"}, true},
			{pocketdock.CreateOptions{Profile: "embedded", NoNetwork: true}, false},
			{pocketdock.CreateOptions{Profile: "no-such"}, false},
		} {
			box := create(t, e, forged, tt.opts)
			res := mustRun(t, box, pocketdock.Shell("ls /sys/class/net | grep -v -e '^lo$' | wc -l"))
			if got := strings.TrimSpace(string(res.Stdout)) != "0"; got != tt.want {
				t.Errorf("profile %q, %v, %v: network %v", tt.opts.Profile, tt.opts.Network, tt.opts.NoNetwork, got)
			}
			destroy(t, box)
		}
	})
}

// TestSuiteProfileMissing: the error says how to get the image.
func TestSuiteProfileMissing(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		_, err := e.client.Create(t.Context(), "", pocketdock.CreateOptions{Profile: "not-built"})
		missing, ok := errors.AsType[*pocketdock.ImageError](err)
		if !ok || missing.Image != "pocketdock/not-built:latest" || !strings.HasPrefix(missing.Hint, "pocketdock build not-built") {
			t.Errorf("%v", err)
		}
	})
}

// TestSuiteBuildErrors: where, why and what to do, from real builds.
func TestSuiteBuildErrors(t *testing.T) {
	const mirror = "FROM debian:bookworm-slim\nRUN rm -rf /etc/apt/sources.list.d && echo 'deb http://127.0.0.1:1/debian bookworm main' >/etc/apt/sources.list && " +
		"apt-get update -o APT::Update::Error-Mode=any\n"
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "building images")
		for name, tt := range map[string]struct {
			dockerfile, says, hint string
			step                   int
		}{
			"command": {"FROM " + busybox + "\nRUN echo the reason >&2; exit 7\n", "the reason", "", 2},
			"mirror":  {mirror, "RUN rm", "package mirror", 2},
			"base":    {"FROM 127.0.0.1:1/no/such:1\n", "step 1", "base image 127.0.0.1:1/no/such:1", 1},
		} {
			p := ownProfile(t, "failing-"+name, tt.dockerfile, false)
			var last error
			for _, err := range e.client.BuildProfile(t.Context(), p, pocketdock.ProfileBuildOptions{}) {
				last = err
			}
			failed, ok := errors.AsType[*pocketdock.BuildError](last)
			if !ok || failed.Step != tt.step || !strings.Contains(failed.Error(), tt.says) || !strings.Contains(failed.Hint, tt.hint) || (failed.Hint == "") != (tt.hint == "") {
				t.Errorf("%s: %v (%+v)", name, last, failed)
			}
		}
	})
}
