//go:build linux

package agent

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// admit reads the request of a peer that may make one. A peer from outside
// may; one from inside must sign a challenge together with the request. An
// error of type *wire.Error is to be told; any other is of the connection.
func (a *agent) admit(c *client) (*wire.Request, error) {
	if outside(c.conn) {
		c.conn.SetReadDeadline(time.Now().Add(requestTime))
		b, err := c.next(wire.KindRequest)
		if err != nil {
			return nil, err
		}
		c.conn.SetReadDeadline(time.Time{})
		return parseRequest(b)
	}
	if len(a.conf.Key) == 0 {
		return nil, fail(wire.CodeDenied, "the agent does not talk to processes inside the sandbox")
	}
	a.waiting.add(c.conn)
	defer a.waiting.remove(c.conn)
	c.conn.SetDeadline(time.Now().Add(proofTime))
	nonce := make([]byte, wire.NonceSize)
	rand.Read(nonce)
	if err := c.w.Frame(wire.KindChallenge, nonce); err != nil {
		return nil, err
	}
	b, err := c.next(wire.KindProof)
	if err != nil {
		return nil, err
	}
	proof := slices.Clone(b)
	a.strangers <- struct{}{}
	defer func() { <-a.strangers }()
	request, err := c.next(wire.KindRequest)
	if err != nil {
		return nil, err
	}
	if !wire.Proven(a.conf.Key, nonce, request, proof) {
		return nil, fail(wire.CodeDenied, "the proof is wrong")
	}
	c.conn.SetDeadline(time.Time{})
	return parseRequest(request)
}

const (
	// maxProof bounds what a stranger may make us read before the request.
	maxProof = 512
	// maxStrangers is how many requests of strangers, of up to
	// [wire.MaxRequest] bytes each, are read at a time.
	maxStrangers = 4
)

// next reads the frame that must come now.
func (c *client) next(want wire.Kind) ([]byte, error) {
	k, n, err := c.r.Header()
	if err != nil {
		return nil, err
	}
	if k != want || k == wire.KindProof && n > maxProof {
		return nil, fail(wire.CodeInvalid, "a frame %q came where %q belongs", byte(k), byte(want))
	}
	return c.r.Payload()
}

func parseRequest(b []byte) (*wire.Request, error) {
	var req wire.Request
	if err := json.Unmarshal(b, &req); err != nil {
		return nil, fail(wire.CodeInvalid, "request: %v", err)
	}
	if req.Version < 1 || req.Version > wire.Version {
		return nil, fail(wire.CodeUnsupported, "this agent speaks protocol version %d, not %d", wire.Version, req.Version)
	}
	return &req, nil
}
