package imagetar

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// A filter copies a layer without what is excluded. It holds the names of hard
// links that cross the border, and nothing else of the layer.
type filter struct {
	layer    *io.SectionReader
	excluded []string // clean, relative to the root
	// crossing are excluded files that a kept hard link names: where the file
	// is, and, once one link has become the file, what that is called.
	crossing map[string]*crossed
}

type crossed struct {
	off int64 // -1: not seen yet
	as  string
}

func newFilter(layer *io.SectionReader, excluded []string) (*filter, error) {
	f := &filter{layer: layer, crossing: map[string]*crossed{}}
	for _, p := range excluded {
		f.excluded = append(f.excluded, clean(p))
	}
	return f, f.each(func(h *tar.Header, _ span) error {
		if h.Typeflag == tar.TypeLink && !f.drops(h) && f.inside(clean(h.Linkname)) {
			f.crossing[clean(h.Linkname)] = &crossed{off: -1}
		}
		if len(f.crossing) > maxFiles {
			return fmt.Errorf("more than %d hard links into what is to be left out", maxFiles)
		}
		return nil
	})
}

// clean is a path of a layer, without a slash in front: tar has several ways.
func clean(name string) string { return path.Clean("/" + name)[1:] }

// inside reports that a path is below one that is excluded, or is it.
func (f *filter) inside(name string) bool {
	for _, x := range f.excluded {
		if name == x || strings.HasPrefix(name, x+"/") {
			return true
		}
	}
	return false
}

// The marks of a layer for what it deletes: a file beside the deleted one, and
// one in a directory that hides what it had.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// drops reports that an entry is left out: what is below an excluded path and
// excluded files. Directories that are named stay, and deletions do.
func (f *filter) drops(h *tar.Header) bool {
	name := clean(h.Name)
	dir, base := path.Split(name)
	dir = path.Clean("/" + dir)[1:]
	for _, x := range f.excluded {
		switch {
		case name == x:
			if h.Typeflag != tar.TypeDir {
				return true
			}
		case !strings.HasPrefix(name, x+"/"):
		case base == opaque:
			// A new directory may have one, too: what hides a directory that is
			// left out would bring it back.
			if dir != x {
				return true
			}
		case !strings.HasPrefix(base, whiteout):
			return true
		}
	}
	return false
}

// counter is how far a reader has come.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

const block = 512 // of a tar file

// each calls do for every entry, with where its bytes are, headers and padding
// included.
func (f *filter) each(do func(h *tar.Header, at span) error) error {
	if _, err := f.layer.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in := &counter{r: bufio.NewReaderSize(f.layer, 256<<10)}
	tr := tar.NewReader(in)
	for {
		begin := roundUp(in.n)
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("layer: %w", err)
		}
		if h.Size > f.layer.Size() {
			return fmt.Errorf("layer: %s has more bytes than the layer", h.Name)
		}
		if _, err := io.Copy(io.Discard, tr); err != nil {
			return fmt.Errorf("layer: %s: %w", h.Name, err)
		}
		if err := do(h, span{begin, roundUp(in.n) - begin}); err != nil {
			return err
		}
	}
}

func roundUp(n int64) int64 { return (n + block - 1) / block * block }

// copyTo writes what is kept, byte for byte where nothing has to change.
func (f *filter) copyTo(w io.Writer) error {
	for _, c := range f.crossing {
		*c = crossed{off: -1}
	}
	var pending span // kept, and not yet copied
	flush := func() error {
		n, err := io.Copy(w, io.NewSectionReader(f.layer, pending.off, pending.size))
		if err == nil && n < pending.size { // the last file may have no padding
			_, err = w.Write(make([]byte, pending.size-n))
		}
		pending = span{}
		return err
	}
	err := f.each(func(h *tar.Header, at span) error {
		if f.drops(h) {
			if c := f.crossing[clean(h.Name)]; c != nil && h.Typeflag != tar.TypeDir && h.Typeflag != tar.TypeLink {
				c.off = at.off
			}
			return flush()
		}
		if h.Typeflag == tar.TypeLink {
			if c := f.crossing[clean(h.Linkname)]; c != nil {
				return errors.Join(flush(), f.copyCrossing(w, h, c))
			}
		}
		if pending.off+pending.size != at.off {
			if err := flush(); err != nil {
				return err
			}
			pending.off = at.off
		}
		pending.size += at.size
		return nil
	})
	if err := errors.Join(err, flush()); err != nil {
		return err
	}
	_, err = w.Write(make([]byte, 2*block)) // the end
	return err
}

// copyCrossing writes a hard link to a file that is left out: the first one
// is the file now, the others are links to that.
func (f *filter) copyCrossing(w io.Writer, h *tar.Header, c *crossed) error {
	tw := tar.NewWriter(w)
	if c.as != "" {
		h.Linkname = c.as
		return errors.Join(writeHeader(tw, h), tw.Flush())
	}
	if c.off < 0 {
		return fmt.Errorf("layer: %s is a link to %s, which does not come before it", h.Name, h.Linkname)
	}
	tr := tar.NewReader(io.NewSectionReader(f.layer, c.off, f.layer.Size()-c.off))
	file, err := tr.Next()
	if err != nil {
		return fmt.Errorf("layer: %w", err)
	}
	c.as, file.Name = h.Name, h.Name
	if err := writeHeader(tw, file); err != nil {
		return err
	}
	if _, err := io.Copy(tw, tr); err != nil {
		return err
	}
	return tw.Flush()
}

// writeHeader writes a header in its own format, or in one that can express it.
func writeHeader(tw *tar.Writer, h *tar.Header) error {
	err := tw.WriteHeader(h)
	if err != nil && h.Format != tar.FormatPAX {
		h.Format = tar.FormatPAX
		err = tw.WriteHeader(h)
	}
	return err
}
