package erofs

import (
	"encoding/binary"
	"hash/crc32"
)

// Sizes of what is on the disk, in bytes. The block is the page: gVisor maps
// files from the image, and its pages have 4 KiB.
const (
	blockBits  = 12
	BlockSize  = 1 << blockBits
	slot       = 32 // an inode's number counts these, from the metadata's start
	inodeSize  = 64 // the extended form: 32-bit owners, a time of its own
	direntSize = 12

	superOffset = 1024
	superSize   = 128
	magic       = 0xe0f5e1e2
)

// What an image may need of a reader. Nothing of it is incompatible.
const (
	compatChecksum = 1 << 0
	compatTime     = 1 << 1
)

// Layouts of an inode's data.
const (
	layoutPlain  = 0 // whole blocks
	layoutInline = 2 // behind the inode, in the same block
)

// Bounds of the format, of Linux and of gVisor.
const (
	MaxName = 255  // bytes
	MaxLink = 4095 // bytes of a symbolic link's target
)

// Types, as in st_mode.
const (
	TypeMask    = 0o170000
	TypeSocket  = 0o140000
	TypeSymlink = 0o120000
	TypeRegular = 0o100000
	TypeBlock   = 0o060000
	TypeDir     = 0o040000
	TypeChar    = 0o020000
	TypeFIFO    = 0o010000
)

// direntType is how a directory's entry says the type of what it names.
func direntType(mode uint16) byte {
	switch mode & TypeMask {
	case TypeRegular:
		return 1
	case TypeDir:
		return 2
	case TypeChar:
		return 3
	case TypeBlock:
		return 4
	case TypeFIFO:
		return 5
	case TypeSocket:
		return 6
	case TypeSymlink:
		return 7
	}
	return 0
}

// deviceNumber is the kernel's encoding of a device's number.
func deviceNumber(major, minor uint32) uint32 {
	return minor&0xff | major<<8 | minor&^0xff<<12
}

// superblock is the first block of an image.
func superblock(o Options, inodes uint64, rootNid uint16, blocks, metaBlock uint32) []byte {
	b := make([]byte, BlockSize)
	s := b[superOffset:]
	le := binary.LittleEndian
	le.PutUint32(s[0:], magic)
	le.PutUint32(s[8:], compatChecksum|compatTime)
	s[12] = blockBits
	le.PutUint16(s[14:], rootNid)
	le.PutUint64(s[16:], inodes)
	le.PutUint32(s[36:], blocks)
	le.PutUint32(s[40:], metaBlock)
	copy(s[48:64], o.UUID[:])
	// The kernel sums what comes after the offset, without the final inversion.
	le.PutUint32(s[4:], ^crc32.Checksum(s, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// inode encodes an inode, of the extended form.
func (n *Inode) encode(b []byte) {
	le := binary.LittleEndian
	clear(b[:inodeSize])
	layout, size, raw := uint16(layoutPlain), uint64(n.Data.Size), n.Data.block
	switch n.Mode & TypeMask {
	case TypeDir, TypeSymlink:
		size, raw = uint64(n.size), n.block
		if n.inline {
			layout = layoutInline
		}
	case TypeChar, TypeBlock:
		size, raw = 0, deviceNumber(n.Major, n.Minor)
	case TypeRegular:
	default:
		size, raw = 0, 0
	}
	le.PutUint16(b[0:], 1|layout<<1)
	le.PutUint16(b[4:], n.Mode)
	le.PutUint64(b[8:], size)
	le.PutUint32(b[16:], raw)
	le.PutUint32(b[20:], n.number)
	le.PutUint32(b[24:], n.UID)
	le.PutUint32(b[28:], n.GID)
	le.PutUint64(b[32:], uint64(n.Seconds))
	le.PutUint32(b[40:], n.Nanoseconds)
	le.PutUint32(b[44:], n.links)
}
