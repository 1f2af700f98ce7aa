package pocketdock_test

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

// testEngine is one engine of this run.
type testEngine struct {
	name   string
	client *pocketdock.Client
}

// engines of this run: those that the environment names, or the machine's own.
var engines []testEngine

// Images that scripts/engines builds.
const (
	busybox = "pocketdock-test/busybox:latest" // root by default, a user sandbox
	scratch = "pocketdock-test/scratch:latest" // one static binary, /busybox
	python  = "pocketdock-test/python:latest"  // Debian with python3, user sandbox
)

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
	state, err := os.MkdirTemp("", "pd")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(state)
	if err := findEngines(state); err != nil {
		return 1, err
	}
	code := m.Run()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	closeShared(ctx)
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

// testProject marks the containers of this process.
var testProject = fmt.Sprintf("test-%d", os.Getpid())

func findEngines(state string) error {
	list, err := enginetest.Engines()
	for _, e := range list {
		engines = append(engines, testEngine{e.Name, &pocketdock.Client{Socket: e.Socket, StateDir: state}})
	}
	return err
}
