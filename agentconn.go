package pocketdock

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/pocketdock/pocketdock/internal/state"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// agentDir is where a container has the agent's program ("agent") and its
// socket and records ("io").
const (
	agentDir    = "/.pocketdock"
	agentBinary = agentDir + "/agent"
	agentIO     = agentDir + "/io"
	// agentSocketPath is where the agent of a container of ours listens.
	agentSocketPath = agentIO + "/" + state.SocketName
)

// byteStream is a connection to an agent: a Unix socket, or a bridge.
type byteStream interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// agentExec is the executor of a container with an agent.
type agentExec struct {
	c *Container
	// dial connects; key proves us to an agent that sees us inside its
	// sandbox, and is nil where the connection itself shows that we are not.
	dial func(ctx context.Context) (byteStream, error)
	key  ed25519.PrivateKey
	kind string
	// revive, if not nil, starts an agent that is not there (any more).
	revive func(ctx context.Context) error
}

func (a *agentExec) path() string { return a.kind }

// dialSocket connects to a Unix socket whose path may be longer than the 107
// bytes that an address holds.
func dialSocket(ctx context.Context, path string) (byteStream, error) {
	var d net.Dialer
	const maxPath = 107
	if len(path) > maxPath {
		dir, err := os.Open(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		path = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	}
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

// agentConn is one operation under way.
type agentConn struct {
	a    *agentExec
	ctx  context.Context
	op   string
	conn byteStream
	r    *wire.Reader
	w    *wire.Writer
	stop func() bool
	// room is how many bytes of entries are still believed; 0: any number,
	// for what is not kept.
	room int
	// source is why the caller's reader failed, which ended the connection.
	source atomic.Pointer[error]
}

// request opens an operation. The caller closes the connection.
func (a *agentExec) request(ctx context.Context, req *wire.Request) (*agentConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	req.Version = wire.Version
	text, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	if len(text) > wire.MaxRequest {
		return nil, invalidf("the arguments and environment have %d bytes, the limit is %d: pass large data through standard input or a file", len(text), wire.MaxRequest)
	}
	c, err := a.dialOp(ctx, req.Op, text)
	if err != nil && a.revive != nil && ctx.Err() == nil && !explained(err) && !refused(err) {
		if err := a.revive(ctx); err != nil {
			return nil, err
		}
		c, err = a.dialOp(ctx, req.Op, text)
	}
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	return c, nil
}

// dialOp connects and sends a request.
func (a *agentExec) dialOp(ctx context.Context, op string, text []byte) (*agentConn, error) {
	conn, err := a.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &agentConn{a: a, ctx: ctx, op: op, conn: conn, r: wire.NewReader(conn), w: wire.NewWriter(conn)}
	// Cancelling closes the connection: reads end, and the agent kills what
	// was not to be kept.
	c.stop = context.AfterFunc(ctx, func() { conn.Close() })
	if a.key != nil {
		err = c.prove(text)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	// If this fails, the agent may have said why before it closed: whoever
	// reads the answer finds out.
	c.w.Frame(wire.KindRequest, text)
	return c, nil
}

// refused reports the agent's own words.
func refused(err error) bool {
	_, ok := errors.AsType[*wire.Error](err)
	return ok
}

// prove answers the agent's challenge.
func (c *agentConn) prove(request []byte) error {
	k, n, err := c.r.Header()
	if err != nil {
		return err
	}
	if k == wire.KindFailure {
		return c.failure()
	}
	if k != wire.KindChallenge || n != wire.NonceSize {
		return c.unexpected(k)
	}
	nonce, err := c.r.Payload()
	if err != nil {
		return err
	}
	c.w.Frame(wire.KindProof, wire.Proof(c.a.key, nonce, request)) // as for the request
	return nil
}

func (c *agentConn) close() error {
	c.stop()
	return c.conn.Close()
}

// failure reads a KindFailure payload.
func (c *agentConn) failure() error {
	var e wire.Error
	if err := c.r.JSON(&e); err != nil {
		return err
	}
	return &e
}

func (c *agentConn) unexpected(k wire.Kind) error {
	return fmt.Errorf("agent protocol: frame %q is not an answer to %s", byte(k), c.op)
}

// broken explains why the connection failed.
func (c *agentConn) broken(err error) error {
	if failed := c.source.Load(); failed != nil {
		return *failed
	}
	return c.a.explain(c.ctx, err)
}

// explain says why an operation failed: because the caller gave up, because
// the agent refused or talks nonsense, or because the container is no longer there.
func (a *agentExec) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if refused(err) {
		return err
	}
	if strings.HasPrefix(err.Error(), "agent protocol:") {
		return fmt.Errorf("container %s: %w", a.c.name, err)
	}
	return a.c.whyUnreachable(ctx, err)
}

// reply reads the frame that ends an operation, handing data frames to each
// entry on the way.
func (c *agentConn) reply(each func(*wire.Entry) error) (*wire.Reply, error) {
	for {
		k, n, err := c.r.Header()
		if err != nil {
			return nil, c.broken(unexpectedEOF(err))
		}
		switch k {
		case wire.KindReply:
			var r wire.Reply
			if err := c.r.JSON(&r); err != nil {
				return nil, c.broken(err)
			}
			return &r, nil
		case wire.KindFailure:
			return nil, c.broken(c.failure())
		case wire.KindEntry:
			if each == nil {
				return nil, c.broken(c.unexpected(k))
			}
			if err := c.takeRoom(n); err != nil {
				return nil, c.broken(err)
			}
			var e wire.Entry
			if err := c.r.JSON(&e); err != nil {
				return nil, c.broken(err)
			}
			if err := each(&e); err != nil {
				return nil, err
			}
		default:
			return nil, c.broken(c.unexpected(k))
		}
	}
}

// takeRoom counts an entry against what is believed.
func (c *agentConn) takeRoom(n int) error {
	if c.room == 0 {
		return nil
	}
	const overhead = 64 // of an empty one, once it is decoded
	if c.room -= n + overhead; c.room <= 0 {
		return fmt.Errorf("agent protocol: the answer to %s has no end", c.op)
	}
	return nil
}

func unexpectedEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// call performs an operation that has only an answer.
func (a *agentExec) call(ctx context.Context, req *wire.Request) (*wire.Reply, error) {
	c, err := a.request(ctx, req)
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.reply(nil)
}

func (a *agentExec) info(ctx context.Context) (*wire.Info, error) {
	r, err := a.call(ctx, &wire.Request{Op: wire.OpInfo})
	if err != nil {
		return nil, a.c.wireError("info", "", err)
	}
	return a.description(r)
}

func (a *agentExec) description(r *wire.Reply) (*wire.Info, error) {
	if r.Info == nil {
		return nil, fmt.Errorf("container %s: the agent answers without its description", a.c.name)
	}
	return r.Info, nil
}

func (a *agentExec) limits(ctx context.Context, l *wire.Limits) (*wire.Limits, error) {
	r, err := a.call(ctx, &wire.Request{Op: wire.OpLimits, Limits: l})
	if err != nil {
		return nil, a.c.wireError("limits", "", err)
	}
	if r.Limits == nil {
		return &wire.Limits{TTLLeftMS: -1, IdleLeftMS: -1}, nil
	}
	return r.Limits, nil
}

// wireError turns an agent's refusal into one of our errors. what is the
// operation, subject its path, command or process.
func (c *Container) wireError(what, subject string, err error) error {
	we, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return err
	}
	if what == wire.OpWriteSparse {
		what = wire.OpWrite
	}
	text := printable(we.Message)
	file := func(kind error) error {
		why := detail{kind, text}
		if !fileOps[what] {
			return fmt.Errorf("%s in container %s: %w", strings.TrimSpace(what+" "+subject), c.name, why)
		}
		return &FileError{Op: what, Path: subject, Container: c.name, Err: why}
	}
	switch we.Code {
	case wire.CodeNotCommand:
		return &CommandError{Command: subject, Container: c.name, Kind: ErrCommandNotFound}
	case wire.CodeNotExec:
		return &CommandError{Command: subject, Container: c.name, Kind: ErrCommandNotExecutable, Detail: text}
	case wire.CodeNoProcess:
		return fmt.Errorf("%w: %s in container %s", ErrProcessNotFound, subject, c.name)
	case wire.CodeNotFound:
		return file(ErrFileNotFound)
	case wire.CodeExists:
		return file(ErrFileExists)
	case wire.CodePermission:
		return file(ErrPermission)
	case wire.CodeInvalid:
		return file(ErrInvalid)
	case wire.CodeUnsupported:
		return file(ErrUnsupported)
	}
	return file(errors.New(text))
}

// fileOps are the operations whose subject is a path.
var fileOps = map[string]bool{
	wire.OpStat: true, wire.OpReadDir: true, wire.OpMkdir: true, wire.OpRemove: true, wire.OpMove: true,
	wire.OpChmod: true, wire.OpChown: true, wire.OpSymlink: true, wire.OpRead: true, wire.OpWrite: true, wire.OpWriteSparse: true,
	wire.OpTarOut: true, wire.OpTarIn: true, wire.OpWatch: true,
}

// detail is an error of a kind with the agent's words.
type detail struct {
	kind error
	text string
}

func (d detail) Error() string {
	if d.text == "" {
		return d.kind.Error()
	}
	return d.text
}

func (d detail) Unwrap() error { return d.kind }

// printable makes text from a sandbox fit for an error message: bounded, one
// line, no control characters.
func printable(s string) string {
	const max = 1000
	if len(s) > max {
		s = s[:max] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) { // C1 controls and reversed text, too
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// readyTimeout is how long a started container's agent may take to answer.
const readyTimeout = 20 * time.Second

// ask asks the agent what info does, if it is there already. A bridge that is,
// and the agent not yet, is told by its end only.
func (a *agentExec) ask(ctx context.Context) (*wire.Reply, error) {
	conn, err := a.dialOp(ctx, wire.OpInfo, []byte(`{"v":1,"op":"info"}`))
	if err != nil {
		return nil, err
	}
	defer conn.close()
	return conn.reply(nil)
}

// waitReady polls until the agent answers, or the container has ended.
func (a *agentExec) waitReady(ctx context.Context) (*wire.Info, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout,
		fmt.Errorf("the agent in container %s does not answer within %v", a.c.name, readyTimeout))
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		r, err := a.ask(ctx)
		if err == nil {
			return a.description(r)
		}
		if refused(err) {
			return nil, a.c.wireError("info", "", err)
		}
		if explained(err) {
			return nil, err
		}
		// Every tenth of a second, make sure that there is something to wait for.
		if n%50 == 0 {
			if err := a.c.checkRunning(ctx); err != nil {
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (last error: %w)", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
