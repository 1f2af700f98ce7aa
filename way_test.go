package pocketdock_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// The ways into a container, see Info.ExecPath. The suite's tests run on each.
const (
	socketWay   = "socket"
	bridgeWay   = "bridge"   // mounts forbidden
	residentWay = "resident" // a container that pocketdock did not create
	engineWay   = "engine"   // the same with a read-only root: no agent
)

var allWays = []string{socketWay, bridgeWay, residentWay, engineWay}

// agentWays have an agent: kills and timeouts are exact, processes durable.
var agentWays = []string{socketWay, bridgeWay, residentWay}

// ways are those of the list that an engine has.
func (e testEngine) ways(list ...string) []string { return list }

// lacks skips what is about something that the embedded engine does not have;
// docs/rough-edges.md has the list and the reasons.
func (e testEngine) lacks(t *testing.T, what string) {
	if e.name == "embedded" {
		t.Skip("the embedded engine lacks this: " + what)
	}
}

// embeddedLacks is lacks for a test of onEach.
func embeddedLacks(t *testing.T, what string) {
	if strings.Contains(t.Name(), "/embedded/") {
		t.Skip("the embedded engine lacks this: " + what)
	}
}

var (
	sharedMu sync.Mutex
	shared   = map[string]*pocketdock.Container{}
)

// rootlessWays are the tests of onEach that run in all ways on rootless Podman
// too. It is the program that Podman as root is, whose execs take a second of a
// processor each: what is left out here is what cannot depend on the user.
var rootlessWays = []string{"TestSuiteCreateFileRefused", "TestSuiteDetached", "TestSuiteEnvDirUser", "TestSuiteFiles",
	"TestSuiteKill", "TestSuitePushPull", "TestSuiteSessionLife", "TestSuiteStreamsApart", "TestSuiteTimeoutEndsTheTree"}

// onEach runs a test on every engine and way, each with a running container
// of busybox that the tests share.
func onEach(t *testing.T, ways []string, test func(t *testing.T, box *pocketdock.Container)) {
	for _, e := range engines {
		for _, way := range e.ways(ways...) {
			if e.name == "rootless" && way != socketWay && !slices.Contains(rootlessWays, t.Name()) {
				continue
			}
			t.Run(e.name+"/"+way, func(t *testing.T) { test(t, sharedBox(t, e, way)) })
		}
	}
}

// onEngines runs a test once per engine.
func onEngines(t *testing.T, test func(t *testing.T, e testEngine)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, e) })
	}
}

func sharedBox(t *testing.T, e testEngine, way string) *pocketdock.Container {
	t.Helper()
	sharedMu.Lock()
	defer sharedMu.Unlock()
	key := e.name + "/" + way
	if box := shared[key]; box != nil {
		if ok, err := box.Running(t.Context()); err == nil && ok {
			return box
		}
		t.Logf("%s: the shared container is gone, making another", key)
	}
	box, err := newBox(context.Background(), e, way, busybox)
	if err != nil {
		t.Fatal(err)
	}
	shared[key] = box
	return box
}

func closeShared(ctx context.Context) {
	for _, box := range shared {
		if err := box.Destroy(ctx); err != nil {
			fmt.Println("tests: removing a shared container:", err)
		}
	}
}

// ownBox makes a container for one test and removes it afterwards.
func ownBox(t *testing.T, e testEngine, way, image string) *pocketdock.Container {
	t.Helper()
	box, err := newBox(t.Context(), e, way, image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { destroy(t, box) })
	return box
}

func destroy(t *testing.T, box *pocketdock.Container) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := box.Destroy(ctx); err != nil {
		t.Errorf("removing %s: %v", box, err)
	}
}

// create is Create in this run's project, removed at the test's end.
func create(t *testing.T, e testEngine, image string, o pocketdock.CreateOptions) *pocketdock.Container {
	t.Helper()
	o.Project = testProject
	box, err := e.client.Create(t.Context(), image, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { destroy(t, box) })
	return box
}

// newBox makes a running container that is entered in a certain way.
func newBox(ctx context.Context, e testEngine, way, image string) (*pocketdock.Container, error) {
	switch way {
	case socketWay:
		return e.client.Create(ctx, image, pocketdock.CreateOptions{Project: testProject})
	case bridgeWay:
		c := &pocketdock.Client{Socket: e.client.Socket, StateDir: e.client.StateDir, NoMounts: true}
		return c.Create(ctx, image, pocketdock.CreateOptions{Project: testProject})
	}
	id, err := foreign(ctx, e, image, way == engineWay)
	if err != nil {
		return nil, err
	}
	return e.client.Get(ctx, id)
}

// foreign makes a container as another tool would.
func foreign(ctx context.Context, e testEngine, image string, readOnly bool) (string, error) {
	host := map[string]any{"ReadonlyRootfs": readOnly, "NetworkMode": "none", "Init": true}
	if readOnly {
		host["Tmpfs"] = map[string]string{"/tmp": "rw,exec,mode=1777"}
	}
	body := map[string]any{
		"Image": image, "Entrypoint": []string{"/bin/sleep"}, "Cmd": []string{"100000"},
		"Labels":     map[string]string{"pocketdock.managed": "true", "pocketdock.project": testProject},
		"HostConfig": host,
	}
	var out struct{ ID string }
	if err := api(ctx, e, "POST", "/containers/create", body, &out); err != nil {
		return "", err
	}
	return out.ID, api(ctx, e, "POST", "/containers/"+out.ID+"/start", nil, nil)
}

// api asks an engine directly, past the library.
func api(ctx context.Context, e testEngine, method, path string, in, out any) error {
	info, err := e.client.Engine(ctx)
	if err != nil {
		return err
	}
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", info.Socket)
		}}}
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://engine/v1.41"+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 400 {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, strings.TrimSpace(string(text)))
	}
	if out != nil {
		return json.Unmarshal(text, out)
	}
	return nil
}

// eventually polls until ok, for at most the given time.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", within, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// mustRun runs a command that has to succeed.
func mustRun(t *testing.T, box *pocketdock.Container, cmd pocketdock.Command) *pocketdock.Result {
	t.Helper()
	res, err := box.Run(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	if !res.OK() {
		t.Fatalf("exit code %d, timed out %v: %s%s", res.ExitCode, res.TimedOut, res.Stdout, res.Stderr)
	}
	return res
}
