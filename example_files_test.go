package pocketdock_test

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"

	"github.com/pocketdock/pocketdock"
)

func ExampleContainer_CreateFile() {
	var box *pocketdock.Container // from Client.Create or Client.Get
	w, err := box.CreateFile(context.Background(), "data/rows.csv", pocketdock.FileOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Abort() // does nothing after Close
	rows := csv.NewWriter(w)
	for i := range 1000 {
		rows.Write([]string{fmt.Sprint(i), fmt.Sprint(i * i)})
	}
	rows.Flush()
	if err := w.Close(); err != nil { // now it is there, whole
		log.Fatal(err)
	}
}

func ExampleContainer_FS() {
	var box *pocketdock.Container // from Client.Create or Client.Get
	src := box.FS(context.Background(), "/usr/src/app")
	err := fs.WalkDir(src, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			fmt.Println(path)
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleContainer_Push() {
	var box *pocketdock.Container // from Client.Create or Client.Get
	err := box.Push(context.Background(), ".", "/work", pocketdock.TransferOptions{
		GitIgnore: true,
		Exclude:   []string{"/.git", "*.secret", "!sample.secret"},
		Progress: func(p pocketdock.Progress) {
			fmt.Printf("\r%d of %d files", p.Files, p.TotalFiles)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleContainer_PullTar() {
	var box *pocketdock.Container // from Client.Create or Client.Get
	gz := gzip.NewWriter(os.Stdout)
	err := box.PullTar(context.Background(), "/srv", gz, pocketdock.TransferOptions{})
	if err := errors.Join(err, gz.Close()); err != nil {
		log.Fatal(err)
	}
}

func ExampleClient_PruneImages() {
	var client pocketdock.Client
	unused, err := client.PruneImages(context.Background(), pocketdock.PruneOptions{DryRun: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("nothing uses", unused)
}
