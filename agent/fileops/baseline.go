//go:build linux

package fileops

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A Baseline is what was in a sandbox's file systems at one moment, so that
// all that was made since can be removed, and all that was changed is found.
//
// It rests on st_ctime, which the kernel sets to the time of any change of a
// file, and nothing in a sandbox can set: a file whose ctime is what it was is
// as it was. On overlayfs a file of the image that is opened for writing gets
// a new inode, and so a new ctime. The one gap is a file on tmpfs that is
// written through a mapping: of those the content is looked at.
//
// Of each file a hash is kept, 16 bytes in all, and of directories what can
// be restored. The hash has a secret seed: no name can be made to collide.
//
// Nor does every file have to be looked at: overlayfs puts a directory of the
// image into the container's own layer, as a new inode with a time of birth of
// its own, before anything below it can be changed. One that is still the
// image's is as it was with all that is in it.
type Baseline struct {
	seed   maphash.Seed
	mounts []byte // mountinfo
	places *places
	files  map[uint64]uint64 // hash of the path to what the file was
	dirs   map[uint64]*dirState
}

// dirState is what a directory was. Its ctime changes with its entries.
type dirState struct {
	mode, uid, gid uint32
	dev            uint64
	mtime, ctime   int64
	birth          int64  // 0: not known
	extra          uint64 // of extended attributes and flags
	entries        int
	// whole: it is the image's, and as long as it has not been born again
	// nothing below has changed.
	whole bool
}

// Bounds of a baseline.
const (
	// maxBaseline is how many files are kept in mind, some 40 bytes each.
	maxBaseline = 400_000
	maxDepth    = 256
	// maxHashed is how large a file on tmpfs may be, in bytes.
	maxHashed = 1 << 20
)

// TakeBaseline looks at all that the sandbox can write to. own is the agent's
// directory, which is left out. It fails where a change could not be seen or
// undone. Nothing but the agent may run.
func TakeBaseline(own string, until time.Time) (*Baseline, error) {
	mounts, text, err := readMounts()
	if err != nil {
		return nil, err
	}
	p, err := choose(mounts, own)
	if err != nil {
		return nil, err
	}
	b, err := baselineOf(p, until)
	if err != nil {
		return nil, err
	}
	b.mounts = text
	return b, nil
}

func baselineOf(p *places, until time.Time) (*Baseline, error) {
	b := &Baseline{seed: maphash.MakeSeed(), places: p, files: map[uint64]uint64{}, dirs: map[uint64]*dirState{}}
	t := &taking{b: b, until: until}
	for _, file := range p.files {
		sum, err := b.fileSum(file)
		if err != nil {
			return nil, err
		}
		b.files[b.key(file)] = sum
	}
	for _, tree := range p.trees {
		err := b.eachTop(tree, func(fd int, path string, depth int) error {
			t.born = 0
			if path == "" && onOverlay(fd) {
				t.born = birth(fd)
			}
			_, err := t.dir(fd, path, depth)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return b, t.settle()
}

// eachTop calls f with the open directory at the top of a tree.
func (b *Baseline) eachTop(tree string, f func(fd int, path string, depth int) error) error {
	d, err := openDirectory(unix.AT_FDCWD, tree, unix.O_NOFOLLOW)
	if err != nil {
		return fmt.Errorf("%s: %w", quote(tree), err)
	}
	defer closeFD(d.fd)
	if tree == "/" {
		tree = ""
	}
	return f(d.fd, tree, 0)
}

func (b *Baseline) key(path string) uint64 { return maphash.String(b.seed, path) }

// hash is of some numbers.
func (b *Baseline) hash(numbers ...int64) uint64 {
	var buf [8 * 8]byte
	text := buf[:0]
	for _, n := range numbers {
		text = binary.NativeEndian.AppendUint64(text, uint64(n))
	}
	return maphash.Bytes(b.seed, text)
}

// mountedOn is the hash that stands for a file that something is mounted on.
const mountedOn = 1

// sum is what a file is, but for its content, which the ctime stands for. Of
// a device the mtime changes with its use.
func (b *Baseline) sum(st *unix.Stat_t) uint64 {
	mtime := st.Mtim
	if isDevice(st) {
		mtime = unix.Timespec{}
	}
	s := b.hash(int64(st.Mode), int64(st.Uid), int64(st.Gid), st.Size, int64(st.Ino),
		int64(st.Rdev), mtime.Nano(), st.Ctim.Nano())
	return max(s, mountedOn+1)
}

func isDevice(st *unix.Stat_t) bool {
	t := st.Mode & unix.S_IFMT
	return t == unix.S_IFCHR || t == unix.S_IFBLK
}

// fileSum is the sum of a file that is mounted by itself. A device may be the
// host's own, which others use too.
func (b *Baseline) fileSum(path string) (uint64, error) {
	st, err := lstat(path)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s: %w", quote(path), err)
	case isDevice(st):
		return b.hash(int64(st.Mode), int64(st.Uid), int64(st.Gid), int64(st.Rdev)), nil
	case !isRegular(st):
		return 0, fmt.Errorf("%s is mounted, and neither a file nor a directory", quote(path))
	}
	content, err := b.contentSum(unix.AT_FDCWD, path)
	return b.hash(int64(b.sum(st)), int64(content)), err
}

// contentSum is a hash of a small file's content.
func (b *Baseline) contentSum(dir int, path string) (uint64, error) {
	fd, err := openAt(dir, path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", quote(path), err)
	}
	defer closeFD(fd)
	var h maphash.Hash
	h.SetSeed(b.seed)
	buf := make([]byte, 4<<10)
	for size := 0; ; {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", quote(path), err)
		}
		if n == 0 {
			return h.Sum64(), nil
		}
		if size += n; size > maxHashed {
			return 0, fmt.Errorf("%s is in memory and has more than %d bytes", quote(path), maxHashed)
		}
		h.Write(buf[:n])
	}
}

// state is a directory's, without the number of its entries.
func (b *Baseline) state(fd int) (*dirState, error) {
	st, err := statFD(fd)
	if err != nil {
		return nil, err
	}
	return &dirState{mode: st.Mode, uid: st.Uid, gid: st.Gid, dev: uint64(st.Dev),
		mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(), birth: birth(fd)}, nil
}

// birth is when the inode of a directory was made; 0 if that is not known.
func birth(fd int) int64 {
	var st unix.Statx_t
	err := retry(func() error { return unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &st) })
	if err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
}

func onOverlay(fd int) bool {
	var st unix.Statfs_t
	err := retry(func() error { return unix.Fstatfs(fd, &st) })
	return err == nil && st.Type == unix.OVERLAYFS_SUPER_MAGIC
}

// extra is a hash of a directory's extended attributes, ACLs among them, and
// of the flags that its owner may set.
func (b *Baseline) extra(fd int) (uint64, error) {
	n, err := unix.Flistxattr(fd, nil)
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		n, err = 0, nil
	}
	list := make([]byte, n) // the kernel allows 64 KiB
	if err == nil && n > 0 {
		n, err = unix.Flistxattr(fd, list)
	}
	if err != nil {
		return 0, err
	}
	var h maphash.Hash
	h.SetSeed(b.seed)
	names := bytes.Split(bytes.TrimSuffix(list[:n], []byte{0}), []byte{0})
	slices.SortFunc(names, bytes.Compare)
	for _, name := range names {
		if len(name) == 0 {
			continue
		}
		n, err := unix.Fgetxattr(fd, string(name), nil)
		value := make([]byte, max(n, 0))
		if err == nil && n > 0 {
			n, err = unix.Fgetxattr(fd, string(name), value)
		}
		if err != nil {
			return 0, err
		}
		h.Write(name)
		h.WriteByte(0)
		fmt.Fprintf(&h, "%d,", n)
		h.Write(value[:n])
	}
	// FS_IOC_GETFLAGS; file systems without it have no such flags.
	const settable = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80 | 0x10000 | 0x20000 | 0x800000 | 0x20000000
	if flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS); err == nil {
		fmt.Fprintf(&h, "flags %x", flags&settable)
	}
	return h.Sum64(), nil
}

// taking is a walk that fills a baseline.
type taking struct {
	b      *Baseline
	until  time.Time
	latest int64 // ctime
	// born is when the container's own layer of this tree was made, and so
	// before everything in it; 0 if there is none.
	born int64
}

var errTooLong = errors.New("it takes too long")

// dir takes note of a directory, and reports whether nothing in it can change
// unless it is born again. A file with several names is an exception: where
// overlayfs has an index, a change by one name shows under the others.
func (t *taking) dir(fd int, path string, depth int) (whole bool, err error) {
	b := t.b
	fail := func(name string, err error) (bool, error) { return false, fmt.Errorf("%s: %w", quote(path+name), err) }
	if depth > maxDepth {
		return fail("", errors.New("the directories are too deep"))
	}
	d, err := b.state(fd)
	if err != nil {
		return fail("", err)
	}
	if d.extra, err = b.extra(fd); err != nil {
		return fail("", err)
	}
	inMemory := onTmpfs(fd)
	whole = d.birth != 0 && d.birth < t.born
	for {
		if time.Now().After(t.until) {
			return fail("", errTooLong)
		}
		names, err := someNames(fd, nil)
		if err != nil {
			return fail("", err)
		}
		if len(names) == 0 {
			break
		}
		d.entries += len(names)
		if len(b.files)+len(b.dirs)+len(names) > maxBaseline {
			return fail("", fmt.Errorf("the sandbox has more than %d files", maxBaseline))
		}
		for _, name := range names {
			at := path + "/" + name
			if b.places.mounted[at] {
				if _, single := b.files[b.key(at)]; !single {
					b.files[b.key(at)] = mountedOn
				}
				continue
			}
			st, err := statAt(fd, name, unix.AT_SYMLINK_NOFOLLOW)
			if err != nil {
				return fail("/"+name, err)
			}
			t.latest = max(t.latest, st.Ctim.Nano())
			if !isDir(st) {
				if b.files[b.key(at)], err = b.fileIn(fd, name, st, inMemory); err != nil {
					return fail("/"+name, err)
				}
				whole = whole && st.Nlink == 1
				continue
			}
			below, err := openDirectory(fd, name, unix.O_NOFOLLOW)
			if err != nil {
				return fail("/"+name, err)
			}
			in, err := t.dir(below.fd, at, depth+1)
			closeFD(below.fd)
			if err != nil {
				return false, err
			}
			whole = whole && in
		}
	}
	t.latest = max(t.latest, d.ctime)
	d.whole = whole
	b.dirs[b.key(path)] = d
	return whole, nil
}

// fileIn is the sum of a file in a directory.
func (b *Baseline) fileIn(dir int, name string, st *unix.Stat_t, inMemory bool) (uint64, error) {
	s := b.sum(st)
	if !inMemory || !isRegular(st) {
		return s, nil
	}
	content, err := b.contentSum(dir, name)
	return max(b.hash(int64(s), int64(content)), mountedOn+1), err
}

// onTmpfs: writes through a mapping leave no trace in a file's times.
func onTmpfs(fd int) bool {
	var st unix.Statfs_t
	err := retry(func() error { return unix.Fstatfs(fd, &st) })
	return err != nil || st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC
}

// settle waits until the clock that ctimes are taken from has gone past every
// ctime, so that each change from now on has another one. It moves in ticks
// of up to 10 ms.
func (t *taking) settle() error {
	for {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now); err != nil {
			return err
		}
		if now.Nano() > t.latest {
			return nil
		}
		if now.Nano()+int64(time.Second) < t.latest {
			return errors.New("the image has files that were changed in the future, by this machine's clock")
		}
		time.Sleep(time.Millisecond)
	}
}
