package pocketdock

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/pocketdock/pocketdock/internal/engine"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// Files of a container without an agent, through the engine's archive API,
// which acts as root.

func (x *engineExec) fileError(ctx context.Context, op string, f *wire.File, err error) error {
	if se, ok := errors.AsType[*engine.StatusError](err); ok && se.NotFound() {
		if e := x.c.checkThere(ctx); e != nil {
			return e
		}
		return &FileError{Op: op, Path: string(f.Path), Container: x.c.name, Err: ErrFileNotFound}
	}
	return x.c.apiErr(ctx, err, op+" "+string(f.Path)+" in")
}

// checkThere returns an error if the container is gone.
func (c *Container) checkThere(ctx context.Context) error {
	_, err := c.inspect(ctx)
	return err
}

// relativePath needs an agent: the archive API takes every path from the root.
const relativePath = "a relative path"

func (x *engineExec) file(ctx context.Context, op string, f *wire.File) (*wire.Stat, error) {
	if !path.IsAbs(string(f.Path)) {
		return nil, x.noAgent(relativePath)
	}
	switch op {
	case wire.OpStat:
		return x.stat(ctx, f)
	case wire.OpMkdir:
		return x.mkdir(ctx, f)
	case wire.OpRemove:
		return x.remove(ctx, f)
	}
	return nil, x.noAgent(op)
}

func (x *engineExec) stat(ctx context.Context, f *wire.File) (*wire.Stat, error) {
	res, err := x.c.engine.Do(ctx, http.MethodHead, x.c.path("/archive"), url.Values{"path": {string(f.Path)}}, nil, "")
	if err != nil {
		return nil, x.fileError(ctx, "stat", f, err)
	}
	res.Body.Close()
	b, err := base64.StdEncoding.DecodeString(res.Header.Get("X-Docker-Container-Path-Stat"))
	if err != nil {
		return nil, fmt.Errorf("stat %s in container %s: the engine's answer: %w", f.Path, x.c.name, err)
	}
	var st struct {
		Size       int64
		Mode       fs.FileMode
		Mtime      time.Time
		LinkTarget string
	}
	if err := json.Unmarshal(b, &st); err != nil {
		return nil, fmt.Errorf("stat %s in container %s: the engine's answer: %w", f.Path, x.c.name, err)
	}
	return &wire.Stat{Path: f.Path, Size: st.Size, Mode: unixMode(st.Mode), MTime: st.Mtime.UnixNano(), Target: wire.Path(st.LinkTarget)}, nil
}

// mkdir makes a directory by unpacking one.
func (x *engineExec) mkdir(ctx context.Context, f *wire.File) (*wire.Stat, error) {
	h := &tar.Header{Typeflag: tar.TypeDir, Name: string(f.Path)[1:] + "/", Mode: int64(mode(f, 0o755)), ModTime: time.Now()}
	if err := x.put(ctx, "mkdir", f, h, nil); err != nil {
		return nil, err
	}
	return x.stat(ctx, f)
}

func mode(f *wire.File, def uint32) uint32 {
	if f.Mode != nil {
		return *f.Mode
	}
	return def
}

// put unpacks one entry.
func (x *engineExec) put(ctx context.Context, op string, f *wire.File, h *tar.Header, r io.Reader) error {
	pr, pw := io.Pipe()
	go func() {
		tw := tar.NewWriter(pw)
		err := tw.WriteHeader(h)
		if err == nil && r != nil {
			_, err = io.Copy(tw, r)
		}
		if err == nil {
			err = tw.Close()
		}
		pw.CloseWithError(err)
	}()
	err := x.c.putArchive(ctx, "/", pr)
	pr.Close()
	if err != nil {
		return &FileError{Op: op, Path: string(f.Path), Container: x.c.name, Err: err}
	}
	return nil
}

// remove needs a program: the archive API only adds.
func (x *engineExec) remove(ctx context.Context, f *wire.File) (*wire.Stat, error) {
	if _, err := x.stat(ctx, f); err != nil { // rm -f would not tell
		return nil, err
	}
	argv := []string{"rm", "-f", "--", string(f.Path)}
	if f.Recursive {
		argv[1] = "-rf"
	}
	_, st, err := x.start(ctx, &wire.Start{Argv: argv, User: f.User})
	if err != nil {
		return nil, err
	}
	defer st.close()
	var said tail
	for {
		ev, err := st.next()
		switch {
		case err != nil:
			return nil, err
		case ev.exit == nil:
			said.Write(ev.data)
		case ev.exit.Code != 0:
			return nil, &FileError{Op: "remove", Path: string(f.Path), Container: x.c.name, Err: errors.New(said.String())}
		default:
			return &wire.Stat{}, nil
		}
	}
}

func (x *engineExec) entries(_ context.Context, op string, _ *wire.File, _ func(*wire.Entry) error) error {
	return x.noAgent(op)
}

// open reads a file, or a tree as a tar stream.
func (x *engineExec) open(ctx context.Context, op string, f *wire.File) (*wire.Stat, io.ReadCloser, error) {
	if op == wire.OpRead && (f.Offset != 0 || f.Length != 0) || len(f.Exclude) > 0 || f.Contents {
		return nil, nil, x.noAgent("reading a part")
	}
	if !path.IsAbs(string(f.Path)) {
		return nil, nil, x.noAgent(relativePath)
	}
	res, err := x.c.engine.Do(ctx, "GET", x.c.path("/archive"), url.Values{"path": {string(f.Path)}}, nil, "")
	if err != nil {
		return nil, nil, x.fileError(ctx, op, f, err)
	}
	if op == wire.OpTarOut {
		return nil, res.Body, nil
	}
	tr := tar.NewReader(res.Body)
	h, err := tr.Next()
	if err != nil {
		res.Body.Close()
		return nil, nil, x.c.cutFile(ctx, string(f.Path), err)
	}
	if h.Typeflag != tar.TypeReg {
		res.Body.Close()
		return nil, nil, &FileError{Op: op, Path: string(f.Path), Container: x.c.name, Err: errors.New("not a regular file")}
	}
	st := &wire.Stat{Path: f.Path, Size: h.Size, Mode: unixMode(h.FileInfo().Mode()), MTime: h.ModTime.UnixNano(),
		UID: uint32(h.Uid), GID: uint32(h.Gid)}
	return st, &archiveFile{x: x, ctx: ctx, tar: tr, body: res.Body, path: string(f.Path)}, nil
}

// archiveFile reads the one file of an archive.
type archiveFile struct {
	x    *engineExec
	ctx  context.Context
	tar  *tar.Reader
	body io.Closer
	path string
}

// Read says so when the archive ends before the file does.
func (a *archiveFile) Read(p []byte) (int, error) {
	if a.ctx.Err() != nil {
		return 0, context.Cause(a.ctx)
	}
	n, err := a.tar.Read(p)
	if err != nil && err != io.EOF {
		err = a.x.c.cutFile(a.ctx, a.path, err)
	}
	return n, err
}

func (a *archiveFile) Close() error { return a.body.Close() }

// cutFile is the error of an archive that cannot be read on.
func (c *Container) cutFile(ctx context.Context, path string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else {
		err = fmt.Errorf("%w: %w", ErrOutputLost, err)
	}
	return &FileError{Op: "read", Path: path, Container: c.name, Err: err}
}

// create writes a file, or unpacks a tar stream. The API wants a file's size
// first, so it is held in memory.
func (x *engineExec) create(ctx context.Context, op string, f *wire.File, r io.Reader) (*wire.Stat, error) {
	if op == wire.OpTarIn {
		if err := x.c.putArchive(ctx, string(f.Path), r); err != nil {
			return nil, &FileError{Op: op, Path: string(f.Path), Container: x.c.name, Err: err}
		}
		return &wire.Stat{}, nil
	}
	if op == wire.OpWriteSparse {
		return nil, x.noAgent("a file without its holes")
	}
	if f.Append || f.Exclusive || !path.IsAbs(string(f.Path)) {
		return nil, x.noAgent("appending to a file, or a relative path")
	}
	const max = 64 << 20
	data, err := io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return nil, err
	}
	if len(data) > max {
		return nil, x.noAgent(fmt.Sprintf("writing more than %d bytes", max))
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: string(f.Path)[1:], Mode: int64(mode(f, 0o644)), Size: int64(len(data)), ModTime: time.Now()}
	if f.ModTime != 0 {
		h.ModTime = time.Unix(0, f.ModTime)
	}
	if err := x.put(ctx, op, f, h, bytes.NewReader(data)); err != nil {
		return nil, err
	}
	return &wire.Stat{Path: f.Path, Size: h.Size, Mode: 0o100000 | uint32(h.Mode), MTime: h.ModTime.UnixNano()}, nil
}

// unixMode is st_mode of stat(2).
func unixMode(m fs.FileMode) uint32 {
	u := uint32(m.Perm())
	for _, b := range []struct {
		is  fs.FileMode
		bit uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.is != 0 {
			u |= b.bit
		}
	}
	switch m.Type() {
	case fs.ModeDir:
		return u | 0o040000
	case fs.ModeSymlink:
		return u | 0o120000
	case fs.ModeNamedPipe:
		return u | 0o010000
	case fs.ModeSocket:
		return u | 0o140000
	case fs.ModeDevice:
		return u | 0o060000
	case fs.ModeDevice | fs.ModeCharDevice:
		return u | 0o020000
	}
	return u | 0o100000
}
