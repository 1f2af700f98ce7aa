package pocketdock

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"
)

// FS is a directory of the container as a read-only [fs.FS], which is also an
// [fs.ReadDirFS], [fs.ReadFileFS], [fs.StatFS] and [fs.ReadLinkFS]. Files that
// it opens are read as streams, and are an [io.Seeker] and [io.ReaderAt]. It
// acts as the container's user.
//
// ctx is used for as long as the FS and files opened in it are. Nothing is
// kept: every call asks the container, and what it sees is the file system of
// that moment. Symbolic links are followed, also out of dir: it is a view, not
// a fence, of files that are the sandbox's anyway. A name that is not UTF-8 is
// listed, but cannot be opened: io/fs has no such paths. Listing a directory
// needs an agent; see [Info.ExecPath].
func (c *Container) FS(ctx context.Context, dir string) fs.FS {
	return &containerFS{c: c, ctx: ctx, dir: dir}
}

// containerFS keeps a context, against the rule, because io/fs has no place
// for one.
type containerFS struct {
	c   *Container
	ctx context.Context
	dir string
}

var (
	_ fs.ReadDirFS  = (*containerFS)(nil)
	_ fs.ReadFileFS = (*containerFS)(nil)
	_ fs.StatFS     = (*containerFS)(nil)
	_ fs.ReadLinkFS = (*containerFS)(nil)
)

// at is the path in the container of a name.
func (f *containerFS) at(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if name == "." {
		return f.dir, nil
	}
	return f.dir + "/" + name, nil
}

// fsError has the kind that io/fs knows beside our own.
func fsError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	for ours, theirs := range map[error]error{ErrFileNotFound: fs.ErrNotExist, ErrPermission: fs.ErrPermission} {
		if errors.Is(err, ours) {
			err = &fsCause{err, theirs}
			break
		}
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

type fsCause struct{ err, kind error }

func (e *fsCause) Error() string   { return e.err.Error() }
func (e *fsCause) Unwrap() []error { return []error{e.err, e.kind} }

func (f *containerFS) stat(op, name string, noFollow bool) (fs.FileInfo, error) {
	p, err := f.at(op, name)
	if err != nil {
		return nil, err
	}
	info, err := f.c.Stat(f.ctx, p, FileOptions{NoFollow: noFollow})
	if err != nil {
		return nil, fsError(op, name, err)
	}
	return fsInfo{info, path.Base(name)}, nil
}

func (f *containerFS) Stat(name string) (fs.FileInfo, error)  { return f.stat("stat", name, false) }
func (f *containerFS) Lstat(name string) (fs.FileInfo, error) { return f.stat("lstat", name, true) }

func (f *containerFS) ReadLink(name string) (string, error) {
	info, err := f.stat("readlink", name, true)
	if err != nil {
		return "", err
	}
	if info.Mode().Type() != fs.ModeSymlink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return info.Sys().(*FileInfo).Target, nil
}

func (f *containerFS) ReadFile(name string) ([]byte, error) {
	p, err := f.at("read", name)
	if err != nil {
		return nil, err
	}
	b, err := f.c.ReadFile(f.ctx, p)
	return b, fsError("read", name, err)
}

func (f *containerFS) ReadDir(name string) ([]fs.DirEntry, error) {
	p, err := f.at("readdir", name)
	if err != nil {
		return nil, err
	}
	list, err := f.c.ListFiles(f.ctx, p, FilesOptions{})
	if err != nil {
		return nil, fsError("readdir", name, err)
	}
	entries := make([]fs.DirEntry, len(list))
	for i := range list {
		entries[i] = fs.FileInfoToDirEntry(fsInfo{&list[i], list[i].Path})
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// Open opens a file or directory. Of what is neither (a device, a FIFO) only
// the description can be had.
func (f *containerFS) Open(name string) (fs.File, error) {
	info, err := f.stat("open", name, false)
	if err != nil {
		return nil, err
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return &fsDir{f: f, name: name, info: info}, nil
	case 0:
	default:
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("neither a file nor a directory")}
	}
	p, err := f.at("open", name)
	if err != nil {
		return nil, err
	}
	// The stream's own description, should the file have changed meanwhile.
	st, r, err := f.c.OpenFile(f.ctx, p, ReadOptions{})
	if err != nil {
		return nil, fsError("open", name, err)
	}
	return &fsFile{f: f, name: name, path: p, info: fsInfo{st, path.Base(name)}, r: r}, nil
}

// fsInfo is a FileInfo as io/fs has it; Sys is the [*FileInfo].
type fsInfo struct {
	info *FileInfo
	name string
}

func (i fsInfo) Name() string       { return i.name }
func (i fsInfo) Size() int64        { return i.info.Size }
func (i fsInfo) Mode() fs.FileMode  { return i.info.Mode }
func (i fsInfo) ModTime() time.Time { return i.info.ModTime }
func (i fsInfo) IsDir() bool        { return i.info.IsDir() }
func (i fsInfo) Sys() any           { return i.info }

// fsDir is an open directory, listed when it is first read.
type fsDir struct {
	f      *containerFS
	name   string
	info   fs.FileInfo
	listed bool
	rest   []fs.DirEntry
}

func (d *fsDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *fsDir) Close() error               { return nil }

func (d *fsDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
}

func (d *fsDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.listed {
		list, err := d.f.ReadDir(d.name)
		if err != nil {
			return nil, err
		}
		d.listed, d.rest = true, list
	}
	if n <= 0 {
		n = len(d.rest)
	} else if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	list := d.rest[:n:n]
	d.rest = d.rest[n:]
	return list, nil
}
