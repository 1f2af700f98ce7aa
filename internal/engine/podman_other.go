//go:build !linux

package engine

import (
	"context"
	"errors"
)

// startPodman knows Linux only: elsewhere Podman runs in a virtual machine.
func startPodman(context.Context, host) (string, error) {
	return "", errors.New("only on Linux (elsewhere: podman machine start)")
}
