//go:build unix

package pocketdock_test

import (
	"testing"

	"github.com/pocketdock/pocketdock/internal/enginetest"
)

// TestRootless runs the suite as the user of the rootless engine.
func TestRootless(t *testing.T) { enginetest.Rootless(t, "^TestSuite") }
