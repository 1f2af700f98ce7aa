package imageset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/state"
)

// ImportOptions are the optional properties of an import.
type ImportOptions struct {
	// MaxBytes bounds the images, decompressed. 0: 64 GiB.
	MaxBytes int64
	// SpoolDir is where a set that comes as a stream is kept while it is
	// verified, in a private file. Empty: the client's state directory.
	SpoolDir string
	// Progress is called now and then, by the goroutine that imports. Nil: not.
	Progress func(Progress)
}

const defaultMaxBytes = 64 << 30

// ImportFile loads all images of a set, from a file as [ExportFile] makes it,
// however it is compressed. The file is read twice: first to verify all of it,
// then to load it, so that nothing is loaded of one that is damaged, cut short
// or something else: that is an [ErrFormat]. When the engine fails midway, the
// names that images had before are restored.
func ImportFile(ctx context.Context, c *pocketdock.Client, file string, opts ImportOptions) (*Manifest, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && !fi.Mode().IsRegular() {
		return Import(ctx, c, f, opts) // /dev/stdin, say
	}
	m, err := importFrom(ctx, c, f, opts)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", file, err)
	}
	return m, nil
}

// Import is ImportFile from a stream, which is first copied to a file.
func Import(ctx context.Context, c *pocketdock.Client, r io.Reader, opts ImportOptions) (*Manifest, error) {
	dir, err := spoolDir(c, opts)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "import-*") // 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	os.Remove(f.Name()) // where possible at once: a killed import leaves nothing
	meter := newMeter(opts.Progress, Spooling, 0)
	if _, err := io.Copy(f, &meteredReader{&contextReader{ctx, r}, meter}); err != nil {
		return nil, fmt.Errorf("import images: %w", err)
	}
	meter.flush()
	m, err := importFrom(ctx, c, f, opts)
	if err != nil {
		return nil, fmt.Errorf("import images: %w", err)
	}
	return m, nil
}

// spoolDir is on a disk that has room, unlike /tmp where that is memory.
func spoolDir(c *pocketdock.Client, opts ImportOptions) (string, error) {
	dir := cmp.Or(opts.SpoolDir, c.StateDir, os.Getenv("POCKETDOCK_STATE_DIR"))
	if dir == "" {
		var err error
		if dir, err = state.Default(); err != nil {
			return "", err
		}
	}
	return dir, os.MkdirAll(dir, 0o700)
}

// Verify reads all of a set and returns its manifest, or why it cannot be
// imported. It needs no engine.
func Verify(ctx context.Context, r io.Reader, opts ImportOptions) (*Manifest, error) {
	set, err := open(ctx, r, cmp.Or(opts.MaxBytes, defaultMaxBytes))
	if err != nil {
		return nil, err
	}
	defer set.close()
	return set.manifest, checkInner(set, set.manifest)
}

func importFrom(ctx context.Context, c *pocketdock.Client, f *os.File, opts ImportOptions) (*Manifest, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	pass := func(stage Stage) (io.Reader, *meter, error) {
		_, err := f.Seek(0, io.SeekStart)
		m := newMeter(opts.Progress, stage, fi.Size())
		return &meteredReader{f, m}, m, err
	}
	r, meter, err := pass(Verifying)
	if err != nil {
		return nil, err
	}
	m, err := Verify(ctx, r, opts)
	if err != nil {
		return nil, err
	}
	meter.flush()
	engine, err := c.Engine(ctx)
	if err != nil {
		return nil, err
	}
	if m.Arch != engine.Arch && engine.Arch != "" {
		return nil, fmt.Errorf("its images are for %s and this engine is %s: %w", m.Arch, engine.Arch, pocketdock.ErrUnsupported)
	}
	before, err := names(ctx, c, m)
	if err != nil {
		return nil, err
	}
	if r, meter, err = pass(Loading); err != nil {
		return nil, err
	}
	if err := load(ctx, c, r, m, before, opts); err != nil {
		// The caller's context may have ended; what came half must go all the same.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return nil, errors.Join(err, restore(ctx, c, before))
	}
	meter.flush()
	return m, nil
}

// load is the second pass. The file may have changed since the first: the
// digest is compared again, and the engine's request fails with it.
func load(ctx context.Context, c *pocketdock.Client, r io.Reader, m *Manifest, before map[string]string, opts ImportOptions) error {
	set, err := open(ctx, r, cmp.Or(opts.MaxBytes, defaultMaxBytes))
	if err != nil {
		return err
	}
	defer set.close()
	if err := c.LoadImages(ctx, set); err != nil {
		return err
	}
	for _, img := range m.Images {
		if err := settle(ctx, c, img, before); err != nil {
			return err
		}
	}
	return nil
}

// settle makes sure that an image that was loaded is found under the name that
// the set says. Docker takes a name from Podman, localhost/NAME, literally, and
// Podman may give one to what comes from Docker.
func settle(ctx context.Context, c *pocketdock.Client, img Image, before map[string]string) error {
	var same, changed string
	for _, tag := range variants(img.Tag) {
		got, err := c.Image(ctx, tag)
		switch {
		case errors.Is(err, pocketdock.ErrImageNotFound):
		case err != nil:
			return err
		case got.ID == img.ID:
			same = got.ID
		case got.ID != before[tag]:
			changed = got.ID
		}
	}
	loaded := cmp.Or(same, changed)
	if loaded == "" {
		return fmt.Errorf("the engine took the images, and has no %s now: %w", img.Tag, pocketdock.ErrImageNotFound)
	}
	now, err := c.Image(ctx, img.Tag)
	if err == nil && now.ID == loaded {
		return nil
	}
	if err != nil && !errors.Is(err, pocketdock.ErrImageNotFound) {
		return err
	}
	if err := c.Tag(ctx, loaded, img.Tag); err != nil {
		return err
	}
	if other := "localhost/" + canonical(img.Tag); before[other] == "" && other != img.Tag {
		if err := c.RemoveImage(ctx, other); !errors.Is(err, pocketdock.ErrImageNotFound) {
			return err
		}
	}
	return nil
}

// variants are the names under which an engine may have an image.
func variants(tag string) []string {
	list := []string{canonical(tag)}
	for _, p := range prefixes {
		list = append(list, p+list[0])
	}
	return list
}

// names are the IDs that the set's names stand for now; empty for none.
func names(ctx context.Context, c *pocketdock.Client, m *Manifest) (map[string]string, error) {
	ids := map[string]string{}
	for _, img := range m.Images {
		for _, tag := range variants(img.Tag) {
			got, err := c.Image(ctx, tag)
			switch {
			case err == nil:
				ids[tag] = got.ID
			case errors.Is(err, pocketdock.ErrImageNotFound):
				ids[tag] = ""
			default:
				return nil, err
			}
		}
	}
	return ids, nil
}

// restore puts the names back after a load that failed.
func restore(ctx context.Context, c *pocketdock.Client, before map[string]string) error {
	var errs []error
	for tag, id := range before {
		now, err := c.Image(ctx, tag)
		switch {
		case errors.Is(err, pocketdock.ErrImageNotFound):
		case err != nil:
			errs = append(errs, err)
		case id == "":
			if err := c.RemoveImage(ctx, tag); !errors.Is(err, pocketdock.ErrImageNotFound) {
				errs = append(errs, err)
			}
		case now.ID != id:
			errs = append(errs, c.Tag(ctx, id, tag))
		}
	}
	return errors.Join(errs...)
}

type meteredReader struct {
	r io.Reader
	m *meter
}

func (m *meteredReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.m.add(n)
	return n, err
}
