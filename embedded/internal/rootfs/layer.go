package rootfs

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"

	"github.com/pocketdock/pocketdock/embedded/internal/erofs"
)

// Bounds on what a layer, or an image, may have. They stop what is made to
// exhaust memory or disk; images of whole distributions have some 300,000
// files and 20 GiB.
const (
	maxEntries = 1_000_000
	maxNames   = 128 << 20 // bytes of all names, link targets and PAX records
	maxBytes   = 256 << 30 // of all regular files, holes included
	maxPath    = 4096
)

// limits are bounds that are left.
type limits struct {
	entries, names, bytes int64
}

func newLimits() limits { return limits{maxEntries, maxNames, maxBytes} }

func (l *limits) take(h *tar.Header) error {
	l.entries--
	l.names -= int64(len(h.Name) + len(h.Linkname))
	for key, value := range h.PAXRecords {
		l.names -= int64(len(key) + len(value))
	}
	l.bytes -= h.Size
	switch {
	case l.entries < 0:
		return fmt.Errorf("more than %d files", maxEntries)
	case l.names < 0:
		return fmt.Errorf("names and attributes of more than %d MiB", maxNames>>20)
	case l.bytes < 0:
		return fmt.Errorf("files of more than %d GiB", maxBytes>>30)
	}
	return nil
}

// Check reads a layer to its end and reports the size of its regular files,
// or what is wrong with it: all that Tree.Apply finds, but for hard links to
// files that are not there.
func Check(ctx context.Context, layer io.Reader) (size int64, err error) {
	l := newLimits()
	err = each(ctx, layer, &l, func(string, *tar.Header, io.Reader) error { return nil })
	return maxBytes - l.bytes, err
}

// each calls back for each entry of a layer that is one of a file, with a clean
// path that is relative to the root: "." for the root itself.
func each(ctx context.Context, layer io.Reader, l *limits, do func(name string, h *tar.Header, r io.Reader) error) error {
	tr := tar.NewReader(layer)
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("layer: %w", cut(err))
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			h.Size = 0
			if err := l.take(h); err != nil {
				return fmt.Errorf("layer: %w", err)
			}
			continue
		}
		name, err := cleanName(h.Name)
		if err == nil {
			err = checkEntry(h)
		}
		if err == nil {
			err = l.take(h)
		}
		if err == nil {
			err = do(name, h, stoppable{ctx, tr})
		}
		if err != nil {
			return fmt.Errorf("layer: %.200q: %w", h.Name, cut(err))
		}
	}
}

// stoppable ends with its context: a few bytes can describe a file of
// terabytes that is nothing but a hole.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.r.Read(p)
}

// cut is the error of a layer that ends too early, said as such.
func cut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("cut short: %w", err)
	}
	return err
}

// cleanName is an entry's path below the root, whatever it begins with. One
// that leads out of it is refused, as Docker does.
func cleanName(name string) (string, error) {
	if len(name) > maxPath {
		return "", fmt.Errorf("a path of %d bytes", len(name))
	}
	if strings.IndexByte(name, 0) >= 0 {
		return "", errors.New("a path with a zero byte")
	}
	depth := 0
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return "", errors.New("leads out of the image")
			}
		default:
			if len(part) > erofs.MaxName {
				return "", fmt.Errorf("a name of %d bytes, %d are possible", len(part), erofs.MaxName)
			}
			depth++
		}
	}
	if name = path.Clean("/" + name)[1:]; name == "" {
		return ".", nil
	}
	return name, nil
}

func checkEntry(h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		if h.Size < 0 {
			return errors.New("a negative size")
		}
	case tar.TypeSymlink:
		if h.Linkname == "" || len(h.Linkname) > erofs.MaxLink || strings.IndexByte(h.Linkname, 0) >= 0 {
			return errors.New("a symbolic link that leads nowhere")
		}
	case tar.TypeLink:
		if _, err := cleanName(h.Linkname); err != nil {
			return fmt.Errorf("a hard link to %.200q: %w", h.Linkname, err)
		}
	case tar.TypeDir, tar.TypeFifo:
	case tar.TypeChar, tar.TypeBlock:
		if h.Devmajor < 0 || h.Devmajor > 0xfff || h.Devminor < 0 || h.Devminor > 0xfffff {
			return fmt.Errorf("a device of number %d:%d", h.Devmajor, h.Devminor)
		}
	default:
		return fmt.Errorf("an entry of the unknown type %q", h.Typeflag)
	}
	if h.Uid < 0 || int64(h.Uid) > math.MaxUint32 || h.Gid < 0 || int64(h.Gid) > math.MaxUint32 {
		return fmt.Errorf("an owner of number %d:%d", h.Uid, h.Gid)
	}
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse && h.Typeflag != tar.TypeCont {
		h.Size = 0
	}
	return nil
}
