package project_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/project"
)

func ExampleLoad() {
	p, err := project.Find(".")
	if err != nil {
		log.Fatal(err) // project.ErrNotInitialized: pocketdock init makes one
	}
	defer p.Close()
	s, err := project.Load(project.LoadOptions{Project: p})
	if err != nil {
		log.Fatal(err) // with file, line and column
	}
	for _, v := range s.Values() {
		fmt.Printf("%-30s %-15s %s\n", v.Key, v.Value, v.From())
	}
}

func ExampleProject_CreateInstance() {
	ctx := context.Background()
	var client pocketdock.Client
	var p *project.Project  // from Find
	var s *project.Settings // from Load
	o := pocketdock.CreateOptions{Project: s.ProjectName, Persist: true}
	box, err := client.Create(ctx, "debian:bookworm-slim", o)
	if err != nil {
		log.Fatal(err)
	}
	inst, err := p.CreateInstance(project.NewManifest(box, "debian:bookworm-slim", "", o))
	if err != nil {
		log.Print(err) // it works without a record, too
	}
	defer inst.Close()
	inst.Recorded(box, s.Logging).Run(ctx, pocketdock.Shell("make"))
}

func ExampleInstance_ReadLog() {
	ctx := context.Background()
	var inst *project.Instance // from Project.Instance
	last, err := inst.History(project.HistoryOptions{Last: 1})
	if err != nil || len(last) == 0 {
		log.Fatal("nothing ran: ", err)
	}
	for rec, err := range inst.ReadLog(ctx, last[0].Log, project.LogOptions{At: last[0].At, Follow: true}) {
		if err != nil {
			log.Fatal(err)
		}
		os.Stdout.Write(rec.Data) // as it was printed, control characters too
	}
}

func ExampleDoctor() {
	ctx := context.Background()
	report := project.Doctor(ctx, &pocketdock.Client{}, nil)
	for _, f := range report.Findings {
		fmt.Println(f.Severity, f.What)
		if f.Severity > project.Fine {
			fmt.Printf("  %s\n  %s\n", f.Why, f.Fix)
		}
	}
	if _, err := project.Fix(ctx, report); err != nil {
		log.Fatal(err)
	}
}
