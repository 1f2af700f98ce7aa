//go:build linux

package fileops

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"golang.org/x/sys/unix"
)

// Restore brings the file systems back to the baseline: what was made since
// is removed, and directories get their attributes back. It returns nil only
// if it has seen that all is as it was; the first thing that cannot be undone,
// such as a changed or removed file of the image, is an error. removed is how
// many files or trees were removed. Nothing but the agent may run.
func (b *Baseline) Restore(until time.Time) (removed int, err error) {
	if b.mounts != nil {
		_, text, err := readMounts()
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(text, b.mounts) {
			return 0, errors.New("the mounts are not what they were")
		}
	}
	r := &restoring{b: b, until: until}
	for _, file := range b.places.files {
		sum, err := b.fileSum(file)
		if err != nil {
			return 0, err
		}
		if sum != b.files[b.key(file)] {
			return 0, fmt.Errorf("%s was changed", quote(file))
		}
	}
	for _, tree := range b.places.trees {
		if err := b.eachTop(tree, r.dir); err != nil {
			return r.removed, err
		}
	}
	return r.removed, nil
}

// restoring is a walk that brings a baseline back.
type restoring struct {
	b       *Baseline
	until   time.Time
	removed int
}

// dir restores one directory that the baseline has, and those below.
func (r *restoring) dir(fd int, path string, depth int) error {
	want := r.b.dirs[r.b.key(path)]
	if want == nil {
		return fmt.Errorf("%s was not a directory", quote(path))
	}
	if want.whole {
		if is, err := r.b.state(fd); err == nil && is.birth == want.birth && is.ctime == want.ctime && is.dev == want.dev {
			return nil
		}
	}
	if err := r.sweep(fd, path); err != nil {
		return err
	}
	if err := rewind(fd); err != nil {
		return fmt.Errorf("%s: %w", quote(path), err)
	}
	found, inMemory := 0, onTmpfs(fd)
	for {
		names, err := someNames(fd, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", quote(path), err)
		}
		if len(names) == 0 {
			break
		}
		found += len(names)
		if time.Now().After(r.until) {
			return fmt.Errorf("%s: %w", quote(path), errTooLong)
		}
		for _, name := range names {
			if err := r.entry(fd, path, name, depth, inMemory); err != nil {
				return err
			}
		}
	}
	if found != want.entries {
		return fmt.Errorf("%s has %d entries and had %d: files of the image were removed", quote(path+"/"), found, want.entries)
	}
	if err := r.attributes(fd, want); err != nil {
		return fmt.Errorf("%s: %w", quote(path+"/"), err)
	}
	return nil
}

// sweep removes what the baseline does not have, until it sees nothing more
// of the kind from the start of the directory to its end.
func (r *restoring) sweep(fd int, path string) error {
	for range maxRescans {
		removed := r.removed
		if err := rewind(fd); err != nil {
			return fmt.Errorf("%s: %w", quote(path), err)
		}
		for {
			names, err := someNames(fd, nil)
			if err != nil {
				return fmt.Errorf("%s: %w", quote(path), err)
			}
			if len(names) == 0 {
				break
			}
			for _, name := range names {
				if r.b.has(path + "/" + name) {
					continue
				}
				if err := removeUntil(fd, name, r.until); err != nil && err != unix.ENOENT {
					return fmt.Errorf("%s: remove: %w", quote(path+"/"+name), err)
				}
				r.removed++
			}
		}
		if r.removed == removed {
			return nil
		}
	}
	return fmt.Errorf("%s: there is always something left", quote(path+"/"))
}

// has reports whether something was at path.
func (b *Baseline) has(path string) bool {
	k := b.key(path)
	if _, ok := b.files[k]; ok {
		return true
	}
	return b.dirs[k] != nil
}

func rewind(fd int) error {
	_, err := unix.Seek(fd, 0, unix.SEEK_SET)
	return err
}

// entry looks at what is in a directory, which the baseline has.
func (r *restoring) entry(fd int, path, name string, depth int, inMemory bool) error {
	at := path + "/" + name
	fail := func(err error) error { return fmt.Errorf("%s: %w", quote(at), err) }
	if r.b.places.mounted[at] {
		return nil
	}
	sum, file := r.b.files[r.b.key(at)]
	if !file {
		below, err := openDirectory(fd, name, unix.O_NOFOLLOW)
		if err != nil {
			return fail(err)
		}
		defer closeFD(below.fd)
		return r.dir(below.fd, at, depth+1)
	}
	st, err := statAt(fd, name, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return fail(err)
	}
	now, err := r.b.fileIn(fd, name, st, inMemory)
	if err != nil {
		return fail(err)
	}
	if now != sum {
		return fail(errors.New("it was changed"))
	}
	return nil
}

// attributes gives a directory those that it had, and looks whether it has.
func (r *restoring) attributes(fd int, want *dirState) error {
	is, err := r.b.state(fd)
	if err != nil {
		return err
	}
	if is.dev != want.dev || is.mode&unix.S_IFMT != want.mode&unix.S_IFMT {
		return errors.New("it is another one")
	}
	if is.ctime == want.ctime {
		return nil // nothing was done to it
	}
	extra, err := r.b.extra(fd)
	if err != nil {
		return err
	}
	if extra != want.extra {
		return errors.New("its extended attributes were changed")
	}
	if is.uid != want.uid || is.gid != want.gid {
		if err := unix.Fchown(fd, int(want.uid), int(want.gid)); err != nil {
			return fmt.Errorf("owner: %w", err)
		}
		is.mode = 0 // chown may have taken bits away
	}
	if is.mode != want.mode {
		if err := unix.Fchmod(fd, want.mode&permissions); err != nil {
			return fmt.Errorf("mode: %w", err)
		}
	}
	if is.mtime != want.mtime {
		times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(want.mtime)}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, procFD(fd), times, 0); err != nil {
			return fmt.Errorf("time: %w", err)
		}
	}
	if is, err = r.b.state(fd); err != nil {
		return err
	}
	if is.mode != want.mode || is.uid != want.uid || is.gid != want.gid || is.mtime != want.mtime {
		return errors.New("its attributes cannot be restored")
	}
	want.ctime = is.ctime
	return nil
}

// Keep removes everything but some names from the directory open as fd.
func Keep(fd int, names []string, until time.Time) error {
	b := &Baseline{dirs: map[uint64]*dirState{}, files: map[uint64]uint64{}}
	b.seed = maphash.MakeSeed()
	for _, name := range names {
		b.files[b.key("/"+name)] = mountedOn
	}
	again, err := openDirectory(fd, ".", 0) // with an offset of its own
	if err != nil {
		return err
	}
	defer closeFD(again.fd)
	return (&restoring{b: b, until: until}).sweep(again.fd, "")
}

// Files is how many files the baseline has.
func (b *Baseline) Files() int { return len(b.files) + len(b.dirs) }
