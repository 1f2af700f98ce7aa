package pocketdock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// FileInfo describes a file in a container.
type FileInfo struct {
	// Path as asked for; in a list, relative to the directory listed.
	Path     string
	Size     int64 // bytes
	Mode     fs.FileMode
	ModTime  time.Time
	UID, GID int    // inside the container
	Target   string // of a symbolic link
}

// IsDir reports a directory.
func (i *FileInfo) IsDir() bool { return i.Mode.IsDir() }

// FileOptions are the optional properties of an operation on files.
type FileOptions struct {
	// User acts as that user: "name", "uid", "name:group" or "uid:gid".
	// Empty: the container's user. "root" can do everything.
	User string
	// Mode is the permissions of what is made. 0: those that the file has,
	// 0644 for a new file, 0755 for a new directory.
	Mode fs.FileMode
	// ModTime of a written file. Zero: now.
	ModTime time.Time
	// NoFollow acts on a symbolic link itself.
	NoFollow bool
}

func (o *FileOptions) wire(p string) *wire.File {
	f := &wire.File{Path: wire.Path(p), User: o.User, NoFollow: o.NoFollow}
	if o.Mode != 0 {
		m := unixMode(o.Mode) & 0o7777
		f.Mode = &m
	}
	if !o.ModTime.IsZero() {
		f.ModTime = o.ModTime.UnixNano()
	}
	return f
}

// checkPath refuses what no path can be.
func checkPath(p string) error {
	const max = 4095 // PATH_MAX, less its zero
	if p == "" || len(p) > max || strings.ContainsRune(p, 0) {
		return invalidf("path %.100q: must have 1 to %d bytes and none of them zero", p, max)
	}
	return nil
}

// fileOp performs an operation that answers with a description.
func (c *Container) fileOp(ctx context.Context, op string, f *wire.File) (*FileInfo, error) {
	if err := checkPath(string(f.Path)); err != nil {
		return nil, err
	}
	x, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	st, err := x.file(ctx, op, f)
	if err != nil {
		return nil, err
	}
	return fileInfo(st), nil
}

func fileInfo(st *wire.Stat) *FileInfo {
	return &FileInfo{Path: string(st.Path), Size: max(0, st.Size), Mode: goMode(st.Mode), ModTime: time.Unix(0, st.MTime),
		UID: int(st.UID), GID: int(st.GID), Target: string(st.Target)}
}

// goMode is fs.FileMode of st_mode (stat(2)).
func goMode(u uint32) fs.FileMode {
	m := fs.FileMode(u & 0o777)
	for _, b := range []struct {
		bit uint32
		is  fs.FileMode
	}{{0o4000, fs.ModeSetuid}, {0o2000, fs.ModeSetgid}, {0o1000, fs.ModeSticky}} {
		if u&b.bit != 0 {
			m |= b.is
		}
	}
	switch u & 0o170000 {
	case 0o040000:
		m |= fs.ModeDir
	case 0o120000:
		m |= fs.ModeSymlink
	case 0o010000:
		m |= fs.ModeNamedPipe
	case 0o140000:
		m |= fs.ModeSocket
	case 0o060000:
		m |= fs.ModeDevice
	case 0o020000:
		m |= fs.ModeDevice | fs.ModeCharDevice
	}
	return m
}

// Stat describes a file. A relative path is taken from the container's
// working directory, here and everywhere.
func (c *Container) Stat(ctx context.Context, path string, opts FileOptions) (*FileInfo, error) {
	return c.fileOp(ctx, wire.OpStat, opts.wire(path))
}

// Exists reports whether there is something at path.
func (c *Container) Exists(ctx context.Context, path string) (bool, error) {
	_, err := c.Stat(ctx, path, FileOptions{NoFollow: true, User: "0"})
	if errors.Is(err, ErrFileNotFound) {
		return false, nil
	}
	return err == nil, err
}

// WriteFile writes a file, whole or not at all: it is written under another
// name and renamed. Missing parent directories are made.
func (c *Container) WriteFile(ctx context.Context, path string, data []byte, opts FileOptions) error {
	return c.CopyIn(ctx, path, bytes.NewReader(data), opts)
}

// CopyIn is WriteFile of a reader, in constant memory. If it fails, the file
// is what it was before. An [*os.File] at its start keeps its holes.
func (c *Container) CopyIn(ctx context.Context, path string, r io.Reader, opts FileOptions) error {
	if err := checkPath(path); err != nil {
		return err
	}
	x, err := c.enter(ctx)
	if err != nil {
		return err
	}
	return copyIn(ctx, x, opts.wire(path), r, nil)
}

// MaxReadFile is the largest file that ReadFile returns, in bytes.
const MaxReadFile = 1 << 30

// ReadFile returns a file's content. A file of more than MaxReadFile bytes is
// an error: see [Container.OpenFile].
func (c *Container) ReadFile(ctx context.Context, path string) ([]byte, error) {
	info, r, err := c.OpenFile(ctx, path, ReadOptions{})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	// The size is the sandbox's word: it saves growing for small files, and
	// no more is allocated than arrives for large ones.
	var buf bytes.Buffer
	buf.Grow(int(min(info.Size, 1<<20)) + bytes.MinRead)
	n, err := io.Copy(&buf, io.LimitReader(r, MaxReadFile+1))
	if err != nil {
		return nil, err
	}
	if n > MaxReadFile {
		return nil, &FileError{Op: "read", Path: path, Container: c.name,
			Err: fmt.Errorf("more than %d bytes; read it as a stream: %w", int64(MaxReadFile), ErrInvalid)}
	}
	return buf.Bytes(), nil
}

// ReadOptions are the optional properties of reading a file.
type ReadOptions struct {
	// User as in [FileOptions].
	User string
	// Offset of the first byte; a negative one counts from the end.
	Offset int64
	// Length in bytes. 0: to the end.
	Length int64
}

// OpenFile reads a regular file as a stream; the caller closes it. A read
// error other than io.EOF means that the content is not whole. It ends with the
// context.
func (c *Container) OpenFile(ctx context.Context, path string, opts ReadOptions) (*FileInfo, io.ReadCloser, error) {
	if err := checkPath(path); err != nil {
		return nil, nil, err
	}
	if opts.Length < 0 {
		return nil, nil, invalidf("length %d: must not be negative", opts.Length)
	}
	x, err := c.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	st, r, err := x.open(ctx, wire.OpRead, &wire.File{Path: wire.Path(path), User: opts.User, Offset: opts.Offset, Length: opts.Length})
	if err != nil {
		return nil, nil, err
	}
	return fileInfo(st), r, nil
}

// FilesOptions select what ListFiles lists.
type FilesOptions struct {
	// User as in [FileOptions].
	User string
	// Depth is how many levels are listed: 0 and 1 are the directory itself,
	// negative is everything below it.
	Depth int
	// Glob selects by base name, as in [path.Match]. Empty: all.
	Glob string
}

// maxList bounds what a sandbox can make ListFiles hold.
const maxList = 1 << 20

// maxListBytes bounds it when the names are long, a quarter of a kilobyte each.
const maxListBytes = maxList << 8

// ListFiles lists a directory, sorted by name. Symbolic links are listed, not
// followed. More than a million files are an error.
func (c *Container) ListFiles(ctx context.Context, dir string, opts FilesOptions) ([]FileInfo, error) {
	if err := checkPath(dir); err != nil {
		return nil, err
	}
	x, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	var list []FileInfo
	f := &wire.File{Path: wire.Path(dir), User: opts.User, Depth: opts.Depth, Glob: opts.Glob}
	err = x.entries(ctx, wire.OpReadDir, f, func(e *wire.Entry) error {
		if e.Stat == nil {
			return nil
		}
		if len(list) == maxList {
			return &FileError{Op: "list", Path: dir, Container: c.name, Err: fmt.Errorf("more than %d files: %w", maxList, ErrInvalid)}
		}
		list = append(list, *fileInfo(e.Stat))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Mkdir makes a directory and its missing parents. One that exists is no error.
func (c *Container) Mkdir(ctx context.Context, path string, opts FileOptions) error {
	f := opts.wire(path)
	f.Parents = true
	_, err := c.fileOp(ctx, wire.OpMkdir, f)
	return err
}

// Remove removes a file, or a directory with all that it contains. That it is
// not there is an error of kind ErrFileNotFound.
func (c *Container) Remove(ctx context.Context, path string, opts FileOptions) error {
	f := opts.wire(path)
	f.Recursive = true
	_, err := c.fileOp(ctx, wire.OpRemove, f)
	return err
}

// Move renames a file or directory. What is at the new path is replaced if it
// can be, as by rename(2).
func (c *Container) Move(ctx context.Context, from, to string, opts FileOptions) error {
	if err := checkPath(to); err != nil {
		return err
	}
	f := opts.wire(from)
	f.To, f.Replace = wire.Path(to), true
	_, err := c.fileOp(ctx, wire.OpMove, f)
	return err
}

// Chmod sets a file's permissions.
func (c *Container) Chmod(ctx context.Context, path string, mode fs.FileMode, opts FileOptions) error {
	f := opts.wire(path)
	m := unixMode(mode) & 0o7777
	f.Mode = &m
	_, err := c.fileOp(ctx, wire.OpChmod, f)
	return err
}

// Chown sets a file's owner, "user", "user:group", names or IDs; it needs
// FileOptions.User "root", as everywhere.
func (c *Container) Chown(ctx context.Context, path, owner string, opts FileOptions) error {
	f := opts.wire(path)
	f.Owner = owner
	_, err := c.fileOp(ctx, wire.OpChown, f)
	return err
}

// Symlink makes path a symbolic link that says target.
func (c *Container) Symlink(ctx context.Context, target, path string, opts FileOptions) error {
	f := opts.wire(path)
	f.To = wire.Path(target)
	_, err := c.fileOp(ctx, wire.OpSymlink, f)
	return err
}

// A FileEvent is one change in a watched directory.
type FileEvent struct {
	// Op is "create", "write", "remove", "rename", "chmod", or "overflow":
	// events were lost, look again.
	Op   string
	Path string // relative to the watched directory
	Dir  bool
}

// WatchOptions are the optional properties of a watch.
type WatchOptions struct {
	// User as in [FileOptions].
	User string
	// Recursive watches what is below the directory, too.
	Recursive bool
	// Ready, if not nil, is called once the watch is in place.
	Ready func()
}

// Watch calls each with every change in a directory until ctx ends, or each
// returns an error, which it returns then.
func (c *Container) Watch(ctx context.Context, dir string, opts WatchOptions, each func(FileEvent) error) error {
	if err := checkPath(dir); err != nil {
		return err
	}
	x, err := c.enter(ctx)
	if err != nil {
		return err
	}
	f := &wire.File{Path: wire.Path(dir), User: opts.User, Recursive: opts.Recursive}
	return x.entries(ctx, wire.OpWatch, f, func(e *wire.Entry) error {
		if e.Event == nil {
			if opts.Ready != nil {
				opts.Ready()
			}
			return nil
		}
		return each(FileEvent{Op: e.Event.Op, Path: string(e.Event.Path), Dir: e.Event.Dir})
	})
}
