package pocketdock

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
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
}

// List lists the containers that pocketdock created, newest first.
func (c *Client) List(ctx context.Context, opts ListOptions) ([]ListItem, error) {
	items, err := c.list(ctx, opts)
	if err != nil {
		return nil, err
	}
	list := make([]ListItem, 0, len(items))
	for _, it := range items {
		item := ListItem{ID: it.ID, Image: it.Labels[labelImage], Status: it.State,
			Created: time.Unix(it.Created, 0), Project: it.Labels[labelProject],
			Profile: it.Labels[labelProfile], Persist: it.Labels[labelPersist] == "true"}
		if t, err := time.Parse(time.RFC3339Nano, it.Labels[labelCreatedAt]); err == nil {
			item.Created = t
		}
		if len(it.Names) > 0 {
			item.Name = strings.TrimPrefix(it.Names[0], "/")
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
	text, err := json.Marshal(filters)
	if err != nil {
		return nil, err
	}
	var items []apiListItem
	q := url.Values{"all": {"1"}, "filters": {string(text)}}
	err = e.JSON(ctx, "GET", "/containers/json", q, nil, &items)
	return items, apiError(err, "list containers", "")
}

// PruneOptions select what Prune removes.
type PruneOptions struct {
	// Project restricts it to one project. Empty: all.
	Project string
	// Persistent removes stopped containers that are Persist, too.
	Persistent bool
}

// Prune removes the containers of pocketdock that do not run, and returns
// their names. Without Persistent, those that are meant to last stay.
func (c *Client) Prune(ctx context.Context, opts PruneOptions) ([]string, error) {
	items, err := c.list(ctx, ListOptions{Project: opts.Project})
	if err != nil {
		return nil, err
	}
	var removed []string
	var errs []error
	for _, it := range items {
		persist := it.Labels[labelPersist] == "true"
		// "created" may be a container that another program is about to start.
		if it.State != "exited" && it.State != "dead" && it.State != "stopped" || persist && !opts.Persistent {
			continue
		}
		box, err := c.Get(ctx, it.ID)
		if errors.Is(err, ErrContainerNotFound) {
			continue
		}
		if err == nil {
			err = box.Destroy(ctx)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, box.Name())
	}
	return removed, errors.Join(errs...)
}
