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
	Image    string // empty: the profile's
	Options  CreateOptions
	NoMounts bool `json:",omitempty"`
}

const recipeFile = "create.json"

func (n *creation) keepRecipe() error {
	b, err := json.Marshal(recipe{n.wanted, n.opts, n.noMounts})
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
// handle. When the new one cannot be started, the old one is put back, unless
// it is one that the engine removes when it stops, see [Container.Stop].
func (c *Container) RebootFresh(ctx context.Context) (*Container, error) {
	if c.box == "" {
		return nil, fmt.Errorf("container %s: only a container that pocketdock created here can be recreated: %w", c.name, ErrUnsupported)
	}
	r, err := readRecipe(c.box)
	if err != nil {
		return nil, fmt.Errorf("container %s: its options are not known any more, create it anew: %w", c.name, err)
	}
	r.Options.Name = c.name
	if r.Options.Secrets, err = readSecrets(c.box); err != nil {
		return nil, fmt.Errorf("container %s: its secrets cannot be read, create it anew: %w", c.name, err)
	}
	n := &creation{client: c.client, engine: c.engine, image: r.Image, opts: r.Options, owner: self(), noMounts: r.NoMounts, replaces: c.id}
	if err := n.resolve(ctx); err != nil {
		return nil, err
	}
	rec, err := c.box.Record()
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", c.name, err)
	}
	if o := owner(rec.Owner); !o.dead() {
		n.owner = o // whose container it is does not change
	}
	// The old one keeps its files under another name until the new one runs;
	// the record says so, for a sweep after a kill -9.
	rec.Aside = &state.Aside{Name: c.name, Owner: string(self())}
	if err := c.box.SetRecord(*rec); err != nil {
		return nil, err
	}
	if err := c.rename(ctx, fmt.Sprintf("%.100s-old-%.8s", c.name, c.id)); err != nil {
		return nil, errors.Join(err, c.putBack(rec))
	}
	state.Step("aside")
	// The name goes first: an engine may remove the container when it stops.
	if err := c.Stop(ctx); err != nil && !errors.Is(err, ErrContainerGone) {
		return nil, errors.Join(err, c.rename(ctx, c.name), c.putBack(rec))
	}
	fresh, err := n.do(ctx)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		return nil, errors.Join(err, c.rename(ctx, c.name), c.putBack(rec), c.start(ctx))
	}
	return fresh, c.Destroy(ctx)
}

// putBack makes the container again what it was before it was to be replaced.
func (c *Container) putBack(r *state.Record) error {
	r.Aside = nil
	return c.box.SetRecord(*r)
}

// unfinishedReboot ends a RebootFresh whose program was killed: either the new
// container was finished, or the old one, c, gets its name back.
func (s *sweep) unfinishedReboot(ctx context.Context, c *Container, r *state.Record) error {
	in, err := inspect(ctx, c.engine, r.Aside.Name)
	switch {
	case err == nil && in.ID == c.id: // before it was renamed
		return c.putBack(r)
	case err == nil:
		if b, ok := boxOf(s.dir, in); ok {
			if made, err := b.Record(); err == nil && made.ID == in.ID && made.Replaces == c.id {
				s.destroy(ctx, c)
				return nil
			}
		}
		return fmt.Errorf("container %s cannot get its name %s back, another container has it: rename one of them", c.name, r.Aside.Name)
	case !errors.Is(err, ErrContainerNotFound):
		return err
	}
	if err := c.rename(ctx, r.Aside.Name); err != nil {
		return err
	}
	return c.putBack(r)
}

func (c *Container) rename(ctx context.Context, name string) error {
	q := url.Values{"name": {name}}
	return c.apiErr(ctx, c.engine.JSON(ctx, "POST", c.path("/rename"), q, nil, nil), "rename")
}
