package pocketdock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/pocketdock/pocketdock/internal/holes"
	"github.com/pocketdock/pocketdock/internal/staging"
	"github.com/pocketdock/pocketdock/internal/treetar"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// TransferOptions are the optional properties of Push, Pull and their like.
type TransferOptions struct {
	// User as in [FileOptions].
	User string
	// Exclude leaves files out of a Push of a directory: patterns as in a
	// .gitignore file at its top. The last one that matches counts; "!" takes
	// back, a "/" at the end is for directories, one elsewhere ties the pattern
	// to the top, "**" stands for any directories.
	Exclude []string
	// GitIgnore leaves out what the .gitignore files in the directory that is
	// pushed say, those in directories below it too. Exclude is stronger. A
	// .git directory is pushed like any other: exclude it if it is not wanted.
	GitIgnore bool
	// Progress, if not nil, is called as the transfer goes on, after each
	// file and each quarter of a megabyte or so: one call at a time, none after
	// the end of Push or Pull, which wait for it to return.
	Progress func(Progress)
}

// Progress says how far a transfer is. Holes of sparse files count as bytes,
// though they are not sent. Files are files, links and directories.
type Progress struct {
	// Path of what is being moved, relative to a directory that is moved.
	Path string
	// Bytes and Files so far.
	Bytes, Files int64
	// TotalBytes and TotalFiles are what there is to move, as it was at the
	// start. 0 if that is not known: in a Pull of a directory.
	TotalBytes, TotalFiles int64
}

// Push copies a file or directory of this host to a path in the container, in
// constant memory, with modes, times, links and holes; symbolic links are
// copied as what they are. The container's user owns what is made.
//
// A file, and a directory that is new in the container, shows under its name
// when it is whole, and not at all after a failure. What is in a directory is
// added to one that exists, each file when it is whole.
func (c *Container) Push(ctx context.Context, host, path string, opts TransferOptions) error {
	info, err := os.Stat(host)
	if err != nil {
		return err
	}
	if err := checkPath(path); err != nil {
		return err
	}
	x, err := c.enter(ctx)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return c.pushTree(ctx, x, host, path, &opts)
	}
	if !info.Mode().IsRegular() {
		return invalidf("%s: neither a file nor a directory", host)
	}
	file, err := os.Open(host)
	if err != nil {
		return err
	}
	defer file.Close()
	m := &meter{to: opts.Progress, now: Progress{Path: filepath.Base(host), TotalBytes: info.Size(), TotalFiles: 1}}
	fo := FileOptions{User: opts.User, Mode: info.Mode().Perm(), ModTime: info.ModTime()}
	if err := copyIn(ctx, x, fo.wire(path), file, m); err != nil {
		return err
	}
	m.finish()
	return nil
}

func (c *Container) pushTree(ctx context.Context, x executor, host, path string, opts *TransferOptions) error {
	_, agent := x.(*agentExec) // an engine takes plain archives only
	o := treetar.Options{Exclude: opts.Exclude, GitIgnore: opts.GitIgnore, Sparse: agent}
	if opts.Progress != nil {
		bytes, files, err := treetar.Measure(host, o)
		if err != nil {
			return fmt.Errorf("push %s: %w", host, err)
		}
		m := &meter{to: opts.Progress, now: Progress{TotalBytes: bytes, TotalFiles: files}}
		o.Moved = m.moved
	}
	pr, pw := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := treetar.Pack(pw, host, o)
		pw.CloseWithError(err)
		packed <- err
	}()
	_, err := x.create(ctx, wire.OpTarIn, &wire.File{Path: wire.Path(path), User: opts.User, Parents: true}, struct{ io.Reader }{pr})
	pr.CloseWithError(errPushEnded)
	if e := <-packed; e != nil && !errors.Is(e, errPushEnded) {
		return fmt.Errorf("push %s: %w", host, e)
	}
	return err
}

var errPushEnded = errors.New("the container takes no more")

// copyIn writes a file of the container. One of this host that has holes, and
// is read from its start, goes without them where an agent takes it so.
func copyIn(ctx context.Context, x executor, f *wire.File, r io.Reader, m *meter) error {
	f.Parents = true
	file, runs, size := withHoles(r)
	if file != nil {
		_, err := x.create(ctx, wire.OpWriteSparse, f, m.reader(holes.NewReader(file, size, runs)))
		if err == nil {
			_, err = file.Seek(size, io.SeekStart)
		}
		if !errors.Is(err, ErrUnsupported) {
			return err
		}
		m.now.Bytes = 0
	}
	_, err := x.create(ctx, wire.OpWrite, f, m.reader(struct{ io.Reader }{r}))
	return err
}

// withHoles returns the file that r is, if it is one that has holes.
func withHoles(r io.Reader) (*os.File, []holes.Run, int64) {
	file, ok := r.(*os.File)
	if !ok {
		return nil, nil, 0
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || !treetar.MayHaveHoles(info) {
		return nil, nil, 0
	}
	if at, err := file.Seek(0, io.SeekCurrent); err != nil || at != 0 {
		return nil, nil, 0
	}
	runs, ok := holes.Find(file.Seek, info.Size())
	if _, err := file.Seek(0, io.SeekStart); err != nil || !ok {
		return nil, nil, 0
	}
	return file, runs, info.Size()
}

// Pull copies a file or directory of the container to a path on this host, in
// constant memory, with modes, times, links and holes; missing parents are
// made. A file, and a directory that is new on this host, shows under its name
// when it is whole, and not at all after a failure; what is in a directory is
// added to one that exists, each file when it is whole. Nothing is written
// outside the target, whatever the sandbox sends. What a program that was
// killed has left half done is named ".pocketdock-" and 26 letters and digits,
// and removed by the next transfer to the same directory.
func (c *Container) Pull(ctx context.Context, path, host string, opts TransferOptions) error {
	if err := opts.plain(); err != nil {
		return err
	}
	info, err := c.Stat(ctx, path, FileOptions{User: opts.User})
	if err != nil {
		return err
	}
	x, err := c.enter(ctx)
	if err != nil {
		return err
	}
	if info.IsDir() {
		_, r, err := x.open(ctx, wire.OpTarOut, &wire.File{Path: wire.Path(path), User: opts.User, Contents: true, Sparse: true})
		if err != nil {
			return err
		}
		defer r.Close()
		m := &meter{to: opts.Progress}
		if err := treetar.Unpack(r, host, treetar.Top{Mode: info.Mode, ModTime: info.ModTime}, m.moved); err != nil {
			return fmt.Errorf("pull %s from container %s: %w", path, c.name, err)
		}
		return nil
	}
	st, r, err := x.open(ctx, wire.OpRead, &wire.File{Path: wire.Path(path), User: opts.User, Sparse: true})
	if err != nil {
		return err
	}
	defer r.Close()
	info = fileInfo(st)
	m := &meter{to: opts.Progress, now: Progress{Path: filepath.Base(path), TotalBytes: info.Size, TotalFiles: 1}}
	if err := writeHostFile(host, r, info, m); err != nil {
		return fmt.Errorf("pull %s from container %s: %w", path, c.name, err)
	}
	m.finish()
	return nil
}

// sweepSize is how large a file is, in bytes, that is worth looking through
// its directory for what an interrupted transfer left.
const sweepSize = 1 << 20

// writeHostFile writes a file whole or not at all.
func writeHostFile(path string, r io.Reader, info *FileInfo, m *meter) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if info.Size >= sweepSize {
		staging.Sweep(dir)
	}
	f, tmp, err := staging.File(dir)
	if err != nil {
		return err
	}
	w := &holes.Writer{File: f}
	if d, ok := r.(*dataReader); ok && d.sparse {
		err = holes.Copy(w, r, make([]byte, bulkBuffer), m.at)
	} else if _, err = io.CopyBuffer(struct{ io.Writer }{w}, m.reader(struct{ io.Reader }{r}), make([]byte, bulkBuffer)); err == nil {
		err = w.Finish()
	}
	err = errors.Join(err, f.Chmod(info.Mode.Perm()), dir.Chtimes(tmp, info.ModTime, info.ModTime))
	if err == nil {
		err = dir.Rename(tmp, filepath.Base(path))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		dir.Remove(tmp)
	}
	return err
}
