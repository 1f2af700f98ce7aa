//go:build unix

package main

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/enginetest"
)

// benchmarkEngines is whole processes that ask an engine: a run (the aim is
// 25 ms) and a list.
func benchmarkEngines(b *testing.B) {
	engines, err := enginetest.Engines()
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range engines {
		b.Run(e.Name, func(b *testing.B) {
			state, err := os.MkdirTemp("", "pd")
			if err != nil {
				b.Fatal(err)
			}
			defer os.RemoveAll(state)
			client := &pocketdock.Client{Socket: e.Socket, StateDir: state}
			box, err := client.Create(b.Context(), testImage, pocketdock.CreateOptions{})
			if err != nil {
				b.Fatal(err)
			}
			defer box.Destroy(context.WithoutCancel(b.Context()))
			for name, args := range map[string][]string{"run": {"run", box.Name(), "true"}, "list": {"list"}} {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						cmd := exec.Command("pocketdock", args...)
						cmd.Env = append(os.Environ(), "POCKETDOCK_SOCKET="+e.Socket, "POCKETDOCK_STATE_DIR="+state)
						if out, err := cmd.CombinedOutput(); err != nil {
							b.Fatalf("%v: %s", err, out)
						}
					}
				})
			}
		})
	}
}
