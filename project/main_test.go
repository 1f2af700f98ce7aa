package project

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/enginetest"
)

// helperEnv makes the test binary one of many programs that record at once.
const helperEnv = "POCKETDOCK_TEST_PROJECT_HELPER"

type testEngine struct {
	name   string
	client *pocketdock.Client
}

var engines []testEngine

const busybox = "pocketdock-test/busybox:latest"

// testProject marks the containers of this process.
var testProject = fmt.Sprintf("test-project-%d", os.Getpid())

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		if err := helper(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "helper:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	engineWait = 5 * time.Minute // several suites at once make an engine slow
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
			return 1, fmt.Errorf("%s: containers are left: %v", e.name, left)
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

// create makes a container that is removed at the test's end.
func create(t testing.TB, e testEngine, o pocketdock.CreateOptions) *pocketdock.Container {
	t.Helper()
	o.Project = testProject
	box, err := e.client.Create(context.Background(), busybox, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := testContext(2 * time.Minute)
		defer cancel()
		if err := box.Destroy(ctx); err != nil {
			t.Errorf("removing %s: %v", box, err)
		}
	})
	return box
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

// testContext is for what must happen after a test's own context has ended.
func testContext(within time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), within)
}
