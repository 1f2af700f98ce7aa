package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

// serveEngine serves the embedded engine; nil: this build has none.
var serveEngine func(ctx context.Context, l net.Listener, dir string) error

var errNoEmbedded = fmt.Errorf("this build of pocketdock has no engine in it, which is for Linux only: use Podman or Docker: %w", pocketdock.ErrUnsupported)

func (a *app) engineServeCommand() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:   "serve --socket PATH",
		Short: "Serve the embedded engine to other programs",
		Long: `Serves the Docker Engine API of the engine that pocketdock has in itself on a Unix
socket, until it is interrupted, so that other programs can use it: the docker
command, with DOCKER_HOST=unix://PATH. Sandboxes need no server: they run on when
it ends, and pocketdock itself does without it. It is for Linux only.

The socket is this user's only. What the engine cannot do yet it refuses with an
error that says so: networks, volumes by name, pulling and building images.`,
		Example: `  pocketdock engine serve --socket /tmp/pocketdock.sock
  DOCKER_HOST=unix:///tmp/pocketdock.sock docker run --rm --network none busybox id`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if serveEngine == nil {
				return errNoEmbedded
			}
			if socket == "" {
				return usageError{cmd, errors.New("--socket names the socket to make")}
			}
			l, err := listenPrivately(socket)
			if err != nil {
				return err
			}
			defer l.Close()
			a.notef("serving the embedded engine on %s", socket)
			return serveEngine(cmd.Context(), l, "")
		},
	}
	// Its own: the global one says which engine to use.
	cmd.Flags().StringVar(&socket, "socket", "", "Unix socket to make")
	return cmd
}

// listenPrivately makes a socket that only this user may use. One that nobody
// listens on is replaced.
func listenPrivately(path string) (net.Listener, error) {
	if fi, err := os.Lstat(path); err == nil && fi.Mode().Type() == fs.ModeSocket {
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return nil, fmt.Errorf("%s: another program serves this socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
