package mcp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/pocketdock/pocketdock"
)

// pull copies a file or directory of a sandbox into a host's directory. The
// sandbox's names are hostile: whatever they are, the directory's root lets
// nothing out.
func pull(ctx context.Context, b *sandbox, from string, d *hostDir, rel string, overwrite bool, out *transferred) error {
	fi, err := b.box.Stat(ctx, from, pocketdock.FileOptions{})
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		if err := makeParents(d.root, rel); err != nil {
			return err
		}
		return pullFile(ctx, b, from, fi, d.root, rel, overwrite, out)
	}
	list, err := b.box.ListFiles(ctx, from, pocketdock.FilesOptions{Depth: -1})
	if err != nil {
		return err
	}
	if len(list) > maxTransfer {
		return errTooMany
	}
	if err := d.root.MkdirAll(rel, 0o755); err != nil {
		return err
	}
	top, err := d.root.OpenRoot(rel)
	if err != nil {
		return err
	}
	defer top.Close()
	for i := range list {
		f := &list[i]
		name := filepath.FromSlash(path.Clean(f.Path))
		if !filepath.IsLocal(name) {
			return fmt.Errorf("the sandbox has a file %q, whose name is none here", readable([]byte(f.Path)))
		}
		switch {
		case f.IsDir():
			err = top.MkdirAll(name, 0o755)
		case !f.Mode.IsRegular():
			out.skip(f.Path)
		default:
			if err = makeParents(top, name); err == nil {
				err = pullFile(ctx, b, path.Join(from, f.Path), f, top, name, overwrite, out)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func makeParents(root *os.Root, name string) error {
	if dir := filepath.Dir(name); dir != "." {
		return root.MkdirAll(dir, 0o755)
	}
	return nil
}

// pullFile writes a file under another name first, so that it is whole when it
// has its own.
func pullFile(ctx context.Context, b *sandbox, from string, fi *pocketdock.FileInfo, root *os.Root, name string, overwrite bool, out *transferred) error {
	there, err := root.Lstat(name)
	switch {
	case err == nil && there.IsDir():
		return fmt.Errorf("%s is a directory on the user's machine", name)
	case err == nil && !overwrite:
		return fmt.Errorf("%s is there already on the user's machine: pass overwrite to replace it", name)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	_, r, err := b.box.OpenFile(ctx, from, pocketdock.ReadOptions{})
	if err != nil {
		return err
	}
	defer r.Close()
	half := filepath.Join(filepath.Dir(name), ".pocketdock-"+rand.Text())
	// Only the execute bit: a sandbox gives no file of the host other rights.
	w, err := root.OpenFile(half, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644|fi.Mode.Perm()&0o111)
	if err != nil {
		return err
	}
	room := maxTransferBytes - out.Bytes
	n, err := io.Copy(w, io.LimitReader(r, room+1))
	if err == nil && n > room {
		err = errTooLarge // a sandbox makes a file of any size in no time
	}
	err = errors.Join(err, w.Close())
	if err == nil {
		err = root.Rename(half, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(half))
	}
	out.Files++
	out.Bytes += n
	return nil
}
