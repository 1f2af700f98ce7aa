//go:build linux

package agent

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestChildSignals(t *testing.T) {
	var c childSignal
	c.mute()
	if !c.saved || c.handler[0] == 0 {
		t.Fatal("Go had no handler for SIGCHLD")
	}
	defer sigaction(&c.handler, nil)
	handler := func() uint64 {
		var now [8]uint64
		if !sigaction(nil, &now) {
			t.Fatal("sigaction failed")
		}
		return now[0]
	}
	if handler() != 0 {
		t.Error("the handler is still there")
	}
	for range 2 { // it can be had again
		ended := make(chan os.Signal, 1)
		c.listen(ended)
		if err := exec.Command("/bin/true").Run(); err != nil {
			t.Fatal(err)
		}
		select {
		case s := <-ended:
			if s != unix.SIGCHLD {
				t.Errorf("got %v", s)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("no SIGCHLD came while it was listened to")
		}
		c.drop(ended)
		if handler() != 0 {
			t.Error("the handler is there again")
		}
	}
}

func TestCallForOld(t *testing.T) {
	tests := []struct {
		name            string
		ages            []time.Duration
		younger, called bool
	}{
		{"none", nil, false, false},
		{"young", []time.Duration{0}, true, false},
		{"old", []time.Duration{time.Hour}, false, true},
		{"both", []time.Duration{0, time.Hour}, true, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := newTable(nil)
			for i, age := range test.ages {
				table.byPID[i+2] = &process{started: time.Now().Add(-age)}
			}
			if got := table.callForOld(time.Minute); got != test.younger {
				t.Errorf("younger ones: %v, want %v", got, test.younger)
			}
			if got := len(table.reaper) > 0; got != test.called {
				t.Errorf("reaper called: %v, want %v", got, test.called)
			}
		})
	}
}
