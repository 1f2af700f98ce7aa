package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/pocketdock/pocketdock"
)

// A benchmark measures with sandboxes of its own.
type benchmark struct {
	client  *pocketdock.Client
	image   string
	options pocketdock.CreateOptions
	runs    int // of what is short
	note    func(what string)

	results []timesJSON
	boxes   []*pocketdock.Container // that there are
}

const (
	benchSmall = 1 << 10
	benchLarge = 64 << 20
	benchFile  = "/tmp/.pocketdock-bench"
	// benchIdle ends the sandboxes of a program that was killed, should no
	// other sweep them. One of them waits for the others to be measured.
	benchIdle = 10 * time.Minute
)

// some is how often longer things are done, few how often the longest.
func (b *benchmark) some() int { return max(1, min(b.runs/10, 100)) }
func (b *benchmark) few() int  { return min(b.some(), 3) }

// time does something n times and notes what it took. size is in bytes, 0 for
// what is not about an amount.
func (b *benchmark) time(ctx context.Context, what string, n int, size int64, do func() error) error {
	b.note(what)
	took := make([]time.Duration, n)
	for i := range took {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		begun := time.Now()
		if err := do(); err != nil {
			return fmt.Errorf("bench: %s: %w", what, err)
		}
		took[i] = time.Since(begun)
	}
	slices.Sort(took)
	r := timesJSON{What: what, Runs: n, P50: inMilliseconds(percentile(took, 50)), P99: inMilliseconds(percentile(took, 99))}
	if size > 0 {
		r.Rate = math.Round(float64(size) / max(percentile(took, 50).Seconds(), 1e-9))
	}
	b.results = append(b.results, r)
	return nil
}

func inMilliseconds(d time.Duration) float64 { return float64(d.Round(time.Microsecond)) / 1e6 }

// percentile is the least of sorted values that p of 100 are not above.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

func (b *benchmark) measure(ctx context.Context) error {
	err := b.time(ctx, "create", b.few(), 0, func() error {
		box, err := b.client.Create(ctx, b.image, b.options)
		if err == nil {
			b.boxes = append(b.boxes, box)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, part := range []func(context.Context, *pocketdock.Container) error{b.commands, b.files} {
		if err := part(ctx, b.boxes[0]); err != nil {
			return err
		}
	}
	err = b.time(ctx, "list", b.some(), 0, func() error {
		_, err := b.client.List(ctx, pocketdock.ListOptions{})
		return err
	})
	if err != nil {
		return err
	}
	return b.time(ctx, "remove", len(b.boxes), 0, func() error {
		last := len(b.boxes) - 1
		err := b.boxes[last].Destroy(ctx)
		if err == nil {
			b.boxes = b.boxes[:last]
		}
		return err
	})
}

func (b *benchmark) commands(ctx context.Context, box *pocketdock.Container) error {
	run := func(box *pocketdock.Container, cmd pocketdock.Command) func() error {
		return func() error {
			res, err := box.Run(ctx, cmd)
			if err == nil && !res.OK() {
				err = fmt.Errorf("it ended with code %d: %s", res.ExitCode, printable(string(res.Stderr)))
			}
			return err
		}
	}
	output := pocketdock.Argv("dd", "if=/dev/zero", "bs=1048576", fmt.Sprintf("count=%d", benchLarge>>20))
	output.Stdout = sink{}
	err := errors.Join(
		b.time(ctx, "run", b.runs, 0, run(box, pocketdock.Argv("true"))),
		b.time(ctx, "exec", b.some(), 0, run(box.WithoutAgent(), pocketdock.Argv("true"))),
		b.time(ctx, "output", b.few(), benchLarge, run(box, output)))
	if err != nil {
		return err
	}
	s, err := box.OpenSession(ctx, pocketdock.Command{})
	if err != nil {
		return err
	}
	err = b.time(ctx, "session", b.runs, 0, func() error {
		_, err := s.SendAndWait(ctx, "true", pocketdock.SendOptions{})
		return err
	})
	return errors.Join(err, s.Close(context.WithoutCancel(ctx)))
}

func (b *benchmark) files(ctx context.Context, box *pocketdock.Container) error {
	small := make([]byte, benchSmall)
	for i := range small {
		small[i] = byte(i)
	}
	steps := []struct {
		what string
		n    int
		size int64
		do   func() error
	}{
		{"write", b.runs, 0, func() error { return box.WriteFile(ctx, benchFile, small, pocketdock.FileOptions{}) }},
		{"read", b.runs, 0, func() error { _, err := box.ReadFile(ctx, benchFile); return err }},
		{"stat", b.runs, 0, func() error { _, err := box.Stat(ctx, benchFile, pocketdock.FileOptions{}); return err }},
		{"push", b.few(), benchLarge, func() error {
			return box.CopyIn(ctx, benchFile, io.LimitReader(repeated(small), benchLarge), pocketdock.FileOptions{})
		}},
		{"pull", b.few(), benchLarge, func() error {
			_, r, err := box.OpenFile(ctx, benchFile, pocketdock.ReadOptions{})
			if err != nil {
				return err
			}
			_, err = io.CopyBuffer(sink{}, struct{ io.Reader }{r}, make([]byte, 1<<20))
			return errors.Join(err, r.Close())
		}},
	}
	for _, s := range steps {
		if err := b.time(ctx, s.what, s.n, s.size, s.do); err != nil {
			return err
		}
	}
	return nil
}

// clean removes what sandboxes are left, whatever ended us.
func (b *benchmark) clean(ctx context.Context) error {
	var errs []error
	for _, box := range b.boxes {
		errs = append(errs, throwAway(ctx, box))
	}
	return errors.Join(errs...)
}

// repeated reads the same bytes without end.
type repeated []byte

func (r repeated) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], r)
	}
	return n, nil
}

// sink takes output and does nothing with it. (io.Discard would read it in
// small pieces.)
type sink struct{}

func (sink) Write(p []byte) (int, error) { return len(p), nil }
