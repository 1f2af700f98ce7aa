// Package wire is the protocol between the library and the agent inside a
// sandbox: frames on a byte stream, one operation per connection.
//
// A frame is one type byte, the payload's length as a big-endian uint32, and
// the payload, at most [MaxFrame] bytes. A client outside the sandbox speaks
// first, with a [KindRequest]; to one inside it (the bridge) the agent speaks
// first, with a [KindChallenge].
// docs/agent-protocol.md describes every exchange.
//
// Neither side believes the other: a length above the limit, an unknown kind
// or JSON that does not fit ends the connection with an error.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
)

// Kind says what a frame carries.
type Kind byte

// The kinds. Those of the client and those of the agent share one space.
const (
	// KindRequest opens an operation: a [Request] as JSON. Client to agent.
	KindRequest Kind = 'Q'
	// KindChallenge is sent first by the agent to a peer inside the sandbox:
	// [NonceSize] random bytes.
	KindChallenge Kind = 'C'
	// KindProof answers a challenge: an Ed25519 signature, see [Proof]. It
	// comes before the request.
	KindProof Kind = 'A'

	// KindData is file content, tar bytes, or standard input.
	KindData Kind = 'D'
	// KindEnd says that no more KindData follows (in this direction).
	KindEnd Kind = 'N'
	// KindWindow sets the size of a terminal: a [Size] as JSON. Client to agent.
	KindWindow Kind = 'W'
	// KindSignal sends a signal to the process of this connection: a
	// [Signal] as JSON (its ID is ignored). Client to agent.
	KindSignal Kind = 'K'

	// KindReply ends an operation that succeeded: a [Reply] as JSON. (dial
	// goes on after it as a raw stream.)
	KindReply Kind = 'R'
	// KindFailure ends an operation that failed: an [Error] as JSON.
	KindFailure Kind = 'F'
	// KindStarted says that a process runs: a [Process] as JSON.
	KindStarted Kind = 'S'
	// KindStdout and KindStderr are output. A terminal's output is KindStdout.
	KindStdout Kind = '1'
	KindStderr Kind = '2'
	// KindGap says that output was lost from the log: a [Gap] as JSON.
	KindGap Kind = 'G'
	// KindExit ends run and attach: an [Exit] as JSON.
	KindExit Kind = 'X'
	// KindEntry is one element of a sequence: an [Entry] as JSON.
	KindEntry Kind = 'E'
)

// Limits of the protocol, in bytes.
const (
	// MaxFrame bounds a payload, so that no length read from a peer can make
	// us allocate more.
	MaxFrame = 1 << 20
	// MaxRequest bounds a request. Linux limits argv and environment to a
	// quarter of the stack, 2 MiB by default; JSON may double that.
	MaxRequest = 4 << 20
	// HeaderSize is the size of a frame's header.
	HeaderSize = 5
	// NonceSize is the size of a challenge.
	NonceSize = 32
)

// limit is the largest payload of a frame of this kind.
func limit(k Kind) uint32 {
	if k == KindRequest {
		return MaxRequest
	}
	return MaxFrame
}

// A Reader reads frames. It is not safe for concurrent use.
type Reader struct {
	r    io.Reader
	head [HeaderSize]byte
	buf  []byte
	kind Kind
	left uint32 // payload bytes not yet read
}

// NewReader reads frames from r, without reading past the end of a frame.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Header reads the next header. The payload is then read with [Reader.Read]
// or [Reader.Payload]; what is left of the last one is skipped first. A stream
// that ends between two frames is io.EOF; one that ends inside is
// io.ErrUnexpectedEOF.
func (r *Reader) Header() (Kind, int, error) {
	if r.left > 0 {
		if _, err := io.CopyN(io.Discard, r.r, int64(r.left)); err != nil {
			return 0, 0, unexpected(err)
		}
		r.left = 0
	}
	if _, err := io.ReadFull(r.r, r.head[:]); err != nil {
		return 0, 0, err
	}
	k, n := Kind(r.head[0]), binary.BigEndian.Uint32(r.head[1:])
	if n > limit(k) {
		return 0, 0, fmt.Errorf("agent protocol: frame %q announces %d bytes, the limit is %d", byte(k), n, limit(k))
	}
	r.kind, r.left = k, n
	return k, int(n), nil
}

// Kind is the kind of the current frame.
func (r *Reader) Kind() Kind { return r.kind }

// Left is how many bytes of the payload have not been read.
func (r *Reader) Left() int { return int(r.left) }

// Read reads from the current payload and returns io.EOF at its end.
func (r *Reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if uint32(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.r.Read(p)
	r.left -= uint32(n)
	if r.left > 0 || n == 0 {
		err = unexpected(err)
	} else if err == io.EOF {
		err = nil
	}
	return n, err
}

// Payload reads the rest of the current payload. It is valid until the next
// call.
func (r *Reader) Payload() ([]byte, error) {
	n := int(r.left)
	// Grown as bytes arrive, so that an announced megabyte costs one only
	// when it is sent.
	const step = 64 << 10
	b := r.buf[:0]
	for len(b) < n {
		if cap(b)-len(b) == 0 {
			grown := make([]byte, len(b), min(n, max(512, 2*cap(b), min(n, step))))
			copy(grown, b)
			b = grown
		}
		chunk := b[len(b):min(cap(b), n)]
		m, err := io.ReadFull(r.r, chunk)
		r.left -= uint32(m)
		b = b[:len(b)+m]
		if err != nil {
			return nil, unexpected(err)
		}
	}
	if cap(b) <= step {
		r.buf = b // keep small buffers only
	}
	return b, nil
}

// JSON decodes the rest of the current payload into v.
func (r *Reader) JSON(v any) error {
	b, err := r.Payload()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("agent protocol: %.200s", err) // it may quote a whole payload
	}
	return nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A Writer writes frames. It is safe for concurrent use: frames do not mix.
type Writer struct {
	mu   sync.Mutex
	w    io.Writer
	conn net.Conn // w, if writev can be used on it
	head [HeaderSize]byte
	vec  [2][]byte
	buf  []byte
}

// NewWriter writes frames to w. On a [net.Conn] of the net package a header
// and its payload leave in one system call without being copied together.
func NewWriter(w io.Writer) *Writer {
	wr := &Writer{w: w}
	switch c := w.(type) {
	case *net.UnixConn:
		wr.conn = c
	case *net.TCPConn:
		wr.conn = c
	}
	return wr
}

// Frame writes one frame.
func (w *Writer) Frame(k Kind, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if uint32(len(payload)) > limit(k) {
		return fmt.Errorf("agent protocol: %d bytes do not fit a frame %q", len(payload), byte(k))
	}
	return w.frame(k, payload)
}

func (w *Writer) frame(k Kind, payload []byte) error {
	// Below a page one copy is cheaper than a vector.
	if w.conn == nil || len(payload) < 4096 {
		w.buf = appendHeader(w.buf, k, len(payload))
		w.buf = append(w.buf, payload...)
		return w.flush()
	}
	if err := w.flush(); err != nil {
		return err
	}
	appendHeader(w.head[:0], k, len(payload))
	w.vec = [2][]byte{w.head[:], payload}
	b := net.Buffers(w.vec[:])
	_, err := b.WriteTo(w.conn)
	w.vec = [2][]byte{}
	return err
}

// JSON writes v as one frame.
func (w *Writer) JSON(k Kind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.Frame(k, b)
}
