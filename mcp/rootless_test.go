//go:build unix

package mcp

import (
	"testing"

	"github.com/pocketdock/pocketdock/internal/enginetest"
)

// TestRootless runs the tests that are for each engine as the user of the
// rootless one.
func TestRootless(t *testing.T) {
	tests := "^TestSuite(AgentTask|Cancel|HTTP|LongWork|Sessions)$"
	if long() {
		tests = "^TestSuiteTenMinutes$"
	}
	enginetest.Rootless(t, tests)
}
