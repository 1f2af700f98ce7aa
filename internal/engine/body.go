package engine

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// A source is a request's body that the caller reads from. The transport
// waits for a Read of the body before it gives a request up, closes what it
// was given, and returns one error for both ends. So it reads from a pipe
// instead, which ends with the context and with the connection: a caller's
// reader that blocks is not waited for (the Read under way is left to end by
// itself), the reader is not closed, and its errors are known as its own.
type source struct {
	r    io.Reader
	pipe *io.PipeReader
	err  atomic.Pointer[error] // of r
	done chan struct{}         // closed when r is no longer read
}

// settleTime is how long a reader is waited for once its request has failed.
// One that does not block ends within it, so that it is the caller's alone again.
const settleTime = 100 * time.Millisecond

// settle ends the source of a request that failed.
func (s *source) settle() {
	if s == nil {
		return
	}
	s.pipe.Close()
	select {
	case <-s.done:
	case <-time.After(settleTime):
	}
}

// sourceKey is the context key under which dialling finds the source.
type sourceKey struct{}

// withSource returns body as a request's body, with the context for the
// request. The source is nil for a body that cannot fail or block.
func withSource(ctx context.Context, body io.Reader) (context.Context, io.Reader, *source) {
	switch body.(type) {
	case nil, *bytes.Buffer, *bytes.Reader, *strings.Reader:
		return ctx, body, nil
	}
	s := &source{r: body, done: make(chan struct{})}
	var w *io.PipeWriter
	s.pipe, w = io.Pipe()
	go func() {
		defer close(s.done)
		_, err := io.Copy(w, s)
		w.CloseWithError(err)
	}()
	return context.WithValue(ctx, sourceKey{}, s), s.pipe, s
}

// sourceConn is a connection that ends its request's source.
type sourceConn struct {
	net.Conn
	s *source
}

func (c *sourceConn) Close() error {
	c.s.pipe.Close()
	return c.Conn.Close()
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err.Store(&err)
	}
	return n, err
}

// failure is what the caller's reader returned.
func (s *source) failure() error {
	if s == nil || s.err.Load() == nil {
		return nil
	}
	return *s.err.Load()
}

// A Body is an answer's body. Its errors, other than the end, are
// [*TransportError].
type Body struct {
	io.ReadCloser
	e            *Engine
	ctx          context.Context
	method, path string
}

// Stream is [Engine.Do] for an answer that is read as a stream.
func (e *Engine) Stream(ctx context.Context, method, path string, query map[string][]string, body io.Reader, contentType string) (*Body, error) {
	res, err := e.Do(ctx, method, path, query, body, contentType)
	if err != nil {
		return nil, err
	}
	return &Body{res.Body, e, ctx, method, path}, nil
}

func (b *Body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = b.e.transportError(b.ctx, b.method, b.path, err)
	}
	return n, err
}
