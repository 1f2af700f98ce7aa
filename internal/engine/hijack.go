package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"
)

// A Conn is an upgraded connection: a byte stream both ways.
type Conn struct {
	io.ReadWriteCloser
	ctx  context.Context
	stop func() bool
	once sync.Once
	err  error
}

// Hijack sends a POST that upgrades its connection. Both headers are needed:
// without them Podman answers 200 with a body that cannot be written.
//
// Cancelling ctx closes the connection: Go's transport does not unblock a 101
// body by itself. Reads then fail with the context's cause. While the engine
// has not answered, the end of ctx is held back for up to [startGrace].
func (e *Engine) Hijack(ctx context.Context, path string, query url.Values, in any) (*Conn, error) {
	var body io.Reader = http.NoBody
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	starting, cancel := Delayed(ctx, startGrace)
	defer cancel()
	req, err := http.NewRequestWithContext(starting, "POST", e.url(path, query), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "tcp")
	res, err := e.client.Do(req)
	if err != nil {
		return nil, e.transportError(ctx, "POST", path, err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		defer res.Body.Close()
		if res.StatusCode >= 400 {
			return nil, e.refusal(ctx, "POST", path, res)
		}
		return nil, e.transportError(ctx, "POST", path,
			errors.New("the engine did not upgrade the connection: "+res.Status))
	}
	rwc, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		res.Body.Close()
		return nil, e.transportError(ctx, "POST", path, errors.New("the upgraded connection cannot be written"))
	}
	c := &Conn{ReadWriteCloser: rwc, ctx: ctx}
	c.stop = context.AfterFunc(ctx, func() { c.close() })
	return c, nil
}

// startGrace is how long we wait for an engine's answer after the caller gave
// up. The engine starts the process all the same, and Podman 4.3 then says
// that it does not run: nobody could find it to end it.
const startGrace = time.Second

// Delayed is a context that ends a while after ctx, with its cause.
func Delayed(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(by, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(late, func() { timer.Stop() })
	})
	return late, func() { stop(); cancel(nil) }
}

// Read reads from the connection. After the context ended its error is the
// context's cause.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	switch {
	case err != nil && c.ctx.Err() != nil:
		err = context.Cause(c.ctx)
	case errors.Is(err, syscall.ECONNRESET):
		// An engine that closes before it has read all of a process's input.
		// On a Unix socket this comes after the last byte that it sent, as an
		// end does (unix_stream_read_generic in Linux's net/unix/af_unix.c).
		err = io.EOF
	}
	return n, err
}

// CloseWrite ends our side of the stream: the process reads the end of its
// standard input and its output still comes.
func (c *Conn) CloseWrite() error {
	if cw, ok := c.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close closes the connection.
func (c *Conn) Close() error {
	c.stop()
	return c.close()
}

func (c *Conn) close() error {
	c.once.Do(func() { c.err = c.ReadWriteCloser.Close() })
	return c.err
}
