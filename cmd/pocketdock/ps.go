package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/project"
)

type processJSON struct {
	ID       string     `json:"id" help:"for kill and attach"`
	Command  []string   `json:"command" help:"program and arguments"`
	PID      int        `json:"pid" help:"inside the sandbox"`
	User     string     `json:"user" help:"that it was started as; empty: the sandbox's"`
	Status   string     `json:"status" help:"running, exited, or lost when the sandbox stopped under it"`
	ExitCode *int       `json:"exit_code" help:"null unless it exited; 128 + n for signal n"`
	TimedOut bool       `json:"timed_out" help:"its time was up"`
	Detached bool       `json:"detached" help:"it outlives the program that started it"`
	Terminal bool       `json:"terminal" help:"it has one"`
	Started  *time.Time `json:"started" help:"RFC 3339"`
	Seconds  float64    `json:"seconds" help:"that it has run"`
	Stdout   int64      `json:"stdout" help:"bytes written"`
	Stderr   int64      `json:"stderr" help:"bytes written"`
}

func (a *app) psCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "ps CONTAINER",
		Short: "List what runs in a sandbox",
		Long: `Lists the commands that pocketdock runs in a sandbox; with --all those that have
ended, too, as far as their records are kept. With --quiet it prints IDs only.`,
		Example: `  pocketdock ps web
  pocketdock ps --quiet web | xargs pocketdock kill web`,
		Args:              exactly("CONTAINER"),
		ValidArgsFunction: a.boxes(false, isRunning),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.ps(cmd.Context(), args[0], all) },
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "those that have ended, too")
	a.takesJSON(cmd, processJSON{}, true)
	return cmd
}

func (a *app) ps(ctx context.Context, name string, all bool) error {
	box, err := a.client.Get(ctx, name)
	if err != nil {
		return err
	}
	list, err := box.Processes(ctx)
	if err != nil {
		return err
	}
	var rows [][]cell
	for _, p := range list {
		if !p.Running && !all {
			continue
		}
		j := processOf(p)
		switch {
		case a.json:
			err = a.out.printJSON(j)
		case a.quiet:
			_, err = fmt.Fprintln(a.out, p.ID)
		default:
			rows = append(rows, []cell{{p.ID, bold}, processStatus(j), text(a.out.when(p.Started)),
				text(pocketdock.FormatSize(p.Stdout + p.Stderr)), text(lineOf(p))})
		}
		if err != nil {
			return err
		}
	}
	switch {
	case a.json || a.quiet:
		return nil
	case len(rows) == 0:
		a.notef("Nothing runs in %s.", box)
		return nil
	}
	return a.out.printTable([]string{"ID", "STATUS", "STARTED", "OUTPUT", "COMMAND"}, rows)
}

// isShell reports a shell of ours, whose command line says how it was found.
func isShell(args []string) bool { return len(args) == 3 && args[2] == loginShell }

// lineOf is a process's command as a shell would take it.
func lineOf(p pocketdock.ProcessInfo) string {
	if isShell(p.Args) {
		return "sh"
	}
	return project.Quote(p.Args...)
}

func processOf(p pocketdock.ProcessInfo) processJSON {
	j := processJSON{ID: p.ID, Command: p.Args, PID: p.PID, User: p.User, Status: "running", Detached: p.Detached,
		Terminal: p.Terminal, Started: moment(p.Started), Seconds: seconds(time.Since(p.Started)), Stdout: p.Stdout, Stderr: p.Stderr}
	switch {
	case p.Running:
	case p.Result == nil:
		j.Status, j.Seconds = "lost", 0
	default:
		j.Status, j.ExitCode, j.TimedOut, j.Seconds = "exited", &p.Result.ExitCode, p.Result.TimedOut, seconds(p.Result.Duration)
	}
	return j
}

func processStatus(j processJSON) cell {
	switch {
	case j.Status == "running":
		return cell{j.Status, good}
	case j.ExitCode == nil:
		return cell{j.Status, odd}
	case j.TimedOut:
		return cell{"timed out", bad}
	case *j.ExitCode != 0:
		return cell{fmt.Sprintf("exited %d", *j.ExitCode), bad}
	}
	return cell{"exited 0", faint}
}
