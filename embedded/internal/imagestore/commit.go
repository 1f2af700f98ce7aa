package imagestore

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// CommitOptions say what a new image is made of.
type CommitOptions struct {
	Parent string // name or ID of the image that Diff is a change of; required

	// Diff is an uncompressed tar of what is new or changed, with OCI
	// whiteouts for what is gone. It is read to its end. Required; an empty
	// archive is a change of nothing.
	Diff io.Reader

	Config    *v1.Config        // nil: the parent's
	Labels    map[string]string // added to those of the configuration
	CreatedBy string            // for the history: the command that was run
	Author    string
	Comment   string
	Ref       string // a name for the image; empty: it is dangling
}

// Commit makes an image of another one and a change, and returns its ID. The
// parent's layers are shared, nothing of it is copied.
func (s *Store) Commit(ctx context.Context, o CommitOptions) (id string, err error) {
	img := &foundImage{}
	if o.Ref != "" {
		full, err := fullName(o.Ref)
		if err != nil {
			return "", err
		}
		img.names = []string{full}
	}
	parent, err := s.Get(ctx, o.Parent)
	if err != nil {
		return "", err
	}
	if len(parent.Layers) >= maxLayers {
		return "", invalidf("image %s has %d layers already, as many as are possible", o.Parent, maxLayers)
	}
	g, err := s.stage()
	if err != nil {
		return "", err
	}
	defer g.Close()
	diff, err := g.addLayer(ctx, bufio.NewReaderSize(stoppable{ctx, o.Diff}, 64<<10), "layer")
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case isHost(err):
		return "", fmt.Errorf("commit a change of image %s: %w", o.Parent, err)
	default:
		return "", invalidf("commit a change of image %s: %w", o.Parent, err)
	}
	if img.raw, err = commitConfig(parent.Raw, diff.DiffID, o); err != nil {
		return "", fmt.Errorf("commit a change of image %s: %w", o.Parent, err)
	}
	img.id = digestOf(img.raw)
	return img.id, s.exclusive(ctx, func(x *index) error {
		rec := x.Images[parent.ID]
		if rec == nil {
			return notFound(o.Parent + " (it was removed meanwhile)")
		}
		for _, l := range rec.Layers {
			img.layers = append(img.layers, &stagedLayer{layer: l})
		}
		img.layers = append(img.layers, diff)
		return g.publish(x, img, parent.ID)
	})
}

// commitConfig is the configuration of a new image. What of the parent's we do
// not know stays.
func commitConfig(raw []byte, diffID string, o CommitOptions) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	old, err := parseConfig(raw)
	if err != nil {
		return nil, err
	}
	// What the parent was built in, which some builders leave there.
	delete(fields, "container")
	delete(fields, "container_config")
	hash, err := v1.NewHash(diffID)
	if err != nil {
		return nil, err
	}
	now := v1.Time{Time: time.Now().UTC()}
	set := map[string]any{
		"created": now,
		"history": append(old.History, v1.History{Created: now, CreatedBy: o.CreatedBy, Author: o.Author, Comment: o.Comment}),
		"rootfs":  v1.RootFS{Type: "layers", DiffIDs: append(old.RootFS.DiffIDs, hash)},
	}
	if o.Author != "" {
		set["author"] = o.Author
	}
	if o.Config != nil || len(o.Labels) > 0 {
		config := old.Config
		if o.Config != nil {
			config = *o.Config
		}
		labels := map[string]string{}
		maps.Copy(labels, config.Labels)
		maps.Copy(labels, o.Labels)
		config.Labels = labels
		set["config"] = config
	}
	for key, value := range set {
		b, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		fields[key] = b
	}
	return json.Marshal(fields)
}
