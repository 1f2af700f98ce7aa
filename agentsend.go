package pocketdock

import (
	"errors"
	"io"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// settleTime is how long a caller's reader is waited for once an operation
// has ended otherwise. One that does not block ends within it, so that it is
// the caller's alone again.
const settleTime = 100 * time.Millisecond

// exchange sends r and its end while it waits for the reply, so that neither
// the agent's refusal nor the context's end waits for a reader that blocks.
// A Read that is under way then is left to end by itself.
func (c *agentConn) exchange(r io.Reader) (*wire.Reply, error) {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if err := c.send(r); err != nil {
			c.source.Store(&err)
			c.conn.Close() // without an end: the agent leaves nothing half done
		}
	}()
	reply, err := c.reply(nil)
	if err != nil {
		c.conn.Close()
	}
	select {
	case <-sent:
		return reply, err
	case <-time.After(settleTime):
	}
	if err == nil {
		err = c.broken(errors.New("agent protocol: an answer before the end of what was sent"))
	}
	return nil, err
}

// send copies r into data frames and ends them. Its error is r's. When the
// connection fails, the agent has said why, or is gone: the reader of the
// reply finds out.
func (c *agentConn) send(r io.Reader) error {
	buf := make([]byte, bulkBuffer)
	for {
		n, err := r.Read(buf)
		if n > 0 && c.w.Frame(wire.KindData, buf[:n]) != nil {
			return nil
		}
		if err == io.EOF {
			c.w.Frame(wire.KindEnd, nil)
			return nil
		}
		if err != nil {
			return err
		}
	}
}
