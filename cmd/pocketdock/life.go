package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pocketdock/pocketdock"
)

// atOnce bounds how many containers an engine is asked about at a time.
const atOnce = 8

// eachBox does the same to every container named, several at a time, and
// prints the name of each for which it went well, in order. One that fails
// does not keep the others from it; all errors are reported.
func (a *app) eachBox(ctx context.Context, names []string, do func(ctx context.Context, box *pocketdock.Container) error) error {
	errs := make([]error, len(names))
	done := make([]chan struct{}, len(names))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, name := range names {
		done[i] = make(chan struct{})
		wg.Go(func() {
			defer close(done[i])
			slots <- struct{}{}
			defer func() { <-slots }()
			box, err := a.client.Get(ctx, name)
			if err == nil {
				err = do(ctx, box)
			}
			errs[i] = err
		})
	}
	var failed []error
	for i, name := range names {
		<-done[i]
		if errs[i] != nil {
			failed = append(failed, errs[i])
			continue
		}
		if _, err := fmt.Fprintln(a.out, name); err != nil {
			failed = append(failed, err)
			break
		}
	}
	wg.Wait()
	if len(failed) < 2 {
		return errors.Join(failed...)
	}
	// The first is left for the end of the program, which picks the code.
	for _, err := range failed[1:] {
		if ctx.Err() == nil && !errors.Is(err, errPipeClosed) {
			a.complain(ctx, err)
		}
	}
	return failed[0]
}

// engineName describes the engine, for --verbose.
func (a *app) engineName(ctx context.Context) string {
	if !a.verbose {
		return ""
	}
	e, err := a.client.Engine(ctx)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %s at %s", e.Name, e.Version, e.Socket)
}
