package pocketdock

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock/internal/engine"
)

// ListOptions select containers. The zero value selects all that pocketdock
// created on this engine.
type ListOptions struct {
	// Project selects the containers of one project. Empty: all.
	Project string
	// Running leaves out those that do not run.
	Running bool
}

// A ListItem describes one container in a list.
type ListItem struct {
	ID      string
	Name    string
	Image   string
	Status  string // "running", "exited", "created", …
	Created time.Time
	Project string
	Profile string
	Persist bool
	Labels  map[string]string
}

// List lists the containers that pocketdock created, newest first.
func (c *Client) List(ctx context.Context, opts ListOptions) ([]ListItem, error) {
	items, err := c.list(ctx, opts)
	if err != nil {
		return nil, err
	}
	list := make([]ListItem, 0, len(items))
	for _, it := range items {
		item := ListItem{ID: it.ID, Name: it.name(), Image: it.Labels[labelImage], Status: it.State,
			Created: time.Unix(it.Created, 0), Project: it.Labels[labelProject],
			Profile: it.Labels[labelProfile], Persist: it.Labels[labelPersist] == "true", Labels: it.Labels}
		if t, err := time.Parse(time.RFC3339Nano, it.Labels[labelCreatedAt]); err == nil {
			item.Created = t
		}
		if item.Image == "" {
			item.Image = it.Image
		}
		list = append(list, item)
	}
	slices.SortStableFunc(list, func(a, b ListItem) int { return b.Created.Compare(a.Created) })
	return list, nil
}

func (c *Client) list(ctx context.Context, opts ListOptions) ([]apiListItem, error) {
	e, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	label := []string{labelManaged + "=true"}
	if opts.Project != "" {
		label = append(label, labelProject+"="+opts.Project)
	}
	filters := map[string][]string{"label": label}
	if opts.Running {
		filters["status"] = []string{"running"}
	}
	return listContainers(ctx, e, filters)
}

// listContainers lists an engine's containers that filters select.
func listContainers(ctx context.Context, e *engine.Engine, filters map[string][]string) ([]apiListItem, error) {
	text, err := json.Marshal(filters)
	if err != nil {
		return nil, err
	}
	var items []apiListItem
	q := url.Values{"all": {"1"}, "filters": {string(text)}}
	err = e.JSON(ctx, "GET", "/containers/json", q, nil, &items)
	return items, apiError(err, "list containers", "")
}

// name is the container's, without the engine's slash.
func (it *apiListItem) name() string {
	if len(it.Names) == 0 {
		return ""
	}
	return strings.TrimPrefix(it.Names[0], "/")
}

// PruneOptions select what Prune removes.
type PruneOptions struct {
	// Project restricts it to one project. Empty: all.
	Project string
	// Persistent removes stopped containers that are Persist, too.
	Persistent bool
	// DryRun removes nothing and returns what would be removed.
	DryRun bool
}

// Prune removes containers that do not run, and returns their names: those
// that this state directory has a record of, and that belong to no other
// program that lives (this one and those that started it may have theirs
// pruned). Without Persistent, those that are meant to last stay.
func (c *Client) Prune(ctx context.Context, opts PruneOptions) ([]string, error) {
	items, err := c.list(ctx, ListOptions{Project: opts.Project})
	if err != nil {
		return nil, err
	}
	dir, err := c.stateDir()
	if err != nil {
		return nil, err
	}
	mine := ancestry()
	dead := coroner{}
	var removed []string
	var errs []error
	for _, it := range items {
		// "created" may be a container that another program is about to start.
		if it.State != "exited" && it.State != "dead" && it.State != "stopped" {
			continue
		}
		b, ok := dir.Box(it.Labels[labelDataPath])
		if !ok {
			continue
		}
		r, err := b.Record()
		if err != nil || !ownFile(string(b)) || r.ID != it.ID || r.Aside != nil {
			continue
		}
		if r.Persist && !opts.Persistent || !r.Persist && owner(r.Owner) != nobody && !mine[owner(r.Owner)] && !dead.dead(owner(r.Owner), r.Machine) {
			continue
		}
		box, err := c.Get(ctx, it.ID)
		if errors.Is(err, ErrContainerNotFound) {
			continue
		}
		if err == nil && !opts.DryRun {
			err = box.remove(ctx, false)
			if running, _ := box.Running(ctx); err != nil && running {
				continue // somebody has resumed it meanwhile
			}
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, box.Name())
	}
	return removed, errors.Join(errs...)
}
