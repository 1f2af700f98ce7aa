//go:build linux && !noembedded

// Command testprogram is the embedded engine and nothing else. Tests that are
// built with the race detector cannot be a part of a sandbox, as it needs cgo;
// they use this one's socket.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/embedded"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: testprogram SOCKET DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "testprogram:", err)
		os.Exit(1)
	}
}

func run(socket, dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return embedded.Serve(ctx, l, dir)
}
