package mcp

import (
	"slices"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pocketdock/pocketdock"
)

// TestSuiteOverhead: a tool call adds less than 2 ms to the library's call. The
// two take turns, and the fast ones of each are compared, as the machine may be
// busy; the ceiling is ten times that for the same reason.
func TestSuiteOverhead(t *testing.T) {
	onOne(t, func(t *testing.T, e testEngine) {
		c := connect(t, serve(t, e, Options{}), nil)
		var r ran
		c.do("run_command", args{"command": "true"}, &r)
		box := boxOf(t, e, r.SandboxID)
		calls := []func() error{
			func() error {
				_, err := box.Run(t.Context(), pocketdock.Shell("true"))
				return err
			},
			func() error {
				_, err := c.CallTool(t.Context(), &sdk.CallToolParams{Name: "run_command", Arguments: args{"command": "true"}})
				return err
			},
		}
		times := make([][]time.Duration, len(calls))
		for range 100 {
			for i, call := range calls {
				begun := time.Now()
				if err := call(); err != nil {
					t.Fatal(err)
				}
				times[i] = append(times[i], time.Since(begun))
			}
		}
		for i := range times {
			slices.Sort(times[i])
		}
		library, tool := times[0][10], times[1][10]
		t.Logf("a tenth is faster than: library %v, tool %v, difference %v", library, tool, tool-library)
		if tool-library > 20*time.Millisecond {
			t.Errorf("a tool call adds %v", tool-library)
		}
	})
}
