package pocketdock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock"
)

func Example() {
	ctx := context.Background()
	var client pocketdock.Client
	box, err := client.Create(ctx, "debian:bookworm-slim", pocketdock.CreateOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer box.Shutdown(ctx)
	res, err := box.Run(ctx, pocketdock.Code("python", `print("hello"); exit(3)`))
	if err != nil {
		log.Fatal(err) // it could not be run; a failing command is a result
	}
	fmt.Printf("%sexit code %d\n", res.Stdout, res.ExitCode)
}

func ExampleContainer_Run() {
	ctx := context.Background()
	var box *pocketdock.Container // from Client.Create or Client.Get
	cmd := pocketdock.Argv("sort")
	cmd.Stdin = strings.NewReader("b\na\n")
	cmd.Timeout = 5 * time.Second
	res, err := box.Run(ctx, cmd)
	switch {
	case errors.Is(err, pocketdock.ErrContainerNotRunning):
		log.Fatal("it was stopped: ", err)
	case err != nil:
		log.Fatal(err)
	case res.TimedOut:
		fmt.Printf("so far: %s", res.Stdout)
	default:
		fmt.Printf("%s", res.Stdout)
	}
}

func ExampleContainer_Stream() {
	var box *pocketdock.Container // from Client.Create or Client.Get
	s, err := box.Stream(context.Background(), pocketdock.Shell("make 2>&1"))
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	for chunk := range s.Chunks() {
		os.Stdout.Write(chunk.Data)
	}
	res, err := s.Result()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("exit code", res.ExitCode)
}

func ExampleContainer_Start() {
	ctx := context.Background()
	var box *pocketdock.Container // from Client.Create or Client.Get
	p, err := box.Start(ctx, pocketdock.Argv("python3", "-m", "http.server"))
	if err != nil {
		log.Fatal(err)
	}
	// Any program finds it again by its ID.
	out, err := box.Process(p.ID()).Output(ctx, pocketdock.Offset{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("running: %v, so far: %s", out.Running, out.Stdout)
	if err := p.Kill(ctx, time.Second); err != nil {
		log.Fatal(err)
	}
}

func ExampleContainer_WriteFile() {
	ctx := context.Background()
	var box *pocketdock.Container // from Client.Create or Client.Get
	err := box.WriteFile(ctx, "src/main.py", []byte("print(1)"), pocketdock.FileOptions{})
	if err != nil {
		log.Fatal(err)
	}
	files, err := box.ListFiles(ctx, "src", pocketdock.FilesOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range files {
		fmt.Println(f.Path, f.Size)
	}
}

func ExampleContainer_Dial() {
	var box *pocketdock.Container // its network may be off
	conn, err := box.Dial(context.Background(), "tcp", "127.0.0.1:8000")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
}

func ExampleContainer_Snapshot() {
	ctx := context.Background()
	var client pocketdock.Client
	box, err := client.Get(ctx, "my-sandbox")
	if err != nil {
		log.Fatal(err)
	}
	opts := pocketdock.SnapshotOptions{Comment: "with dependencies", Exclude: []string{"/tmp", "/root/.cache"}}
	if _, err := box.Snapshot(ctx, "my-image:v1", opts); err != nil {
		log.Fatal(err)
	}
}
