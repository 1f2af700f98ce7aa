package pocketdock_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/pocketdock/pocketdock"
)

func ExampleContainer_OpenSession() {
	ctx := context.Background()
	var box *pocketdock.Container // from Client.Create or Client.Get
	s, err := box.OpenSession(ctx, pocketdock.Command{ID: "work"})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close(ctx)
	s.SendAndWait(ctx, "cd /tmp; x=5", pocketdock.SendOptions{})
	res, err := s.SendAndWait(ctx, "echo $x in $PWD", pocketdock.SendOptions{Timeout: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", res.Stdout) // 5 in /tmp
}

func ExampleContainer_Session() {
	ctx := context.Background()
	var box *pocketdock.Container // from Client.Get, in another program
	s, err := box.Session(ctx, "work")
	if err != nil {
		log.Fatal(err)
	}
	dir, err := s.Dir(ctx)
	fmt.Println(dir, err)
}

func ExampleContainer_OnStdout() {
	ctx := context.Background()
	var box *pocketdock.Container // from Client.Create or Client.Get
	stop, err := box.OnStdout(ctx, func(p *pocketdock.Process, c pocketdock.Chunk) {
		fmt.Printf("%s: %s", p.ID(), c.Data)
	})
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	box.Start(ctx, pocketdock.Shell("make"))
}

func ExampleCreateOptions_secrets() {
	var client pocketdock.Client
	box, err := client.Create(context.Background(), "debian:bookworm-slim", pocketdock.CreateOptions{
		Env:     map[string]string{"API": "https://example.com"},
		Secrets: map[string]string{"TOKEN": os.Getenv("TOKEN")}, // not in docker inspect, nor in a snapshot
	})
	fmt.Println(box, err)
}
