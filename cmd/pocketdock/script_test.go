//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/enginetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"pocketdock": main,
		"sandboxes":  listSandboxes,
	})
}

// listSandboxes prints the names of the containers of one state directory:
// what the script's own commands have left.
func listSandboxes() {
	c := &pocketdock.Client{}
	list, err := c.List(context.Background(), pocketdock.ListOptions{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, it := range list {
		box, err := c.Get(context.Background(), it.ID)
		if err == nil && box.DataPath() != "" {
			fmt.Println(it.Name)
		}
	}
}

// TestSuiteScripts runs the scripts on each engine.
func TestSuiteScripts(t *testing.T) {
	engines, err := enginetest.Engines()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range engines {
		t.Run(e.Name, func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Dir: "testdata/script",
				Setup: func(env *testscript.Env) error {
					state, err := os.MkdirTemp("", "pd")
					if err != nil {
						return err
					}
					env.Defer(func() { os.RemoveAll(state) })
					env.Setenv("POCKETDOCK_SOCKET", e.Socket)
					env.Setenv("POCKETDOCK_STATE_DIR", state)
					env.Setenv("XDG_RUNTIME_DIR", os.Getenv("XDG_RUNTIME_DIR"))
					return nil
				},
			})
		})
	}
}

// TestRootless runs the scripts as the user of the rootless engine.
func TestRootless(t *testing.T) { enginetest.Rootless(t, "^TestSuite") }
