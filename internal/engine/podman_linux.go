package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// podmanStart is how long the service may take to come up: 2 s were seen on
// two idle cores.
const podmanStart = 20 * time.Second

// startPodman starts Podman's API service as this user and returns its
// socket. It ends by itself after an hour without requests.
func startPodman(ctx context.Context, h host) (string, error) {
	podman, err := exec.LookPath("podman")
	if err != nil {
		return "", errors.New("no podman command found")
	}
	path := "/run/podman/podman.sock"
	if h.uid != 0 {
		xdg := h.getenv("XDG_RUNTIME_DIR")
		if xdg == "" {
			return "", errors.New("XDG_RUNTIME_DIR is not set: log in with a session, or set it")
		}
		path = filepath.Join(xdg, "podman/podman.sock")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return path, err
	}
	// A file, not a pipe: the service outlives us and must be able to complain.
	log, err := os.CreateTemp("", "pocketdock-podman-*")
	if err != nil {
		return path, err
	}
	defer log.Close()
	defer os.Remove(log.Name())
	// Two programs may get here together. The second service fails to bind
	// and ends; the socket of the first one serves both.
	cmd := exec.Command(podman, "system", "service", "--time=3600", "unix://"+path)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return path, err
	}
	pid := cmd.Process.Pid
	cmd.Process.Release()
	ctx, cancel := context.WithTimeout(ctx, podmanStart)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := Open(ctx, path); err == nil {
			return path, nil
		}
		if ended, _ := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); ended == pid {
			b := make([]byte, 512)
			n, _ := log.ReadAt(b, 0)
			if n == 0 {
				return path, fmt.Errorf("%s ended at once: %w", podman, io.ErrUnexpectedEOF)
			}
			return path, fmt.Errorf("%s ended at once: %s", podman, strings.TrimSpace(string(b[:n])))
		}
		select {
		case <-ctx.Done():
			return path, fmt.Errorf("%s does not answer: %w", podman, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
