//go:build linux

package fileops

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// watchMask is what is asked of inotify(7).
const watchMask = unix.IN_CREATE | unix.IN_MODIFY | unix.IN_ATTRIB | unix.IN_DELETE |
	unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF

// watch reports changes until the client closes the connection, says KindEnd,
// or what is watched is gone.
//
// The bounded queue between a fast writer and a slow client is the kernel's:
// nothing is read from it while a frame waits to leave. When it overflows the
// client is told, and a recursive watch looks through the tree for directories
// that it does not know yet.
func (o *operation) watch() error {
	at, err := o.path(o.Path)
	if err != nil {
		return err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return failure("watch", string(o.Path), watchError(err))
	}
	// An os.File because a deadline ends a Read of it that waits. It is never
	// used on a path. (Close would end the Read too, but leave the number to
	// be somebody else's while a watch is being added.)
	w := &watcher{operation: o, at: trimSlashes(at), file: os.NewFile(uintptr(fd), "inotify"), fd: fd,
		paths: make(map[int]string), known: make(map[string]int)}
	defer w.file.Close()
	if err := o.id.act(w.start); err != nil {
		return failure("watch", string(o.Path), err)
	}
	if err := o.reply(wire.Reply{}); err != nil {
		return err
	}
	ended := make(chan error, 1)
	// It ends with the connection, which the caller closes at the latest.
	go func() {
		ended <- o.untilClosed()
		w.file.SetReadDeadline(time.Unix(1, 0))
	}()
	err = w.run()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = <-ended
	}
	return err
}

// untilClosed reads until the client has no more to say.
func (o *operation) untilClosed() error {
	for {
		kind, _, err := o.r.Header()
		if err != nil {
			return lost(err)
		}
		if kind == wire.KindEnd {
			return nil
		}
	}
}

// A watcher is one inotify instance and what it watches.
type watcher struct {
	*operation
	at    string
	file  *os.File
	fd    int
	paths map[int]string // by watch descriptor, relative to at
	known map[string]int // the reverse
	read  int64          // bytes of events
	dupes []scanned
	last  wire.Event
}

// scanned are entries of a new directory that were reported because they were
// there when it was first read. inotify may report their creation as well, in
// the events up to an offset of its stream.
type scanned struct {
	wd    int
	names map[string]bool
	until int64
}

func (w *watcher) start() error {
	st, err := w.status(w.at)
	if err != nil {
		return err
	}
	if err := w.add("", isDir(st)); err != nil {
		return err
	}
	if w.Recursive && isDir(st) {
		return w.addTree("", nil)
	}
	return nil
}

func (w *watcher) full(rel string) string {
	if rel == "" {
		return w.at
	}
	return w.at + "/" + rel
}

// add watches one directory, or the file that the whole watch is for.
func (w *watcher) add(rel string, dir bool) error {
	mask := uint32(watchMask)
	if rel != "" || w.NoFollow {
		mask |= unix.IN_DONT_FOLLOW
	}
	if dir {
		mask |= unix.IN_ONLYDIR
	}
	wd, err := unix.InotifyAddWatch(w.fd, w.full(rel), mask)
	if err != nil {
		return watchError(err)
	}
	// A directory that was moved is found again under the same descriptor.
	if old, ok := w.paths[wd]; ok && old != rel {
		delete(w.known, old)
	}
	w.paths[wd], w.known[rel] = rel, wd
	return nil
}

// addTree watches all directories below rel. found, if not nil, is told of
// every entry.
func (w *watcher) addTree(rel string, found func(rel string, dir bool) error) error {
	flags := unix.O_NOFOLLOW
	if rel == "" && !w.NoFollow {
		flags = 0
	}
	top, err := openDirectory(unix.AT_FDCWD, w.full(rel), flags)
	if err != nil {
		return gone(err)
	}
	defer closeFD(top.fd)
	tree := walk{
		depth: -1,
		enter: func(v visit) (bool, error) {
			path := v.rel
			if rel != "" {
				path = rel + "/" + v.rel
			}
			if isDir(v.st) {
				if err := gone(w.add(path, true)); err != nil {
					return false, failure("watch", join(w.at, path), err)
				}
			}
			if found != nil {
				return true, found(path, isDir(v.st))
			}
			return true, nil
		},
		unreadable: func(below string, err error) error {
			if gone(err) == nil || err == unix.EACCES {
				return nil // what the user may not read, they cannot watch
			}
			return failure("watch", w.full(rel)+"/"+below, err)
		},
	}
	return tree.run(top)
}

// gone passes over errors of what has just been removed or replaced, or may
// not be read.
func gone(err error) error {
	switch err {
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EACCES:
		return nil
	}
	return err
}

// watchError explains what inotify says with errors made for something else.
func watchError(err error) error {
	switch err {
	case unix.ENOSPC:
		return &wire.Error{Code: wire.CodeResource, Errno: int(unix.ENOSPC),
			Message: "too many directories are watched; the host's fs.inotify.max_user_watches sets the limit"}
	case unix.EMFILE:
		return &wire.Error{Code: wire.CodeResource, Errno: int(unix.EMFILE),
			Message: "too many watches; the host's fs.inotify.max_user_instances sets the limit"}
	}
	return err
}

// run reads events until the deadline.
func (w *watcher) run() error {
	buf := make([]byte, 16<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return err
		}
		err = w.batch(buf[:n])
		if err == nil {
			err = w.w.Flush()
			if err != nil {
				err = lost(err)
			}
		}
		if err != nil {
			return err
		}
		w.last = wire.Event{}
	}
}

func (w *watcher) batch(buf []byte) error {
	for len(buf) >= unix.SizeofInotifyEvent {
		wd, mask, name, size := parseEvent(buf)
		buf = buf[size:]
		w.read += int64(size)
		if err := w.event(wd, mask, name); err != nil {
			return err
		}
		for len(w.dupes) > 0 && w.dupes[0].until <= w.read {
			w.dupes = w.dupes[1:]
		}
	}
	return nil
}

// send reports a change, once if it comes several times in a row.
func (w *watcher) send(op, path string, dir bool) error {
	e := wire.Event{Op: op, Path: wire.Path(path), Dir: dir}
	if e == w.last {
		return nil
	}
	w.last = e
	return lost(w.w.QueueJSON(wire.KindEntry, wire.Entry{Event: &e}))
}

func (w *watcher) event(wd int, mask uint32, name string) error {
	if mask&unix.IN_Q_OVERFLOW != 0 {
		if err := w.send("overflow", "", false); err != nil {
			return err
		}
		if _, ok := w.known[""]; ok && w.Recursive {
			return w.id.act(func() error { return w.addTree("", nil) })
		}
		return nil
	}
	rel, ok := w.paths[wd]
	if !ok {
		return nil // of a watch that was removed
	}
	if name == "" {
		return w.selfEvent(wd, mask, rel)
	}
	path := name
	if rel != "" {
		path = rel + "/" + name
	}
	dir := mask&unix.IN_ISDIR != 0
	switch {
	case mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0:
		return w.appeared(wd, path, name, dir)
	case mask&unix.IN_MODIFY != 0:
		return w.send("write", path, dir)
	case mask&unix.IN_ATTRIB != 0:
		return w.send("chmod", path, dir)
	case mask&unix.IN_DELETE != 0:
		return w.send("remove", path, dir)
	case mask&unix.IN_MOVED_FROM != 0:
		if dir {
			w.forget(path)
		}
		return w.send("rename", path, dir)
	}
	return nil
}

// selfEvent is a change of what is watched, not of something in it. For a
// directory below the top its parent reports the same.
func (w *watcher) selfEvent(wd int, mask uint32, rel string) error {
	if mask&unix.IN_IGNORED != 0 {
		delete(w.paths, wd)
		if w.known[rel] == wd {
			delete(w.known, rel)
		}
		if rel == "" {
			if err := w.send("remove", "", mask&unix.IN_ISDIR != 0); err != nil {
				return err
			}
			return failure("watch", string(w.Path), unix.ENOENT)
		}
		return nil
	}
	if rel != "" {
		return nil
	}
	dir := mask&unix.IN_ISDIR != 0
	switch {
	case mask&unix.IN_MODIFY != 0:
		return w.send("write", "", dir)
	case mask&unix.IN_ATTRIB != 0:
		return w.send("chmod", "", dir)
	case mask&unix.IN_MOVE_SELF != 0:
		return w.send("rename", "", dir)
	}
	return nil
}

// appeared reports a new entry and, of a new directory in a watched tree,
// what is in it already.
func (w *watcher) appeared(wd int, path, name string, dir bool) error {
	for _, d := range w.dupes {
		if d.wd == wd && d.names[name] {
			delete(d.names, name)
			return nil
		}
	}
	if err := w.send("create", path, dir); err != nil {
		return err
	}
	if !dir || !w.Recursive {
		return nil
	}
	seen := make(map[int]map[string]bool)
	err := w.id.act(func() error {
		if err := w.add(path, true); err != nil {
			return gone(err)
		}
		return w.addTree(path, func(path string, dir bool) error {
			above, name := "", path
			if i := strings.LastIndexByte(path, '/'); i >= 0 {
				above, name = path[:i], path[i+1:]
			}
			if wd, ok := w.known[above]; ok {
				if seen[wd] == nil {
					seen[wd] = make(map[string]bool)
				}
				seen[wd][name] = true
			}
			return w.send("create", path, dir)
		})
	})
	if err != nil {
		return err
	}
	queued, err := unix.IoctlGetInt(w.fd, unix.TIOCINQ)
	if err != nil {
		return err
	}
	for wd, names := range seen {
		w.dupes = append(w.dupes, scanned{wd: wd, names: names, until: w.read + int64(queued)})
	}
	return nil
}

// forget stops watching a directory that was moved and all below it: its
// paths are no longer true. If it is still in the tree it appears again.
func (w *watcher) forget(path string) {
	for rel, wd := range w.known {
		if rel == path || strings.HasPrefix(rel, path+"/") {
			unix.InotifyRmWatch(w.fd, uint32(wd))
			delete(w.known, rel)
			delete(w.paths, wd)
		}
	}
}
