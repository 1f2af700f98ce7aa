package imageset

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
)

// A reader reads a set from its beginning to its end and believes nothing:
// names, order, sizes and the digest have to be right. Read returns the pieces
// joined; io.EOF comes only after the digest was compared.
type reader struct {
	z        io.ReadCloser
	tr       *tar.Reader
	manifest *Manifest

	sum   hash.Hash
	left  int64 // of the current piece
	count int
	bytes int64
	max   int64
	err   error // sticky
}

// open reads the manifest. The reader must be closed.
func open(ctx context.Context, src io.Reader, max int64) (*reader, error) {
	z, err := decompress(&contextReader{ctx, src})
	if err != nil {
		return nil, damaged(err)
	}
	r := &reader{z: z, tr: tar.NewReader(z), sum: sha256.New(), max: max}
	if err := r.readManifest(); err != nil {
		z.Close()
		return nil, err
	}
	return r, nil
}

func (r *reader) close() { r.z.Close() }

func (r *reader) readManifest() error {
	h, err := r.tr.Next()
	if err == io.EOF {
		return formatf("it is an empty tar archive")
	}
	if err != nil {
		return foreign(err)
	}
	if h.Name != manifestName || h.Typeflag != tar.TypeReg {
		return formatf("it begins with %.100q, not with %s; if it is of docker save or podman save, use docker load or podman load", h.Name, manifestName)
	}
	r.manifest = &Manifest{}
	if err := r.document(h, r.manifest); err != nil {
		return err
	}
	return r.manifest.check()
}

// foreign is the error of something whose first bytes are not a tar archive.
func foreign(err error) error {
	if err == tar.ErrHeader {
		return formatf("it is no tar archive")
	}
	return damaged(err)
}

func (r *reader) document(h *tar.Header, v any) error {
	if h.Size > maxDocument {
		return formatf("its %s has %d bytes", h.Name, h.Size)
	}
	b, err := io.ReadAll(r.tr)
	if err != nil {
		return damaged(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return formatf("its %s cannot be read: %v", h.Name, err)
	}
	return nil
}

func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	for r.left == 0 {
		if r.err = r.next(); r.err != nil {
			return 0, r.err
		}
	}
	n, err := r.tr.Read(p[:min(int64(len(p)), r.left)])
	r.sum.Write(p[:n])
	r.left -= int64(n)
	r.bytes += int64(n)
	if err != nil && err != io.EOF {
		r.err = damaged(err)
		return n, r.err
	}
	if err == io.EOF && r.left > 0 {
		r.err = damaged(io.ErrUnexpectedEOF)
		return n, r.err
	}
	return n, nil
}

// next goes to the next piece; io.EOF after a good end.
func (r *reader) next() error {
	h, err := r.tr.Next()
	if err == io.EOF {
		return damaged(io.ErrUnexpectedEOF)
	}
	if err != nil {
		return damaged(err)
	}
	if h.Typeflag != tar.TypeReg {
		return formatf("its entry %.100q is not a file", h.Name)
	}
	if h.Name == endName {
		return r.checkEnd(h)
	}
	if want := fmt.Sprintf(pieceName, r.count); h.Name != want {
		return formatf("its entry %.100q is where %s should be", h.Name, want)
	}
	if h.Size <= 0 || h.Size > pieceSize || r.count >= maxPieces {
		return formatf("its entry %s has %d bytes", h.Name, h.Size)
	}
	if r.bytes+h.Size > r.max {
		return formatf("it is larger than %d bytes; allow more if that is right", r.max)
	}
	r.count++
	r.left = h.Size
	return nil
}

func (r *reader) checkEnd(h *tar.Header) error {
	var e end
	if err := r.document(h, &e); err != nil {
		return err
	}
	if e.Bytes != r.bytes || e.SHA256 != hex.EncodeToString(r.sum.Sum(nil)) {
		return formatf("it is damaged: its digest is another: copy it again")
	}
	if h, err := r.tr.Next(); err == nil {
		return formatf("its entry %.100q is after its end", h.Name)
	} else if err != io.EOF {
		return damaged(err)
	}
	// A compressed stream has a checksum at its very end.
	if n, err := io.CopyN(io.Discard, r.z, maxDocument); err != io.EOF {
		if err == nil {
			err = fmt.Errorf("%d bytes after its end", n)
		}
		return damaged(err)
	}
	return io.EOF
}

// A contextReader ends with its context, and marks the errors of its reader.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, &sourceError{context.Cause(c.ctx)}
	}
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		err = &sourceError{err}
	}
	return n, err
}
