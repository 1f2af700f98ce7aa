//go:build linux

package fileops

import (
	"path"

	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// readDir lists a directory. What cannot be read below it does not stop the
// listing: the entries are sent, and the operation ends with the first such
// failure instead of a reply.
func (o *operation) readDir() error {
	if _, err := path.Match(o.Glob, ""); err != nil {
		return invalid(string(o.Path), "the pattern %s: %v", quote(o.Glob), err)
	}
	at, err := o.path(o.Path)
	if err != nil {
		return err
	}
	flags := 0
	if o.NoFollow {
		flags = unix.O_NOFOLLOW
	}
	top, err := openDirectory(unix.AT_FDCWD, at, flags)
	if err != nil {
		return failure("list", string(o.Path), err)
	}
	defer closeFD(top.fd)

	var missed error
	w := walk{
		depth: max(o.Depth, 1),
		enter: func(v visit) (bool, error) {
			if o.Glob != "" {
				if ok, _ := path.Match(o.Glob, v.name); !ok {
					return true, nil
				}
			}
			info := describe(wire.Path(v.rel), v.st)
			if isLink(v.st) {
				target, err := readLink(v.dir, v.name)
				if err == unix.ENOENT || err == unix.EINVAL {
					return false, nil // gone, or something else by now
				}
				info.Target = wire.Path(target)
			}
			return true, lost(o.w.QueueJSON(wire.KindEntry, wire.Entry{Stat: info}))
		},
		unreadable: func(rel string, err error) error {
			if rel == "" {
				return failure("list", string(o.Path), err)
			}
			if missed == nil && err != unix.ENOENT {
				missed = failure("list", join(trimSlashes(string(o.Path)), rel), err)
			}
			return nil
		},
	}
	if o.Depth < 0 {
		w.depth = -1
	}
	if err := w.run(top); err != nil {
		return err
	}
	if missed != nil {
		return missed
	}
	return o.reply(wire.Reply{})
}
