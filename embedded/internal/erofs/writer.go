// Package erofs writes EROFS images: file systems in a file, read-only, that
// gVisor mounts by itself and Linux can, too. Owners, modes, times, devices and
// hard links are exact whoever writes them, and nothing is ever unpacked.
//
// It writes what gVisor reads, https://docs.kernel.org/filesystems/erofs.html
// without compression, chunks, or extended attributes: gVisor refuses an inode
// that has any. The content of regular files is never inline, for gVisor cannot
// map such a file and so not execute it; that, and hard links, is what
// github.com/erofs/go-erofs has no way to ask for.
//
// The order is: superblock, files as they come, directories of more than a
// block, metadata. Memory grows with the number of files only.
package erofs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/pocketdock/pocketdock/internal/holes"
)

// A Writer makes one image. Data is called for the content of each regular
// file, Finish once. It is not for concurrent use.
type Writer struct {
	file    File
	out     holes.Writer
	buf     []byte
	written int64 // offset up to which the disk was told to begin
}

// A File is what an image is written to: an *os.File, empty.
type File interface {
	io.WriterAt
	Truncate(size int64) error
}

// Options of an image; the zero value works. Nothing else but the files
// decides its bytes: the same files, in the same order, make the same image.
type Options struct {
	UUID [16]byte
}

// New begins an image.
func New(f File) *Writer {
	w := &Writer{file: f, out: holes.Writer{File: f}, buf: make([]byte, 256<<10)}
	w.out.Skip(BlockSize) // the superblock comes last
	return w
}

// Data writes the content of a regular file: all of r, which has to be of the
// given size. Whole blocks of zeros become holes in the image.
func (w *Writer) Data(r io.Reader, size int64) (Extent, error) {
	if size == 0 {
		return Extent{}, nil
	}
	start := w.align()
	if size < 0 || (start+size)>>blockBits >= math.MaxUint32 {
		return Extent{}, fmt.Errorf("a file of %d bytes at offset %d is too large for an image", size, start)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{&w.out}, struct{ io.Reader }{io.LimitReader(r, size)}, w.buf)
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	w.writeBack()
	return Extent{size, uint32(start >> blockBits)}, err
}

// writeBack has the disk begin before all is written: who syncs the file at
// the end, as one that is to be trusted after a power cut needs, waits half as
// long.
func (w *Writer) writeBack() {
	const step = 16 << 20
	if f, ok := w.file.(interface{ Fd() uintptr }); ok && w.out.Offset()-w.written >= step {
		writeBack(f, w.written, w.out.Offset()-w.written)
		w.written = w.out.Offset()
	}
}

// Drop gives the space of a file that has no name any more back to the disk,
// where its file system can do that.
func (w *Writer) Drop(e Extent) {
	if f, ok := w.file.(interface{ Fd() uintptr }); ok && e.Size > 0 {
		punch(f, int64(e.block)<<blockBits, roundUp(e.Size, BlockSize))
	}
}

// Finish writes the metadata of the tree below root, a directory, and the
// superblock. Without it the file is no image.
func (w *Writer) Finish(root *Inode, o Options) error {
	if root.Mode&TypeMask != TypeDir {
		return errors.New("the root is no directory")
	}
	var p plan
	p.add(root, root)
	for _, n := range p.inodes {
		if n.size == 0 || n.inline {
			continue
		}
		n.block = uint32(w.align() >> blockBits)
		if err := n.writeData(&w.out); err != nil {
			return err
		}
	}
	meta := w.align()
	if err := w.writeMetadata(&p); err != nil {
		return err
	}
	end := w.align()
	if end>>blockBits > math.MaxUint32 {
		return fmt.Errorf("an image of %d bytes is too large", end)
	}
	if err := w.file.Truncate(end); err != nil {
		return err
	}
	super := superblock(o, uint64(len(p.inodes)), uint16(root.nid), uint32(end>>blockBits), uint32(meta>>blockBits))
	_, err := w.file.WriteAt(super, 0)
	return err
}

func (w *Writer) writeMetadata(p *plan) error {
	b := bufio.NewWriterSize(&w.out, len(w.buf))
	var pad [BlockSize]byte
	at := int64(0)
	for _, n := range p.inodes {
		off := int64(n.nid) * slot
		var inode [inodeSize]byte
		n.encode(inode[:])
		b.Write(pad[:off-at])
		b.Write(inode[:])
		at = off + inodeSize
		if n.inline {
			if err := n.writeData(b); err != nil {
				return err
			}
			at += n.size
		}
	}
	return b.Flush()
}

// writeData writes what a directory or a symbolic link holds.
func (n *Inode) writeData(w io.Writer) error {
	if n.Mode&TypeMask == TypeDir {
		return n.writeEntries(w)
	}
	_, err := io.WriteString(w, n.Target)
	return err
}

// align goes to the next block and returns its offset.
func (w *Writer) align() int64 {
	w.out.Skip(roundUp(w.out.Offset(), BlockSize))
	return w.out.Offset()
}
