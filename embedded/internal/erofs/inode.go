package erofs

import (
	"maps"
	"slices"
)

// An Inode is a file of any type. One that several directories name, or one
// directory by several names, is a hard link; a directory has one name only.
type Inode struct {
	Mode         uint16 // type and permissions, as in st_mode
	UID, GID     uint32
	Seconds      int64 // of the last change
	Nanoseconds  uint32
	Major, Minor uint32           // of a device
	Target       string           // of a symbolic link, MaxLink bytes at most
	Data         Extent           // of a regular file
	Children     map[string]Entry // of a directory

	// Where it is in the image, known after planning.
	nid    uint64 // in slots from the metadata's start
	number uint32 // from 1; 0 before planning
	links  uint32
	parent *Inode
	names  []string // of the children, with . and .., as they are sorted
	size   int64    // of a directory's or symbolic link's data
	inline bool
	block  uint32 // of that data, unless inline
}

// An Entry of a directory.
type Entry struct {
	*Inode
	Layer int // the caller's, of no meaning for the image
}

// An Extent is a regular file's data in an image. The zero value is empty.
type Extent struct {
	Size  int64 // bytes
	block uint32
}

// A plan places the inodes: each gets its number and its offset behind the
// metadata's start before anything of the metadata is written, as directories
// name inodes by where they are.
type plan struct {
	inodes []*Inode // as they lie on the disk
	size   int64    // bytes of metadata
}

func (p *plan) add(n, parent *Inode) {
	if n.number != 0 {
		n.links++ // a hard link
		return
	}
	n.parent = parent
	p.inodes = append(p.inodes, n)
	n.number = uint32(len(p.inodes))
	n.links = 1
	inline := int64(0)
	switch n.Mode & TypeMask {
	case TypeDir:
		n.names = slices.AppendSeq([]string{".", ".."}, maps.Keys(n.Children))
		slices.Sort(n.names)
		n.size = directorySize(n.names)
	case TypeSymlink:
		n.size = int64(len(n.Target))
	}
	if n.size > 0 && n.size <= BlockSize-inodeSize {
		n.inline, inline = true, n.size
	}
	// An inode and what is inline lie in one block.
	if p.size%BlockSize+inodeSize+inline > BlockSize {
		p.size = roundUp(p.size, BlockSize)
	}
	n.nid = uint64(p.size / slot)
	p.size = roundUp(p.size+inodeSize+inline, slot)
	if n.Mode&TypeMask != TypeDir {
		return
	}
	n.links = 2
	for _, name := range n.names {
		c := n.Children[name].Inode
		if c == nil {
			continue // . and ..
		}
		if c.Mode&TypeMask == TypeDir {
			n.links++
		}
		p.add(c, n)
	}
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }
