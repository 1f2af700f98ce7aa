package pocketdock

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/pocketdock/pocketdock/internal/engine"
	"github.com/pocketdock/pocketdock/internal/frames"
)

// installAgent copies the agent's program into a container that was created
// and not started, for an engine that cannot mount it.
func (c *Container) installAgent(ctx context.Context, program []byte) error {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	now := time.Now()
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeDir, Name: agentDir[1:] + "/", Mode: 0o755, ModTime: now},
		{Typeflag: tar.TypeDir, Name: agentIO[1:] + "/", Mode: 0o755, ModTime: now},
		{Typeflag: tar.TypeReg, Name: agentBinary[1:], Mode: 0o755, ModTime: now, Size: int64(len(program))},
	} {
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
	}
	if _, err := tw.Write(program); err != nil {
		return err
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return c.putArchive(ctx, "/", &buf)
}

// putArchive unpacks a tar stream in a directory of the container.
func (c *Container) putArchive(ctx context.Context, dir string, r io.Reader) error {
	res, err := c.engine.Do(ctx, "PUT", c.path("/archive"), url.Values{"path": {dir}}, r, "application/x-tar")
	if err != nil {
		return c.apiErr(ctx, err, "copy into")
	}
	return res.Body.Close()
}

// bridgeExec reaches the agent through an exec of the engine that joins its
// standard streams to the agent's socket.
func (c *Container) bridgeExec(key ed25519.PrivateKey, socket string) *agentExec {
	return &agentExec{c: c, kind: agentBridge, key: key, dial: func(ctx context.Context) (byteStream, error) {
		conn, _, err := c.startExec(ctx, &apiExec{
			AttachStdin: true, AttachStdout: true, AttachStderr: true, User: "0:0",
			Cmd: []string{agentBinary, "bridge", socket},
		})
		if err != nil {
			return nil, err
		}
		return &bridgeConn{conn: conn, r: frames.NewReader(conn)}, nil
	}}
}

// bridgeConn is the byte stream of a bridge: its standard output, taken out
// of the engine's frames.
type bridgeConn struct {
	conn *engine.Conn
	r    *frames.Reader
	have []byte
	told tail // the bridge's complaint
}

func (b *bridgeConn) Read(p []byte) (int, error) {
	for len(b.have) == 0 {
		stream, data, err := b.r.Next()
		if err != nil {
			if text := b.told.String(); err == io.EOF && text != "" {
				return 0, fmt.Errorf("agent bridge: %s", text)
			}
			return 0, err
		}
		if stream == frames.Stderr {
			b.told.Write(data)
			continue
		}
		b.have = data
	}
	n := copy(p, b.have)
	b.have = b.have[n:]
	return n, nil
}

func (b *bridgeConn) Write(p []byte) (int, error) { return b.conn.Write(p) }
func (b *bridgeConn) CloseWrite() error           { return b.conn.CloseWrite() }
func (b *bridgeConn) Close() error                { return b.conn.Close() }

// tail keeps the end of a text.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	const keep = 512
	t.b = append(t.b, p...)
	if len(t.b) > keep {
		t.b = append(t.b[:0], t.b[len(t.b)-keep:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return printable(string(bytes.TrimSpace(t.b))) }

// apiExec is the body of POST /containers/ID/exec.
type apiExec struct {
	AttachStdin, AttachStdout, AttachStderr bool
	Tty                                     bool
	Cmd                                     []string
	Env                                     []string `json:",omitempty"`
	User, WorkingDir                        string   `json:",omitempty"`
}

// startExec creates an exec and attaches to it. With an error it returns the
// ID of the exec if it was created and may yet start.
func (c *Container) startExec(ctx context.Context, body *apiExec) (*engine.Conn, string, error) {
	var created struct {
		ID string `json:"Id"`
	}
	if err := c.engine.JSON(ctx, "POST", c.path("/exec"), nil, body, &created); err != nil {
		return nil, "", c.apiErr(ctx, err, "run a command in")
	}
	if created.ID == "" {
		return nil, "", noID(c.engine, "run a command in container "+c.name)
	}
	start := map[string]bool{"Detach": false, "Tty": body.Tty}
	conn, err := c.engine.Hijack(ctx, "/exec/"+created.ID+"/start", nil, start)
	if err != nil {
		return nil, created.ID, c.execStartError(ctx, err, body)
	}
	return conn, created.ID, nil
}

// execStartError tells a program that cannot be started from a container that
// cannot run one. Only the runtime's message tells.
func (c *Container) execStartError(ctx context.Context, err error, body *apiExec) error {
	se, ok := errors.AsType[*engine.StatusError](err)
	if ok {
		if kind := execRefusal(se.Message); kind != nil {
			return &CommandError{Command: body.Cmd[0], Container: c.name, Kind: kind}
		}
		if se.NoSuchExec() { // it goes with its container
			if e := c.checkRunning(ctx); e != nil {
				return e
			}
		}
	}
	return c.apiErr(ctx, err, "run a command in")
}

var _ executor = (*agentExec)(nil)
