//go:build linux

package agent

import (
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// hold does OpHold: a connection that its client keeps, to know at once when
// the sandbox ends, and to reset it. It counts as an operation: a sandbox that
// is held does not come to its idle limit, and one whose client was killed
// does.
//
// Only the connection that took the mark can ask for a reset. A command that
// runs as root may put a socket of its own in the place of the agent's, and
// answer there that all is clean; it cannot get into a connection that is
// there already.
func (a *agent) hold(c *client, h *wire.Hold) *wire.Error {
	held := &wire.Held{}
	var m *markedState
	if h.Mark {
		if !a.holding.TryLock() {
			return fail(wire.CodeExists, "another connection has marked this sandbox already")
		}
		defer a.holding.Unlock()
		var bad *wire.Error
		if m, bad = a.markState(c); bad != nil {
			held.Why = bad.Message
		} else {
			held.Marked, held.Files = true, m.files.Files()
		}
	}
	if c.w.JSON(wire.KindReply, wire.Reply{Held: held}) != nil {
		return nil
	}
	a.garbage.operationEnded()
	for {
		b, err := c.next(wire.KindRequest)
		if err != nil {
			return nil // the client is gone
		}
		req, err := parseRequest(b)
		if err != nil {
			return fail(wire.CodeInvalid, "%v", err)
		}
		var reply wire.Reply
		switch {
		case req.Op == wire.OpInfo:
			reply.Info = a.info()
		case req.Op == wire.OpReset && m != nil:
			reply.Reset = a.reset(c, m)
			a.garbage.operationEnded()
		default:
			return fail(wire.CodeUnsupported, "operation %q is none of a connection that is held (marked: %v)", req.Op, m != nil)
		}
		if c.w.JSON(wire.KindReply, reply) != nil {
			return nil
		}
	}
}

// Bounds of a mark and of a reset. What takes longer is not worth it: a new
// sandbox takes some 0.2 s.
const (
	markTime  = 5 * time.Second
	resetTime = 5 * time.Second
)
