package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/enginetest"
)

type testEngine struct {
	name   string
	client *pocketdock.Client
}

var engines []testEngine

// Images that scripts/engines builds.
const (
	busybox = "pocketdock-test/busybox:latest"
	python  = "pocketdock-test/python:latest"
)

// testProject marks the containers of this process.
var testProject = fmt.Sprintf("test-mcp-%d", os.Getpid())

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	state, err := os.MkdirTemp("", "pd")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(state)
	list, err := enginetest.Engines()
	if err != nil {
		return 1, err
	}
	for _, e := range list {
		engines = append(engines, testEngine{e.Name, &pocketdock.Client{Socket: e.Socket, StateDir: state}})
	}
	code := m.Run()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, e := range engines {
		left, err := e.client.List(ctx, pocketdock.ListOptions{Project: testProject})
		if err != nil {
			return 1, err
		}
		if len(left) > 0 {
			return 1, fmt.Errorf("%s: sandboxes are left: %v", e.name, left)
		}
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			return 1, err
		}
	}
	return code, nil
}

// onEngines runs a test once per engine.
func onEngines(t *testing.T, test func(t *testing.T, e testEngine)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, e) })
	}
}

// onOne runs a test on one engine, Docker where there are several: what it is
// about is the same on all.
func onOne(t *testing.T, test func(t *testing.T, e testEngine)) {
	for _, e := range engines {
		if e.name == "docker" || os.Getenv("POCKETDOCK_TEST_DOCKER") == "" {
			t.Run(e.name, func(t *testing.T) { test(t, e) })
			return
		}
	}
}

// serve makes a server whose sandboxes are of busybox, unless o says otherwise.
func serve(t testing.TB, e testEngine, o Options) *Server {
	t.Helper()
	o.Client, o.Project = e.client, testProject
	if o.Image == "" && o.Profile == "" {
		o.Image = busybox
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
	})
	return s
}

// A testClient is a client's end of a session.
type testClient struct {
	testing.TB
	*sdk.ClientSession
}

// connect connects a client to a server in this process.
func connect(t testing.TB, s *Server, o *sdk.ClientOptions) testClient {
	t.Helper()
	here, there := sdk.NewInMemoryTransports()
	if _, err := s.inner.Connect(t.Context(), there, nil); err != nil {
		t.Fatal(err)
	}
	cs, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, o).Connect(t.Context(), here, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cs.Close() })
	return testClient{t, cs}
}

// args are a tool's arguments.
type args = map[string]any

// try calls a tool.
func (c testClient) try(name string, a args) *sdk.CallToolResult {
	c.Helper()
	res, err := c.CallTool(c.Context(), &sdk.CallToolParams{Name: name, Arguments: a})
	if err != nil {
		c.Fatalf("%s %v: %v", name, a, err)
	}
	return res
}

// do calls a tool that has to succeed, decodes its structured content into out,
// which may be nil, and returns its text.
func (c testClient) do(name string, a args, out any) string {
	c.Helper()
	res := c.try(name, a)
	if res.IsError {
		c.Fatalf("%s %v: %s", name, a, textOf(res))
	}
	structured(c, res, out)
	return textOf(res)
}

// fails calls a tool that has to fail with a text that contains all the parts.
func (c testClient) fails(name string, a args, parts ...string) *sdk.CallToolResult {
	c.Helper()
	res := c.try(name, a)
	text := textOf(res)
	if !res.IsError {
		c.Errorf("%s %v did not fail: %s", name, a, text)
	}
	for _, p := range parts {
		if !strings.Contains(text, p) {
			c.Errorf("%s %v: %q does not say %q", name, a, text, p)
		}
	}
	return res
}

func structured(t testing.TB, res *sdk.CallToolResult, out any) {
	t.Helper()
	if out == nil {
		return
	}
	b, err := json.Marshal(res.StructuredContent)
	if err == nil {
		err = json.Unmarshal(b, out)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func textOf(res *sdk.CallToolResult) string {
	var b strings.Builder
	for _, c := range res.Content {
		if tc, ok := c.(*sdk.TextContent); ok {
			b.WriteString(tc.Text)
		}
	}
	return b.String()
}

// sandboxesOf are the containers of this run's sessions.
func sandboxesOf(t testing.TB, e testEngine) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	list, err := e.client.List(ctx, pocketdock.ListOptions{Project: testProject})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, it := range list {
		names = append(names, it.Name)
	}
	return names
}

// eventually polls until ok, for at most the given time.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", within, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
