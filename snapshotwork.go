package pocketdock

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pocketdock/pocketdock/internal/engine"
	"github.com/pocketdock/pocketdock/internal/imagetar"
	"github.com/pocketdock/pocketdock/internal/state"
)

// A snapshotWork is what a snapshot under way has made, kept in its directory
// so that a sweep can remove it.
type snapshotWork struct {
	Engine string // path of its socket
	Image  string // name of the image that still has everything
	ID     string // of the image without it
}

const (
	workFile = "snapshot.json"
	// workImage is the name of images that are not meant to stay.
	workImage = "pocketdock-snapshot"
)

// commitWithout makes an image that lacks some files: the whole one is saved
// to a file, and loaded from there with another newest layer.
func (c *Container) commitWithout(ctx context.Context, image string, q url.Values, base *apiImage, exclude []string) (id string, err error) {
	dir, err := c.client.stateDir()
	if err != nil {
		return "", err
	}
	work, err := dir.NewWork(string(self()), machineID())
	if err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	var b [8]byte
	rand.Read(b[:])
	w := snapshotWork{Engine: c.engine.Path, Image: workImage + ":" + hex.EncodeToString(b[:])}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_, e := w.remove(ctx, c.engine)
		err = errors.Join(err, e, os.RemoveAll(work))
	}()
	if err := w.keep(work); err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	if _, err := c.commit(ctx, w.Image, q); err != nil {
		return "", err
	}
	state.Step("committed")
	f, err := os.OpenFile(filepath.Join(work, "image.tar"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	defer f.Close()
	if err := c.client.SaveImages(ctx, f, w.Image); err != nil {
		return "", err
	}
	state.Step("saved")
	made, err := without(f, exclude, len(base.RootFS.Layers))
	if err != nil {
		return "", fmt.Errorf("snapshot container %s without %q: %w", c.name, exclude, err)
	}
	if made == nil { // nothing was written since the container was created
		img, err := inspectImage(ctx, c.engine, w.Image)
		if err != nil {
			return "", err
		}
		return img.ID, c.client.Tag(ctx, w.Image, image)
	}
	w.ID = made.ID()
	if err := w.keep(work); err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	if err := c.client.load(ctx, made.Write); err != nil {
		return "", err
	}
	state.Step("loaded")
	return "sha256:" + w.ID, c.client.Tag(ctx, w.ID, image)
}

// without is the saved image without what its newest layer has in some paths;
// nil if it has no layer of its own.
func without(f *os.File, exclude []string, baseLayers int) (*imagetar.Rewritten, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	a, err := imagetar.Open(f, fi.Size())
	if err != nil {
		return nil, err
	}
	switch a.Layers() {
	case baseLayers:
		return nil, nil
	case baseLayers + 1:
		return a.Without(exclude)
	}
	return nil, fmt.Errorf("the engine made %d layers of %d", a.Layers(), baseLayers)
}

// load has the engine load what write writes.
func (c *Client) load(ctx context.Context, write func(io.Writer) error) error {
	pr, pw := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(pw)
		pw.CloseWithError(err)
		written <- err
	}()
	err := c.LoadImages(ctx, pr)
	pr.Close()
	if e := <-written; err == nil && e != nil && !errors.Is(e, io.ErrClosedPipe) {
		return e
	}
	return err
}

// keep writes down what there will be, before there is.
func (w *snapshotWork) keep(dir string) error {
	b, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return state.Box(dir).WriteFile(workFile, b)
}

// remove removes the images that are not meant to stay, and says which there
// were.
func (w *snapshotWork) remove(ctx context.Context, e *engine.Engine) ([]string, error) {
	var removed []string
	var errs []error
	for _, ref := range []string{w.Image, w.ID} {
		if ref == "" {
			continue
		}
		img, err := inspectImage(ctx, e, ref)
		if errors.Is(err, ErrImageNotFound) || err == nil && ref == w.ID && len(img.RepoTags) > 0 {
			continue // somebody has it, under a name
		}
		if err == nil {
			err = e.JSON(ctx, "DELETE", "/images/"+ref, nil, nil, nil)
		}
		if se, ok := errors.AsType[*engine.StatusError](err); ok && se.NotFound() {
			continue // another sweep was first
		}
		if err != nil {
			errs = append(errs, apiError(err, "remove image "+ref, ""))
			continue
		}
		removed = append(removed, ref)
	}
	return removed, errors.Join(errs...)
}

func readWork(dir string) *snapshotWork {
	w := &snapshotWork{}
	b, err := state.Box(dir).ReadFile(workFile)
	if err != nil || json.Unmarshal(b, w) != nil {
		return &snapshotWork{} // nothing was begun
	}
	return w
}

// workEngine is the engine that an operation was on, the path of its socket.
func workEngine(dir string) string { return readWork(dir).Engine }

// work removes what an operation left.
func (s *sweep) work(ctx context.Context, e *engine.Engine, dir string) {
	removed, err := readWork(dir).remove(ctx, e)
	s.report.Images = append(s.report.Images, removed...)
	if err != nil {
		s.fail(fmt.Errorf("sweep: %w", err))
		return
	}
	s.removed(os.RemoveAll(dir))
}
