//go:build !linux || noembedded

package embedded

import (
	"context"
	"errors"
	"net"
	"net/http"
)

var errLinux = errors.New("the embedded engine is for Linux only: use Podman or Docker")

// Dir is an error: there is no embedded engine on this system.
func Dir() (string, error) { return "", errLinux }

// Handler is an error: there is no embedded engine on this system.
func Handler(string) (http.Handler, error) { return nil, errLinux }

// Serve is an error: there is no embedded engine on this system.
func Serve(context.Context, net.Listener, string) error { return errLinux }
