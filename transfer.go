package pocketdock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/pocketdock/pocketdock/internal/treetar"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// TransferOptions are the optional properties of Push and Pull.
type TransferOptions struct {
	// User as in [FileOptions].
	User string
	// Progress, if not nil, is called with the number of bytes moved so far.
	Progress func(bytes int64)
}

// Push copies a file or directory of this host to a path in the container, in
// constant memory, with modes, times and links; the container's user owns
// what is made. What is in a directory is added to one that exists.
func (c *Container) Push(ctx context.Context, host, path string, opts TransferOptions) error {
	info, err := os.Stat(host)
	if err != nil {
		return err
	}
	if err := checkPath(path); err != nil {
		return err
	}
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return invalidf("%s: neither a file nor a directory", host)
		}
		f, err := os.Open(host)
		if err != nil {
			return err
		}
		defer f.Close()
		return c.CopyIn(ctx, path, counting(f, opts.Progress), FileOptions{User: opts.User, Mode: info.Mode().Perm(), ModTime: info.ModTime()})
	}
	x, err := c.enter(ctx)
	if err != nil {
		return err
	}
	pr, pw := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := treetar.Pack(pw, host)
		pw.CloseWithError(err)
		packed <- err
	}()
	_, err = x.create(ctx, wire.OpTarIn, &wire.File{Path: wire.Path(path), User: opts.User, Parents: true}, counting(pr, opts.Progress))
	pr.CloseWithError(errPushEnded)
	if e := <-packed; e != nil && !errors.Is(e, errPushEnded) {
		return fmt.Errorf("push %s: %w", host, e)
	}
	return err
}

var errPushEnded = errors.New("the container takes no more")

// Pull copies a file or directory of the container to a path on this host, in
// constant memory, with modes, times and links. A file is written under
// another name and renamed when it is whole. Nothing is written outside the
// target, whatever the sandbox sends.
func (c *Container) Pull(ctx context.Context, path, host string, opts TransferOptions) error {
	info, err := c.Stat(ctx, path, FileOptions{User: opts.User})
	if err != nil {
		return err
	}
	if info.IsDir() {
		x, err := c.enter(ctx)
		if err != nil {
			return err
		}
		_, r, err := x.open(ctx, wire.OpTarOut, &wire.File{Path: wire.Path(path), User: opts.User, Contents: true})
		if err != nil {
			return err
		}
		defer r.Close()
		if err := treetar.Unpack(counting(r, opts.Progress), host); err != nil {
			return fmt.Errorf("pull %s from container %s: %w", path, c.name, err)
		}
		return nil
	}
	info, r, err := c.OpenFile(ctx, path, ReadOptions{User: opts.User})
	if err != nil {
		return err
	}
	defer r.Close()
	return writeHostFile(host, counting(r, opts.Progress), info)
}

// writeHostFile writes a file whole or not at all.
func writeHostFile(path string, r io.Reader, info *FileInfo) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".pocketdock-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, r, make([]byte, bulkBuffer))
	err = errors.Join(err, f.Chmod(info.Mode.Perm()), f.Close())
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Chtimes(f.Name(), info.ModTime, info.ModTime); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// counting tells progress of a reader.
func counting(r io.Reader, progress func(int64)) io.Reader {
	if progress == nil {
		return struct{ io.Reader }{r}
	}
	return &counter{r: r, progress: progress}
}

type counter struct {
	r        io.Reader
	n        int64
	progress func(int64)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if n > 0 {
		c.progress(c.n)
	}
	return n, err
}
