package pocketdock

import (
	"fmt"
	"strconv"
	"strings"
)

// A Signal is a Linux signal's number, whatever system this program runs on.
type Signal int

// The signals that are sent by hand. Source: signal(7).
const (
	SIGHUP  Signal = 1
	SIGINT  Signal = 2
	SIGQUIT Signal = 3
	SIGKILL Signal = 9
	SIGUSR1 Signal = 10
	SIGUSR2 Signal = 12
	SIGTERM Signal = 15
	SIGCONT Signal = 18
	SIGSTOP Signal = 19
)

var signalNames = map[Signal]string{
	SIGHUP: "HUP", SIGINT: "INT", SIGQUIT: "QUIT", SIGKILL: "KILL", SIGUSR1: "USR1",
	SIGUSR2: "USR2", SIGTERM: "TERM", SIGCONT: "CONT", SIGSTOP: "STOP",
}

// maxSignal is the last real-time signal.
const maxSignal = 64

// ParseSignal reads "TERM", "SIGTERM" (in any case) or a number from 1 to 64.
func ParseSignal(s string) (Signal, error) {
	if n, err := strconv.Atoi(s); err == nil && n >= 1 && n <= maxSignal {
		return Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	for sig, n := range signalNames {
		if n == name {
			return sig, nil
		}
	}
	return 0, invalidf("signal %q: use a name such as TERM or a number from 1 to 64", s)
}

// String is "SIGTERM" or "signal 40".
func (s Signal) String() string {
	if n, ok := signalNames[s]; ok {
		return "SIG" + n
	}
	return fmt.Sprintf("signal %d", int(s))
}
