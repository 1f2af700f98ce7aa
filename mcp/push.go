package mcp

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/pocketdock/pocketdock"
)

// push copies a file or directory of a host's directory into a sandbox. Every
// file is opened through the directory's root.
func push(ctx context.Context, d *hostDir, rel string, b *sandbox, to string, out *transferred) error {
	fi, err := d.root.Stat(rel)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return pushFile(ctx, d.root, rel, b, to, out)
	}
	top, err := d.root.OpenRoot(rel)
	if err != nil {
		return err
	}
	defer top.Close()
	return fs.WalkDir(top.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch {
		case e.IsDir():
			return b.box.Mkdir(ctx, path.Join(to, name), pocketdock.FileOptions{})
		case !e.Type().IsRegular():
			out.skip(name)
			return nil
		}
		return pushFile(ctx, top, filepath.FromSlash(name), b, path.Join(to, name), out)
	})
}

func pushFile(ctx context.Context, root *os.Root, name string, b *sandbox, to string, out *transferred) error {
	if out.Files == maxTransfer {
		return errTooMany
	}
	f, err := root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("%s is neither a file nor a directory", name)
	}
	if err := b.box.CopyIn(ctx, to, f, pocketdock.FileOptions{Mode: fi.Mode().Perm(), ModTime: fi.ModTime()}); err != nil {
		return err
	}
	out.Files++
	out.Bytes += fi.Size()
	return nil
}
