package imageset_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/imageset"
)

func ExampleExportFile() {
	var client pocketdock.Client
	names := []string{"pocketdock/agent:latest", "my-snapshot:v1"}
	set, err := imageset.ExportFile(context.Background(), &client, "images.tar.zst", names, imageset.ExportOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, img := range set.Images {
		fmt.Println(img.Tag, img.Size)
	}
}

func ExampleImportFile() {
	var client pocketdock.Client // of another machine, Docker or Podman
	set, err := imageset.ImportFile(context.Background(), &client, "images.tar.zst", imageset.ImportOptions{
		Progress: func(p imageset.Progress) { fmt.Printf("%s: %d of %d\n", p.Stage, p.Done, p.Total) },
	})
	switch {
	case errors.Is(err, imageset.ErrFormat):
		log.Fatal("nothing was loaded: ", err)
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println(len(set.Images), "images")
}

func ExampleImport() {
	var client pocketdock.Client
	if _, err := imageset.Import(context.Background(), &client, os.Stdin, imageset.ImportOptions{}); err != nil {
		log.Fatal(err)
	}
}
