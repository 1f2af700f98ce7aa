package pocketdock

import (
	"errors"
	"testing"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// TestOutputBounded: a sandbox that sends a log without end is given up.
func TestOutputBounded(t *testing.T) {
	b := &BufferSnapshot{Stdout: make([]byte, maxSnapshot-1)} // not touched: costs no memory
	if err := b.add(event{stream: wire.KindStderr, data: []byte("x")}); err != nil {
		t.Errorf("up to the bound: %v", err)
	}
	if err := b.add(event{stream: wire.KindStdout, data: []byte("x")}); !errors.Is(err, ErrInvalid) {
		t.Errorf("beyond it: %v", err)
	}
}
