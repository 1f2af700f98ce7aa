package pocketdock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/pocketdock/pocketdock/internal/state"
)

// recipe is what a container was created from, kept in its directory.
type recipe struct {
	Image   string
	Options CreateOptions
}

const recipeFile = "create.json"

func (n *creation) keepRecipe() error {
	b, err := json.Marshal(recipe{n.image, n.opts})
	if err != nil {
		return err
	}
	return n.box.WriteFile(recipeFile, b)
}

func readRecipe(box state.Box) (*recipe, error) {
	b, err := box.ReadFile(recipeFile)
	if err != nil {
		return nil, err
	}
	r := &recipe{}
	return r, json.Unmarshal(b, r)
}

// RebootFresh replaces the container with a new one of the same name, image
// and options, with none of the files that were written since, and returns its
// handle. When the new one cannot be started, the old one is put back.
func (c *Container) RebootFresh(ctx context.Context) (*Container, error) {
	if c.box == "" {
		return nil, fmt.Errorf("container %s: only a container that pocketdock created here can be recreated: %w", c.name, ErrUnsupported)
	}
	r, err := readRecipe(c.box)
	if err != nil {
		return nil, fmt.Errorf("container %s: its options are not known any more, create it anew: %w", c.name, err)
	}
	r.Options.Name = c.name
	if err := c.Stop(ctx); err != nil {
		return nil, err
	}
	// The old one keeps its files under another name until the new one runs.
	aside := fmt.Sprintf("%.100s-old-%.8s", c.name, c.id)
	if err := c.rename(ctx, aside); err != nil {
		return nil, err
	}
	fresh, err := c.client.Create(ctx, r.Image, r.Options)
	if err != nil {
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		return nil, errors.Join(err, c.rename(back, c.name), c.start(back))
	}
	return fresh, c.Destroy(ctx)
}

func (c *Container) rename(ctx context.Context, name string) error {
	q := url.Values{"name": {name}}
	return c.apiErr(ctx, c.engine.JSON(ctx, "POST", c.path("/rename"), q, nil, nil), "rename")
}
