package pocketdock

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/pocketdock/pocketdock/internal/engine"
	"github.com/pocketdock/pocketdock/internal/state"
)

// PruneImages removes images that nothing uses, and returns their names:
// those that BuildProfile, [Container.Snapshot] or [ProfileHost] have made
// here, as the state directory has it, that have no other name by now, and
// that no container on the engine is of, running or not. An image without a
// name, which a later build replaced, is returned by its ID.
//
// With Project only snapshots of that project's containers are removed. With
// DryRun the containers that Prune would remove, given the same options, do
// not count. An image that was imported is nobody's, and stays.
func (c *Client) PruneImages(ctx context.Context, opts PruneOptions) ([]string, error) {
	e, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := c.stateDir()
	if err != nil {
		return nil, err
	}
	records, err := dir.Images()
	if err != nil || len(records) == 0 {
		return nil, err
	}
	used, err := c.usedImages(ctx, e, opts)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(records, func(a, b state.Image) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	var removed []string
	var errs []error
	for _, r := range records {
		if r.Engine != e.Path || opts.Project != "" && r.Project != opts.Project {
			continue
		}
		name, err := pruneImage(ctx, e, dir, r, used, opts.DryRun)
		if err != nil {
			errs = append(errs, err)
		} else if name != "" {
			removed = append(removed, name)
		}
	}
	return removed, errors.Join(errs...)
}

// usedImages are the IDs of the images that containers are of.
func (c *Client) usedImages(ctx context.Context, e *engine.Engine, opts PruneOptions) (map[string]bool, error) {
	var going []string
	if opts.DryRun {
		var err error
		if going, err = c.Prune(ctx, opts); err != nil {
			return nil, err
		}
	}
	items, err := listContainers(ctx, e, nil)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, it := range items {
		if !slices.Contains(going, it.name()) {
			used[bareID(it.ImageID)] = true
		}
	}
	return used, nil
}

// bareID is an image's ID without the algorithm, which engines leave out here
// and there.
func bareID(id string) string { return strings.TrimPrefix(id, "sha256:") }

// pruneImage removes an image, if it is as its record says and not used, and
// returns what to call it; else nothing.
func pruneImage(ctx context.Context, e *engine.Engine, dir state.Dir, r state.Image, used map[string]bool, dry bool) (string, error) {
	img, err := inspectImage(ctx, e, bareID(r.ID))
	if errors.Is(err, ErrImageNotFound) {
		return "", dir.ForgetImage(r) // somebody was first
	}
	if err != nil {
		return "", err
	}
	name := r.Name
	switch tags := img.RepoTags; {
	case bareID(img.ID) != bareID(r.ID) || used[bareID(img.ID)]:
		return "", nil
	case len(tags) == 0:
		name = bareID(img.ID)
	case len(tags) > 1 || !sameName(tags[0], r.Name):
		return "", nil // somebody has given it a name
	}
	if dry {
		return name, nil
	}
	// By ID: then no engine removes one that has a second name by now, nor
	// one that a container is of, or another image.
	err = e.JSON(ctx, http.MethodDelete, "/images/"+bareID(r.ID), nil, nil, nil)
	se, ok := errors.AsType[*engine.StatusError](err)
	switch {
	case ok && se.Status == http.StatusConflict:
		return "", nil
	case ok && se.NotFound():
		return "", dir.ForgetImage(r)
	case err != nil:
		return "", apiError(err, "remove image "+name, "")
	}
	return name, dir.ForgetImage(r)
}

// sameName compares an engine's name of an image with ours. Podman puts a
// registry in front.
func sameName(tag, name string) bool {
	repo, version := splitTag(name)
	name = repo + ":" + version
	for _, registry := range []string{"localhost/", "docker.io/library/", "docker.io/"} {
		if rest, ok := strings.CutPrefix(tag, registry); ok && rest == name {
			return true
		}
	}
	return tag == name
}

// made keeps the record of an image that this program has made, for
// PruneImages. One that cannot be kept is not pruned, which harms nobody.
func (c *Client) made(ctx context.Context, e *engine.Engine, name, project string) {
	img, err := inspectImage(ctx, e, name)
	if err != nil {
		return
	}
	if dir, err := c.stateDir(); err == nil {
		_ = dir.KeepImage(state.Image{Engine: e.Path, ID: img.ID, Name: name, Project: project})
	}
}
