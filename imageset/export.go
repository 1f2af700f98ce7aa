package imageset

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock"
)

// ExportOptions are the optional properties of an export.
type ExportOptions struct {
	// Compression of the stream. [ExportFile] takes it from the file's name.
	Compression Compression
	// Progress is called now and then, by the goroutine that exports. Nil: not.
	Progress func(Progress)
}

// profileLabel is on the image of a profile.
const profileLabel = "pocketdock.image.profile"

// Export writes images, by name, as one image set. It is streamed: neither
// memory nor temporary files grow with the images. Layers that several of them
// share are written once.
func Export(ctx context.Context, c *pocketdock.Client, w io.Writer, images []string, opts ExportOptions) (*Manifest, error) {
	m, err := describe(ctx, c, images)
	if err != nil {
		return nil, err
	}
	z, err := compress(w, opts.Compression)
	if err != nil {
		return nil, err
	}
	var total int64
	tags := make([]string, len(m.Images))
	for i, img := range m.Images {
		total += img.Size
		tags[i] = img.Tag
	}
	meter := newMeter(opts.Progress, Saving, total)
	p := &pieces{tw: tar.NewWriter(z), sum: sha256.New(), meter: meter, when: m.Created}
	if err := p.document(manifestName, m); err != nil {
		z.Close()
		return nil, err
	}
	if err := c.SaveImages(ctx, p, tags...); err != nil {
		z.Close()
		return nil, err
	}
	if err := errors.Join(p.end(), z.Close()); err != nil {
		return nil, fmt.Errorf("export images: %w", err)
	}
	meter.flush()
	return m, nil
}

// ExportFile is Export into a file, which appears when it is complete, with the
// mode 0600: a snapshot may have what others should not read. Its name says how
// it is compressed, see [ByName].
func ExportFile(ctx context.Context, c *pocketdock.Client, file string, images []string, opts ExportOptions) (*Manifest, error) {
	var err error
	if opts.Compression, err = ByName(file); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".part-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	m, err := Export(ctx, c, f, images, opts)
	if err != nil {
		f.Close()
		return nil, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("export images: %w", err)
	}
	return m, os.Rename(f.Name(), file)
}

// describe asks the engine about the images.
func describe(ctx context.Context, c *pocketdock.Client, images []string) (*Manifest, error) {
	m := &Manifest{Format: formatName, Version: formatVersion, Created: time.Now().UTC().Truncate(time.Second)}
	var seen []string
	for _, name := range images {
		tag := withTag(name)
		if strings.ContainsRune(name, '@') || !tagPattern().MatchString(tag) {
			return nil, fmt.Errorf("export image %q: name it as name:tag, so that it has a name where it goes: %w", name, pocketdock.ErrInvalid)
		}
		if slices.Contains(seen, canonical(tag)) {
			continue
		}
		seen = append(seen, canonical(tag))
		img, err := c.Image(ctx, tag)
		if err != nil {
			return nil, err
		}
		if m.Arch != "" && img.Arch != m.Arch {
			return nil, fmt.Errorf("export images: %s is for %s and others for %s: export them one by one: %w", tag, img.Arch, m.Arch, pocketdock.ErrInvalid)
		}
		m.Arch = img.Arch
		m.Images = append(m.Images, Image{Profile: img.Labels[profileLabel], Tag: tag, ID: img.ID, Size: img.Size})
	}
	if len(m.Images) == 0 {
		return nil, fmt.Errorf("export images: none is named: %w", pocketdock.ErrInvalid)
	}
	if len(m.Images) > maxImages {
		return nil, fmt.Errorf("export images: %d are named, a set can have %d: %w", len(m.Images), maxImages, pocketdock.ErrInvalid)
	}
	return m, nil
}

// pieces is a writer that cuts what it gets into entries of a tar archive.
type pieces struct {
	tw    *tar.Writer
	sum   hash.Hash
	meter *meter
	when  time.Time
	buf   []byte
	count int
	bytes int64
}

func (p *pieces) Write(b []byte) (int, error) {
	if p.buf == nil {
		p.buf = make([]byte, 0, pieceSize)
	}
	for rest := b; len(rest) > 0; {
		n := min(len(rest), pieceSize-len(p.buf))
		p.buf = append(p.buf, rest[:n]...)
		rest = rest[n:]
		if len(p.buf) == pieceSize {
			if err := p.flush(); err != nil {
				return 0, err
			}
		}
	}
	p.meter.add(len(b))
	return len(b), nil
}

func (p *pieces) flush() error {
	if len(p.buf) == 0 {
		return nil
	}
	p.sum.Write(p.buf)
	p.bytes += int64(len(p.buf))
	err := p.entry(fmt.Sprintf(pieceName, p.count), p.buf)
	p.count++
	p.buf = p.buf[:0]
	return err
}

func (p *pieces) end() error {
	return errors.Join(p.flush(), p.document(endName, end{p.bytes, hex.EncodeToString(p.sum.Sum(nil))}), p.tw.Close())
}

func (p *pieces) document(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	return p.entry(name, append(b, '\n'))
}

func (p *pieces) entry(name string, data []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: p.when, Format: tar.FormatUSTAR}
	if err := p.tw.WriteHeader(h); err != nil {
		return err
	}
	_, err := p.tw.Write(data)
	return err
}
