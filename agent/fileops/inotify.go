//go:build linux

package fileops

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// parseEvent reads the first event of what inotify gave: struct inotify_event
// and a name filled up with zeros.
func parseEvent(buf []byte) (wd int, mask uint32, name string, size int) {
	wd = int(int32(binary.NativeEndian.Uint32(buf)))
	mask = binary.NativeEndian.Uint32(buf[4:])
	length := int(binary.NativeEndian.Uint32(buf[12:]))
	size = min(unix.SizeofInotifyEvent+length, len(buf))
	raw, _, _ := bytes.Cut(buf[unix.SizeofInotifyEvent:size], []byte{0})
	return wd, mask, string(raw), size
}
