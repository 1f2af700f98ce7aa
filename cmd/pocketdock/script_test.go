//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/engine"
	"github.com/pocketdock/pocketdock/internal/enginetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"pocketdock": guardedMain,
		"sandboxes":  listSandboxes,
		"panics":     panics,
		"foreign":    foreign,
		"mcpcall":    mcpCall,
	})
}

// guardedMain is main, with outputs that bear no control codes unless they are
// a terminal: every script tests that. One whose sandboxes print such bytes
// sets TEST_ANY_OUTPUT for that long.
func guardedMain() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, guarded(os.Stdout), guarded(os.Stderr)))
}

func guarded(f *os.File) io.Writer {
	if isTerminal(f) || os.Getenv("TEST_ANY_OUTPUT") != "" {
		return f
	}
	return noEscapes{f}
}

type noEscapes struct{ w io.Writer }

func (n noEscapes) Write(p []byte) (int, error) {
	if bytes.IndexByte(p, 0x1b) >= 0 {
		panic(fmt.Sprintf("control codes without a terminal: %q", p))
	}
	return n.w.Write(p)
}

// listSandboxes prints the names of the containers of one state directory:
// what the script's own commands have left.
func listSandboxes() {
	err := eachSandbox(context.Background(), &pocketdock.Client{}, func(box *pocketdock.Container) error {
		_, err := fmt.Println(box.Name())
		return err
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func eachSandbox(ctx context.Context, c *pocketdock.Client, do func(*pocketdock.Container) error) error {
	list, err := c.List(ctx, pocketdock.ListOptions{})
	if err != nil {
		return err
	}
	for _, it := range list {
		if box, err := c.Get(ctx, it.ID); err == nil && box.DataPath() != "" {
			if err := do(box); err != nil {
				return err
			}
		}
	}
	return nil
}

// foreign makes or removes a container as another tool would: it has no label
// of ours.
func foreign() {
	if err := asAnotherTool(context.Background(), os.Getenv("POCKETDOCK_SOCKET"), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func asAnotherTool(ctx context.Context, socket, do, name string) error {
	e, err := engine.Discover(ctx, socket, "")
	if err != nil {
		return err
	}
	if do == "remove" {
		return e.JSON(ctx, "DELETE", "/containers/"+name, url.Values{"force": {"1"}}, nil, nil)
	}
	body := map[string]any{"Image": testImage, "Entrypoint": []string{"/bin/sleep"}, "Cmd": []string{"100000"},
		"HostConfig": map[string]any{"NetworkMode": "none", "Init": true}}
	if err := e.JSON(ctx, "POST", "/containers/create", url.Values{"name": {name}}, body, nil); err != nil {
		return err
	}
	return e.JSON(ctx, "POST", "/containers/"+name+"/start", nil, nil, nil)
}

// testImage is what scripts make sandboxes of; scripts/engines builds it.
const testImage = "pocketdock-test/busybox"

// uniqueName is a container's name that nobody has.
func uniqueName() string {
	var b [4]byte
	rand.Read(b[:])
	return "pdt-" + hex.EncodeToString(b[:])
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
					box := uniqueName()
					env.Defer(func() {
						if err := removeAll(&pocketdock.Client{Socket: e.Socket, StateDir: state}, "pocketdock-test/"+box+":v1", "pocketdock/"+box+":latest"); err != nil {
							t.Error(err)
						}
						_ = asAnotherTool(context.Background(), e.Socket, "remove", box+"-second") // of a script that failed
						os.RemoveAll(state)
					})
					for name, value := range map[string]string{
						"POCKETDOCK_SOCKET": e.Socket, "POCKETDOCK_STATE_DIR": state, "XDG_RUNTIME_DIR": os.Getenv("XDG_RUNTIME_DIR"),
						"IMAGE": testImage, "BOX": box, "BOX2": box + "-second", "ESC": "\x1b",
					} {
						env.Setenv(name, value)
					}
					return nil
				},
			})
		})
	}
}

// removeAll removes what a test has left on an engine.
func removeAll(c *pocketdock.Client, images ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := eachSandbox(ctx, c, func(box *pocketdock.Container) error { return box.Destroy(ctx) }); err != nil {
		return err
	}
	// Those that got a name and lost it to a later one, too.
	if _, err := c.PruneImages(ctx, pocketdock.PruneOptions{}); err != nil {
		return err
	}
	for _, image := range images {
		ok, err := c.ImageExists(ctx, image)
		if ok {
			err = c.RemoveImage(ctx, image)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestRootless runs the tests on engines as the user of the rootless engine.
func TestRootless(t *testing.T) { enginetest.Rootless(t, "^TestSuite") }
