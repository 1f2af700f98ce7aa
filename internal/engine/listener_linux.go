package engine

import (
	"context"
	"net"
	"syscall"
)

// Listener returns the user that listens on the engine's socket, if the kernel
// tells.
func (e *Engine) Listener(ctx context.Context) (uid int, ok bool) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", e.Path)
	if err != nil {
		return 0, false
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			uid, ok = int(cred.Uid), true
		}
	})
	return uid, ok && err == nil
}
