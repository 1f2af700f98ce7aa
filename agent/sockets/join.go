//go:build linux

package sockets

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lookInterval is how often a client that has ended its direction is looked
// at: it may be gone altogether while the other side is silent.
const lookInterval = time.Second

// join copies both ways until both directions have ended, or one has failed.
// Between sockets of the net package the kernel moves the bytes where it can
// (io.Copy asks it to splice).
func join(client, peer net.Conn) {
	var wait sync.WaitGroup
	done := make(chan struct{})
	copyOne := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		if err == nil {
			err = closeWrite(to)
		}
		if err != nil {
			// The other direction cannot be meaningful any more.
			client.Close()
			peer.Close()
		}
	}
	wait.Go(func() {
		copyOne(peer, client)
		wait.Go(func() { closeWhenGone(client, peer, done) })
	})
	wait.Go(func() {
		copyOne(client, peer)
		close(done)
	})
	wait.Wait()
}

// closeWrite ends one direction. A connection that has no halves is closed.
func closeWrite(conn net.Conn) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return conn.Close()
	}
	return half.CloseWrite()
}

// closeWhenGone closes peer when the client has closed the whole connection
// and not only its direction, which reading does not tell apart.
func closeWhenGone(client, peer net.Conn, done <-chan struct{}) {
	sys, ok := client.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return
	}
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		gone := false
		err := raw.Control(func(fd uintptr) {
			// POLLHUP is set when both directions are closed.
			fds := []unix.PollFd{{Fd: int32(fd)}}
			n, err := unix.Poll(fds, 0)
			gone = err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
		})
		if err != nil || gone {
			peer.Close()
			return
		}
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}
