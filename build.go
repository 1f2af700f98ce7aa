package pocketdock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
)

// BuildOptions are the optional properties of a build.
type BuildOptions struct {
	// Tag of the image that is built. Empty: none.
	Tag string
	// Dockerfile's path in the context. Empty: "Dockerfile".
	Dockerfile string
	// Args are the values of ARG instructions. They are part of the image's
	// history: no place for secrets.
	Args map[string]string
	// Labels are added to the image.
	Labels map[string]string
	// NoCache builds every step anew.
	NoCache bool
}

// Build builds an image from a build context, a tar stream, and uses the
// results of earlier builds. A base image that is there is used as it is, with
// no network. The events come as the engine sends them; a build that fails
// ends with a [*BuildError]. Ending the loop early cancels the build.
func (c *Client) Build(ctx context.Context, buildContext io.Reader, opts BuildOptions) iter.Seq2[BuildEvent, error] {
	return func(yield func(BuildEvent, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var seen buildLog
		for ev, err := range c.build(ctx, buildContext, opts) {
			if err != nil {
				yield(BuildEvent{}, seen.explain(opts.Tag, err))
				return
			}
			seen.add(ev)
			if !yield(ev, nil) {
				return
			}
		}
	}
}

// build is Build, with the engine's errors as they are.
func (c *Client) build(ctx context.Context, buildContext io.Reader, opts BuildOptions) iter.Seq2[BuildEvent, error] {
	return func(yield func(BuildEvent, error) bool) {
		fail := func(err error) { yield(BuildEvent{}, err) }
		q, err := opts.query()
		if err != nil {
			fail(err)
			return
		}
		e, err := c.open(ctx)
		if err != nil {
			fail(err)
			return
		}
		body, err := e.Stream(ctx, "POST", "/build", q, buildContext, "application/x-tar")
		if err != nil {
			fail(apiError(err, "build image", ""))
			return
		}
		defer body.Close()
		for ev, err := range progress(body) {
			if failed, ok := errors.AsType[*progressError](err); ok {
				fail(failed)
				return
			}
			if err != nil {
				fail(apiError(err, "build image", ""))
				return
			}
			if !yield(ev, nil) {
				return
			}
		}
	}
}

// query is what the engine is asked for.
func (o *BuildOptions) query() (url.Values, error) {
	q := url.Values{"rm": {"1"}, "forcerm": {"1"}, "pull": {"0"}}
	if o.Tag != "" {
		if err := checkNewName(o.Tag); err != nil {
			return nil, err
		}
		q.Set("t", o.Tag)
	}
	if o.Dockerfile != "" {
		q.Set("dockerfile", o.Dockerfile)
	}
	if o.NoCache {
		q.Set("nocache", "1")
	}
	for key, m := range map[string]map[string]string{"buildargs": o.Args, "labels": o.Labels} {
		if len(m) == 0 {
			continue
		}
		b, err := json.Marshal(m)
		if err != nil {
			return nil, fmt.Errorf("build %s: %w", key, err)
		}
		q.Set(key, string(b))
	}
	return q, nil
}
