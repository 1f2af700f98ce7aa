package pocketdock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pocketdock/pocketdock/internal/engine"
	"github.com/pocketdock/pocketdock/internal/state"
)

// sweepers is how many containers are removed at once; an engine takes some
// 100 ms for each.
const sweepers = 4

// engine settles what belongs to one engine.
func (s *sweep) engine(ctx context.Context, path string, sh *share) {
	e, err := s.client.openAt(ctx, path)
	if err != nil {
		s.fail(fmt.Errorf("sweep: what is on the engine of %s stays: %w", path, err))
		return
	}
	for _, dir := range sh.work {
		s.work(ctx, e, dir)
	}
	if len(sh.boxes)+len(sh.gone) == 0 {
		return
	}
	claims, err := s.claims(ctx, e)
	if err != nil {
		s.fail(fmt.Errorf("sweep: %w", err))
		return
	}
	for _, g := range sh.gone {
		r, _, err := g.Record()
		if err != nil {
			continue
		}
		if c := s.container(e, verdict{lost, g.Box, r}, claims[g.Box]); c != nil && s.destroy(ctx, c) {
			s.file(os.Remove(g.Path))
		}
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, sweepers)
	for _, v := range sh.boxes {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			s.box(ctx, e, v, claims[v.box])
		})
	}
	wg.Wait()
	for _, v := range sh.boxes {
		if v.kind != replaced {
			continue
		}
		// What was to replace it is settled by now.
		if c := s.container(e, v, claims[v.box]); c != nil {
			s.fail(s.unfinishedReboot(ctx, c, v.record))
		} else {
			v.record.Aside = nil
			s.file(v.box.SetRecord(*v.record))
		}
	}
}

// claims are an engine's containers that say they are ours, by the directory
// that they name.
func (s *sweep) claims(ctx context.Context, e *engine.Engine) (map[state.Box][]apiListItem, error) {
	items, err := listContainers(ctx, e, map[string][]string{"label": {labelManaged + "=true"}})
	if err != nil {
		return nil, err
	}
	claims := map[state.Box][]apiListItem{}
	for _, it := range items {
		if b, ok := s.dir.Box(it.Labels[labelDataPath]); ok {
			claims[b] = append(claims[b], it)
		}
	}
	return claims, nil
}

// container is the one among those that name a directory which the record is
// of; nil if there is none.
func (s *sweep) container(e *engine.Engine, v verdict, claims []apiListItem) *Container {
	for _, it := range claims {
		if v.record == nil || records(v.record, it.ID, it.name()) {
			return &Container{client: s.client, engine: e, id: it.ID, name: it.name(), box: v.box,
				persist: it.Labels[labelPersist] == "true"}
		}
	}
	return nil
}

// box settles one directory. claims are the containers that name it.
func (s *sweep) box(ctx context.Context, e *engine.Engine, v verdict, claims []apiListItem) {
	if ctx.Err() != nil {
		s.fail(context.Cause(ctx))
		return
	}
	c := s.container(e, v, claims)
	switch {
	case v.kind == lasting:
		s.lasting(ctx, e, v, len(claims) > 0)
	case v.kind == replaced:
	case c != nil && v.record == nil:
		// The record was damaged; whose it is, nobody knows.
		s.file(v.box.SetRecord(c.newRecord()))
	case c != nil:
		s.destroy(ctx, c)
	case len(claims) > 0:
		// Another container names this directory; it may even use it.
	case v.record != nil && v.record.ID == "" && mayBeUnderWay(v.box):
		s.removed(s.dir.Bury(v.box))
	default:
		s.removed(v.box.Remove())
	}
}

// mayBeUnderWay reports that the engine may have been asked for the container,
// and may still be making it.
func mayBeUnderWay(b state.Box) bool {
	_, err := os.Stat(filepath.Join(string(b), recipeFile))
	return err == nil
}

// lasting removes the directory of a container that is meant to last when it
// has been missing for long.
func (s *sweep) lasting(ctx context.Context, e *engine.Engine, v verdict, there bool) {
	if v.record.Resident {
		_, err := inspect(ctx, e, v.record.ID)
		there = !errors.Is(err, ErrContainerNotFound)
	}
	if there {
		s.file(v.box.Found())
		return
	}
	since, err := v.box.Missing()
	switch {
	case err != nil:
		s.file(err)
	case v.record.Resident || time.Since(since) > missed:
		s.removed(v.box.Remove())
	}
}

// destroy removes a container and its directory; others may be doing the same.
func (s *sweep) destroy(ctx context.Context, c *Container) bool {
	err := c.Destroy(ctx)
	if err != nil {
		// Podman has several words for a container that is going.
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if c.waitRemoved(ctx) == nil {
			err = c.box.Remove()
		}
	}
	if err != nil {
		s.fail(fmt.Errorf("sweep: %w", err))
		return false
	}
	s.removed(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Containers = append(s.report.Containers, c.name)
	return true
}

// openAt opens the engine at a socket, or the client's own for "".
func (c *Client) openAt(ctx context.Context, path string) (*engine.Engine, error) {
	if path == "" {
		return c.open(ctx)
	}
	e, err := engine.Open(ctx, path)
	if err == nil {
		return e, nil
	}
	// It may be one that has to be started.
	if own, e := c.open(ctx); e == nil && own.Path == path {
		return own, nil
	}
	return nil, apiError(err, "connect", "")
}
