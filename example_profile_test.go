package pocketdock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/pocketdock/pocketdock"
)

func ExampleClient_Create_profile() {
	ctx := context.Background()
	var client pocketdock.Client
	// Without a network, as all profiles in which programs run unread.
	box, err := client.Create(ctx, "", pocketdock.CreateOptions{Profile: "agent"})
	if err != nil {
		log.Fatal(err) // a missing image: get it with pocketdock build agent
	}
	defer box.Shutdown(ctx)
	res, err := box.Run(ctx, pocketdock.Code("python", "import pandas; print(pandas.__version__)"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", res.Stdout)
}

func ExampleClient_Create_host() {
	ctx := context.Background()
	var client pocketdock.Client
	// This machine's own programs: there is nothing to build or download.
	box, err := client.Create(ctx, "", pocketdock.CreateOptions{Profile: pocketdock.ProfileHost})
	if err != nil {
		log.Fatal(err)
	}
	defer box.Shutdown(ctx)
	res, err := box.Run(ctx, pocketdock.Argv("python3", "--version"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", res.Stdout)
}

func ExampleClient_BuildProfile() {
	var client pocketdock.Client
	own := pocketdock.Profile{Name: "rust", Dir: "profiles/rust", Network: true}
	for ev, err := range client.BuildProfile(context.Background(), own, pocketdock.ProfileBuildOptions{}) {
		switch {
		case err != nil:
			log.Fatal(err) // which step, why, and what to do
		case ev.Kind == pocketdock.BuildStep:
			fmt.Printf("%d of %d: %s\n", ev.Step, ev.Steps, ev.Instruction)
		}
	}
}
