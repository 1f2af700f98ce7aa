package mcp

import (
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pocketdock/pocketdock"
)

// BenchmarkCall is one short command: as the library runs it, as the library
// runs it for a tool, which can come back to it, and as a client calls the tool.
// The aim: a tool call adds less than 2 ms to the library's.
func BenchmarkCall(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			s := serve(b, e, Options{})
			clients := map[string]testClient{"tool-memory": connect(b, s, nil)}
			url, _ := listen(b, s, HTTPOptions{})
			clients["tool-http"] = connectHTTP(b, url, bearer(""))
			var r ran
			clients["tool-memory"].do("run_command", args{"command": "true"}, &r)
			box, err := e.client.Get(b.Context(), r.SandboxID)
			if err != nil {
				b.Fatal(err)
			}
			run := func(b *testing.B, cmd pocketdock.Command) {
				for b.Loop() {
					if res, err := box.Run(b.Context(), cmd); err != nil || !res.OK() {
						b.Fatalf("%+v, %v", res, err)
					}
				}
			}
			b.Run("library", func(b *testing.B) { run(b, pocketdock.Shell("true")) })
			b.Run("library-kept", func(b *testing.B) {
				cmd := pocketdock.Shell("true")
				cmd.SoftTimeout, cmd.LogLimit = time.Minute, outputLog
				run(b, cmd)
			})
			for _, name := range []string{"tool-memory", "tool-http"} {
				b.Run(name, func(b *testing.B) {
					c := clients[name]
					c.do("run_command", args{"command": "true"}, nil)
					for b.Loop() {
						res, err := c.CallTool(b.Context(), &sdk.CallToolParams{Name: "run_command", Arguments: args{"command": "true"}})
						if err != nil || res.IsError {
							b.Fatalf("%+v, %v", res, err)
						}
					}
				})
			}
			clients["tool-http"].Close()
		})
	}
}
