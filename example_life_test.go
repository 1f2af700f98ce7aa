package pocketdock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/pocketdock/pocketdock"
)

func ExampleClient_Sweep() {
	var client pocketdock.Client
	if !client.SweepNeeded() { // costs no request
		return
	}
	report, err := client.Sweep(context.Background())
	if err != nil {
		log.Print(err) // what could not be removed stays for the next time
	}
	fmt.Println("removed:", report.Containers)
}

func ExampleContainer_Resume() {
	ctx := context.Background()
	var client pocketdock.Client
	box, err := client.Get(ctx, "my-sandbox") // created with Persist, maybe before a reboot
	if err != nil {
		log.Fatal(err)
	}
	if err := box.Resume(ctx); err != nil {
		log.Fatal(err)
	}
	if _, err := box.Run(ctx, pocketdock.Argv("make")); err != nil {
		log.Fatal(err)
	}
}
