//go:build linux

package agent

import (
	"net"
	"sync"
)

// connections are those that are being served, so that a reset can end them.
type connections struct {
	mu   sync.Mutex
	open map[*net.UnixConn]struct{}
	// only is the one that is let live while the sandbox is reset.
	only *net.UnixConn
}

// add enters a connection, unless the sandbox is being reset.
func (c *connections) add(conn *net.UnixConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.only != nil {
		return false
	}
	if c.open == nil {
		c.open = map[*net.UnixConn]struct{}{}
	}
	c.open[conn] = struct{}{}
	return true
}

// remove is for a connection whose operation is over in every respect.
func (c *connections) remove(conn *net.UnixConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// endOthers closes all connections but one, and refuses new ones until
// reopen. It returns how many operations are still under way.
func (c *connections) endOthers(only *net.UnixConn) (left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.only = only
	for conn := range c.open {
		if conn != only {
			conn.Close()
			left++
		}
	}
	return left
}

func (c *connections) reopen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.only = nil
}
