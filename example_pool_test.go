package pocketdock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/pocketdock/pocketdock"
)

func ExamplePool() {
	ctx := context.Background()
	var client pocketdock.Client
	pool, err := client.NewPool(ctx, "debian:bookworm-slim", pocketdock.PoolOptions{Min: 2, Max: 10})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close(context.WithoutCancel(ctx))
	box, err := pool.Acquire(ctx) // microseconds when one is ready
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Release(box) // reset in the background, for the next one
	res, err := box.Run(ctx, pocketdock.Shell("echo hello >greeting; cat greeting"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", res.Stdout)
}
