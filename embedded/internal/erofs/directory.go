package erofs

import (
	"encoding/binary"
	"io"
)

// A directory is blocks of entries, which lie sorted by name: in each block
// first what is of a fixed size, then the names. No entry crosses a block.

// blockOf is how many of the names fit in one block, and the bytes they take.
func blockOf(names []string) (n, size int) {
	for _, name := range names {
		if size+direntSize+len(name) > BlockSize {
			break
		}
		size += direntSize + len(name)
		n++
	}
	return n, size
}

func directorySize(names []string) (size int64) {
	for len(names) > 0 {
		n, used := blockOf(names)
		if names = names[n:]; len(names) > 0 {
			used = BlockSize
		}
		size += int64(used)
	}
	return size
}

// writeEntries writes a directory's data, of n.size bytes.
func (n *Inode) writeEntries(w io.Writer) error {
	var block [BlockSize]byte
	for names := n.names; len(names) > 0; {
		count, used := blockOf(names)
		clear(block[:])
		at := count * direntSize
		for i, name := range names[:count] {
			c := n.entry(name)
			e := block[i*direntSize:]
			binary.LittleEndian.PutUint64(e, c.nid)
			binary.LittleEndian.PutUint16(e[8:], uint16(at))
			e[10] = direntType(c.Mode)
			at += copy(block[at:], name)
		}
		if names = names[count:]; len(names) > 0 {
			used = BlockSize
		}
		if _, err := w.Write(block[:used]); err != nil {
			return err
		}
	}
	return nil
}

func (n *Inode) entry(name string) *Inode {
	switch name {
	case ".":
		return n
	case "..":
		return n.parent
	}
	return n.Children[name].Inode
}
