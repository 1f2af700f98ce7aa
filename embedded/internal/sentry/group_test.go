//go:build linux && !noembedded && !race

package sentry

import "testing"

// TestControllers: gVisor knows control groups where we take them from it.
func TestControllers(t *testing.T) {
	for _, c := range []string{"memory", "cpu", "cpuacct", "cpuset"} {
		if controllers[c] == nil {
			t.Errorf("it does not know %s", c)
		}
	}
}
