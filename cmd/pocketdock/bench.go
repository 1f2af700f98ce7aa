package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

type benchJSON struct {
	Engine  string      `json:"engine" help:"docker or podman"`
	Version string      `json:"version" help:"the engine's own"`
	Image   string      `json:"image" help:"of the sandbox"`
	Results []timesJSON `json:"results" help:"an array of"`
}

type timesJSON struct {
	What string  `json:"what" help:"create, run, exec, session, stat, write, read, push, pull, output, list, remove"`
	Runs int     `json:"runs" help:"how often it was done"`
	P50  float64 `json:"p50_ms" help:"half of them took at most that many milliseconds"`
	P99  float64 `json:"p99_ms" help:"99 of 100 took at most that many milliseconds"`
	Rate float64 `json:"bytes_per_second" help:"at the median; 0: it is not about an amount"`
}

// benchWords say what a measurement is of.
var benchWords = map[string]string{
	"create":  "create a sandbox and start it",
	"run":     "run a command (true)",
	"exec":    "the same by the engine's own exec",
	"session": "a command in a session",
	"stat":    "look at a file",
	"write":   "write a file of 1 KiB",
	"read":    "read a file of 1 KiB",
	"push":    "write a file of 64 MiB",
	"pull":    "read a file of 64 MiB",
	"output":  "64 MiB of a command's output",
	"list":    "list the sandboxes",
	"remove":  "remove a sandbox",
}

func (a *app) benchCommand() *cobra.Command {
	var image, profile string
	var runs int
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how long things take on this engine",
		Long: `Measures on this machine and engine how long it takes to create a sandbox, to run
commands, to move files and to read output, with sandboxes of its own that it
removes. It takes some seconds. "run" goes through pocketdock's agent, "exec" is
what the engine itself offers. The image needs a shell, true and dd.

Numbers are of a client that keeps running; a process of the command adds its own
start, see time pocketdock version. On a busy machine they say little.`,
		Example: `  pocketdock bench
  pocketdock bench --engine podman --profile minimal-python
  pocketdock bench --runs 1000 --json | jq '.results[] | select(.what == "run")'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if runs < 1 || runs > 100_000 {
				return usageError{cmd, fmt.Errorf("--runs %d: must be from 1 to 100000", runs)}
			}
			return noArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return a.bench(cmd.Context(), image, profile, runs) },
	}
	f := cmd.Flags()
	f.StringVar(&image, "image", "", "image to measure with (default: as for create)")
	f.StringVar(&profile, "profile", "", "profile to measure with")
	f.IntVar(&runs, "runs", 100, "how often short things are done; longer ones a tenth of that, and the longest at most 3 times")
	cmd.MarkFlagsMutuallyExclusive("image", "profile")
	_ = cmd.RegisterFlagCompletionFunc("profile", a.profileNames)
	a.takesJSON(cmd, benchJSON{}, false)
	return cmd
}

func (a *app) bench(ctx context.Context, image, profile string, runs int) error {
	w, err := a.work()
	if err != nil {
		return err
	}
	image, profile = w.origin(image, profile)
	e, err := a.client.Engine(ctx)
	if err != nil {
		return err
	}
	b := &benchmark{client: &a.client, image: image, options: pocketdock.CreateOptions{Profile: profile, IdleTimeout: benchIdle}, runs: runs,
		note: func(what string) { a.logf("%s", benchWords[what]) }}
	a.notef("Measuring, which takes some seconds.")
	err = b.measure(ctx)
	if err = errors.Join(err, b.clean(ctx)); err != nil {
		return err
	}
	if a.json {
		return a.out.printJSON(benchJSON{e.Name, e.Version, imageOf(image, profile), b.results})
	}
	var rows [][]cell
	for _, r := range b.results {
		rate := ""
		if r.Rate > 0 {
			rate = pocketdock.FormatSize(int64(r.Rate)) + "/s"
		}
		rows = append(rows, []cell{{r.What, bold}, text(benchWords[r.What]), text(fmt.Sprint(r.Runs)), text(milliseconds(r.P50)),
			text(milliseconds(r.P99)), text(rate)})
	}
	fmt.Fprintf(a.out, "%s %s, %s\n\n", e.Name, printable(e.Version), imageOf(image, profile))
	return a.out.printTable([]string{"WHAT", "", "RUNS", "P50", "P99", "RATE"}, rows)
}

func milliseconds(ms float64) string {
	return time.Duration(ms * float64(time.Millisecond)).Round(10 * time.Microsecond).String()
}
