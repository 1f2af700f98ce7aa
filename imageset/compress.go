package imageset

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A Compression of an image set.
type Compression string

const (
	None Compression = ""
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
)

// ByName is the compression that a file's name asks for: .tar, .tar.gz or
// .tgz, .tar.zst.
func ByName(file string) (Compression, error) {
	name := strings.ToLower(filepath.Base(file))
	switch {
	case strings.HasSuffix(name, ".tar"):
		return None, nil
	case strings.HasSuffix(name, ".tar.gz"), strings.HasSuffix(name, ".tgz"):
		return Gzip, nil
	case strings.HasSuffix(name, ".tar.zst"), strings.HasSuffix(name, ".tzst"):
		return Zstd, nil
	}
	return None, fmt.Errorf("file %s: name it .tar, .tar.gz or .tar.zst, which says how it is compressed", file)
}

// compress makes a writer of w; closing it ends the compressed stream, not w.
func compress(w io.Writer, c Compression) (io.WriteCloser, error) {
	switch c {
	case None:
		return nopCloser{w}, nil
	case Gzip:
		return gzip.NewWriterLevel(w, gzip.BestSpeed)
	case Zstd:
		return zstd.NewWriter(w)
	}
	return nil, fmt.Errorf("no compression %q; there are gzip and zstd", string(c))
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// maxWindow bounds the memory that a Zstandard stream may ask for. zstd's own
// highest levels use 128 MiB.
const maxWindow = 128 << 20

// decompress finds out how r is compressed by how it begins. What it returns
// must be closed.
func decompress(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 256<<10)
	head, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case len(head) == 0:
		return nil, formatf("it is empty")
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, damaged(err)
		}
		return z, nil
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(2))
		if err != nil {
			return nil, damaged(err)
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(b), nil
}

// damaged makes what a decoder complains about an ErrFormat, and leaves what
// the reader below it or its context says.
func damaged(err error) error {
	if err == nil || errors.Is(err, ErrFormat) {
		return err
	}
	if src, ok := errors.AsType[*sourceError](err); ok {
		return src.err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		return formatf("it is cut short: copy it again")
	}
	return formatf("it is damaged: %v", err)
}

// A sourceError is a failure of the reader that was given.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }
