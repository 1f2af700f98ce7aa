package pocketdock_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

func benchPool(b *testing.B, e testEngine, o pocketdock.PoolOptions) *pocketdock.Pool {
	b.Helper()
	o.Create.Project = testProject
	pool, err := e.client.NewPool(b.Context(), busybox, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := pool.Close(context.WithoutCancel(b.Context())); err != nil {
			b.Error(err)
		}
	})
	for pool.Stats().Warm < o.Min {
		time.Sleep(time.Millisecond)
	}
	return pool
}

// BenchmarkPoolAcquire is an Acquire while a sandbox is ready. The time that
// its reset takes is not in the quantiles.
func BenchmarkPoolAcquire(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			pool := benchPool(b, e, pocketdock.PoolOptions{Min: 2, Max: 2})
			var took []time.Duration
			for b.Loop() {
				for pool.Stats().Warm == 0 {
					time.Sleep(100 * time.Microsecond)
				}
				begun := time.Now()
				box, err := pool.Acquire(b.Context())
				took = append(took, time.Since(begun))
				if err == nil {
					err = pool.Release(box)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "p99-µs")
		})
	}
}

// BenchmarkPoolCycle is a command in a clean sandbox: from a pool, reset by
// the next one's wait, and beside it in a container of its own.
func BenchmarkPoolCycle(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name+"/pool", func(b *testing.B) {
			pool := benchPool(b, e, pocketdock.PoolOptions{Min: 1, Max: 1})
			each(b, func() error {
				box, err := pool.Acquire(b.Context())
				if err != nil {
					return err
				}
				return errors.Join(runTrue(b, box)(), pool.Release(box))
			})
		})
		b.Run(e.name+"/create", func(b *testing.B) {
			each(b, func() error {
				box, err := newBox(b.Context(), e, socketWay, busybox)
				if err != nil {
					return err
				}
				return errors.Join(runTrue(b, box)(), box.Destroy(b.Context()))
			})
		})
	}
}
