package imagestore

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/zstd"

	"github.com/pocketdock/pocketdock/embedded/internal/rootfs"
)

// Bounds on uncompressed layers, in bytes, so that a small archive cannot keep
// us busy for ever.
const (
	maxTars  = 512 << 30 // all layers of an archive
	maxAfter = 4 << 20   // what follows a layer's end; tar fills up to a megabyte
)

// A stagedLayer is a file of a stage, checked and compressed as in the store.
type stagedLayer struct {
	layer
	file string
}

// addLayer reads a layer, which may be compressed, to its end and keeps it
// under the name file. Memory does not grow with it.
func (g *stage) addLayer(ctx context.Context, r *bufio.Reader, file string) (*stagedLayer, error) {
	tarStream, err := plain(r)
	if err != nil {
		return nil, cutShort(err)
	}
	defer tarStream.Close()
	f, err := g.dir.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	enc, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2))
	if err != nil {
		return nil, err
	}
	defer enc.Close()
	sum := sha256.New()
	before := g.left
	limited := &io.LimitedReader{R: tarStream, N: before}
	defer func() { g.left = limited.N }()
	in := bufio.NewReaderSize(io.TeeReader(limited, io.MultiWriter(sum, enc)), 256<<10)
	if _, err := in.Peek(tarBlock); err != nil && err != io.EOF {
		return nil, cutShort(err)
	}
	if !isTar(in) {
		return nil, errors.New("no layer: it is no tar archive")
	}
	size, err := rootfs.Check(ctx, in)
	if err != nil {
		return nil, err
	}
	// What comes after the end of an archive is part of its digest.
	after, err := io.CopyN(io.Discard, in, maxAfter)
	if err != nil && err != io.EOF {
		return nil, cutShort(err)
	}
	if after == maxAfter {
		return nil, fmt.Errorf("layer: more than %d MiB after its end", maxAfter>>20)
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("layer: more than %d GiB, with those before", maxTars>>30)
	}
	if err := errors.Join(enc.Close(), f.Close()); err != nil {
		return nil, err
	}
	l := layer{DiffID: algorithm + hex.EncodeToString(sum.Sum(nil)), Size: size, Tar: before - limited.N}
	return &stagedLayer{l, file}, nil
}

// cutShort says what an unexpected end means.
func cutShort(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("layer: cut short: %w", err)
	}
	return fmt.Errorf("layer: %w", err)
}

// openLayers opens an image's layers. Whoever has them open can read them when
// the image is gone.
func (s *Store) openLayers(r *record) (list []*layerReader, err error) {
	for _, l := range r.Layers {
		f, err := s.root.Open(layerPath(l.DiffID))
		if err != nil {
			closeLayers(list)
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("layer %s is missing: load the image again", l.DiffID)
			}
			return nil, err
		}
		list = append(list, &layerReader{layer: l, file: f})
	}
	return list, nil
}

func closeLayers(list []*layerReader) {
	for _, l := range list {
		l.file.Close()
	}
}

// A layerReader is a layer of the store, opened.
type layerReader struct {
	layer
	file *os.File
}

// read calls back with the uncompressed layer. It is an error if that is not
// read to its end, or if the file is damaged: zstd has a checksum, and a file
// that a power cut has emptied is too short.
func (l *layerReader) read(do func(io.Reader) error) error {
	d, err := newDecoder(io.NewSectionReader(l.file, 0, 1<<62))
	if err != nil {
		return err
	}
	defer d.Close()
	in := &counted{r: d}
	err = do(in)
	if in.err != nil || err == nil && in.n != l.Tar {
		return fmt.Errorf("layer %s is damaged (%d of %d bytes): remove the image and load it again", l.DiffID, in.n, l.Tar)
	}
	return err
}

// counted counts bytes and remembers the error that was no end.
type counted struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}
