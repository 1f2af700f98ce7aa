package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/project"
)

type entryJSON struct {
	Container string     `json:"container" help:"name"`
	Time      *time.Time `json:"time" help:"of its start, RFC 3339"`
	Type      string     `json:"type" help:"run, session or detach"`
	Command   string     `json:"command" help:"as a shell would take it, at most 4 KiB"`
	ID        string     `json:"id" help:"of the process; empty: not known"`
	Status    string     `json:"status" help:"running, exited, or lost: how it ended is not known"`
	ExitCode  *int       `json:"exit_code" help:"null unless it exited; 128 + n for signal n"`
	Signal    int        `json:"signal" help:"that ended it; 0: none"`
	TimedOut  bool       `json:"timed_out" help:"its time was up"`
	OOMKilled bool       `json:"oom_killed" help:"it used more memory than it may"`
	Seconds   float64    `json:"seconds" help:"that it ran"`
	Error     string     `json:"error" help:"why it did not run, or its end is not known"`
	Cut       int64      `json:"cut" help:"bytes of output that are not kept"`
	Log       string     `json:"log" help:"file in .pocketdock/instances/NAME/logs; empty: none"`
}

type logFlags struct {
	history, follow bool
	last, tail      int
	kind            string
}

// lastLogs is how many commands logs shows unless told otherwise.
const lastLogs = 10

func (a *app) logsCommand() *cobra.Command {
	var o logFlags
	cmd := &cobra.Command{
		Use:   "logs [CONTAINER [ID]]",
		Short: "Show what ran in a sandbox, and its output",
		Long: `Shows the output of the last commands in a sandbox, each under a heading on standard
error; with --history only what ran, when, and how it ended. Without CONTAINER it is
about all sandboxes of the project. With ID it is the output of that process.

Recorded is what pocketdock runs in a persistent sandbox of the project, in the
project's directory: see create and config. Of others there is what the sandbox
itself keeps: the output of detached processes.

Output is exact where it goes to a file or pipe; a terminal gets text and colours,
and nothing else that could control it. Standard error of a command goes to ours.
--follow goes on with what runs and with what begins later, until the sandbox has
stopped (without CONTAINER: until all have), or until the process ID has ended. Ctrl-C
ends it before that; what runs goes on.

With --json the output comes before its command, in objects with container, id,
log, stream, encoding, data, and lost: bytes that are missing before it. With --history
there is none.`,
		Example: `  pocketdock logs web
  pocketdock logs --history --last 50 --type run web
  pocketdock logs --follow web "$(pocketdock run -d web -- make all)"`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 2:
				return usageError{cmd, fmt.Errorf("%q is one argument too many", args[2])}
			case o.last < 0 || o.tail < -1:
				return usageError{cmd, errors.New("--last and --tail take a number from 0 on")}
			case !slices.Contains([]string{"", "run", "session", "detach"}, o.kind):
				return usageError{cmd, fmt.Errorf("--type %q: write run, session or detach", o.kind)}
			}
			return nil
		},
		ValidArgsFunction: a.processes(false),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.logs(cmd.Context(), &o, args) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.history, "history", false, "what ran, without its output")
	f.IntVar(&o.last, "last", lastLogs, "so many commands, the newest; 0 for all")
	f.IntVar(&o.last, "limit", lastLogs, "the same as --last")
	f.IntVar(&o.tail, "tail", -1, "only the last so many lines of each output")
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with what runs and what begins later")
	f.StringVar(&o.kind, "type", "", "only of this kind: run, session or detach")
	cmd.MarkFlagsMutuallyExclusive("last", "limit")
	cmd.MarkFlagsMutuallyExclusive("history", "follow")
	cmd.MarkFlagsMutuallyExclusive("history", "tail")
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions([]string{"run", "session", "detach"}, cobra.ShellCompDirectiveNoFileComp))
	a.takesJSON(cmd, entryJSON{}, true)
	return cmd
}

func (a *app) logs(ctx context.Context, o *logFlags, args []string) error {
	w, err := a.work()
	if err != nil {
		return err
	}
	if o.follow && len(args) < 2 {
		return a.followLogs(ctx, w, args, o)
	}
	var items []logItem
	switch len(args) {
	case 0:
		items, err = a.projectLogs(ctx, w, o)
	case 1:
		items, err = a.boxLogs(ctx, w, args[0], o)
	default:
		items, err = a.processLog(ctx, w, args[0], args[1])
	}
	if err != nil {
		return err
	}
	slices.SortStableFunc(items, func(a, b logItem) int { return a.entry.Time.Compare(b.entry.Time) })
	if n := len(items); o.last > 0 && n > o.last {
		items = items[n-o.last:]
	}
	if o.history {
		return a.printHistory(items, len(args) == 0)
	}
	for i := range items {
		it := &items[i]
		if len(args) < 2 {
			a.printHeading(it, len(args) == 0)
		}
		if err := a.printLog(ctx, it, o); err != nil {
			return err
		}
	}
	if len(items) == 0 && !a.json {
		a.notef("Nothing is recorded.")
	}
	return nil
}

func (a *app) printHistory(items []logItem, many bool) error {
	var rows [][]cell
	for i := range items {
		it := &items[i]
		if a.json {
			if err := a.out.printJSON(it.json()); err != nil {
				return err
			}
			continue
		}
		e := &it.entry
		row := []cell{text(a.out.when(e.Time)), text(string(e.Type)), it.status(), text(it.took()), text(e.ID), text(e.Cmd)}
		if many {
			row = slices.Insert(row, 0, cell{it.container, bold})
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		if !a.json {
			a.notef("Nothing is recorded.")
		}
		return nil
	}
	head := []string{"TIME", "TYPE", "STATUS", "TOOK", "ID", "COMMAND"}
	if many {
		head = slices.Insert(head, 0, "CONTAINER")
	}
	return a.out.printTable(head, rows)
}

// A logItem is a command and where its output is.
type logItem struct {
	container string
	entry     project.Entry
	running   bool
	inst      *project.Instance   // has its log; nil: none
	proc      *pocketdock.Process // the container has it; nil: not known
}

func (it *logItem) json() entryJSON {
	e := &it.entry
	j := entryJSON{Container: it.container, Time: moment(e.Time), Type: string(e.Type), Command: e.Cmd, ID: e.ID, Status: "exited",
		ExitCode: e.Exit, Signal: e.Signal, TimedOut: e.TimedOut, OOMKilled: e.OOM, Seconds: float64(e.MS) / 1000, Error: e.Error,
		Cut: e.Cut, Log: e.Log}
	switch {
	case it.running:
		j.Status, j.Seconds = "running", seconds(time.Since(e.Time))
	case e.Exit == nil:
		j.Status = "lost"
	}
	return j
}

func (it *logItem) status() cell {
	e := &it.entry
	switch {
	case it.running:
		return cell{"running", good}
	case e.Exit == nil:
		return cell{"lost", odd}
	case e.TimedOut:
		return cell{"timed out", bad}
	case *e.Exit != 0:
		return cell{fmt.Sprintf("exited %d", *e.Exit), bad}
	}
	return cell{"exited 0", faint}
}

func (it *logItem) took() string {
	switch {
	case it.running:
		return span(time.Since(it.entry.Time))
	case it.entry.Exit == nil:
		return ""
	}
	return (time.Duration(it.entry.MS) * time.Millisecond).String()
}

func (a *app) printHeading(it *logItem, many bool) {
	if !a.json && !a.quiet {
		fmt.Fprintln(a.err, a.err.paint(bold, printable(it.heading(a.err, many))))
	}
}

// heading names a command above its output.
func (it *logItem) heading(s *screen, many bool) string {
	h := fmt.Sprintf("==> %s %s %s", s.when(it.entry.Time), it.entry.Type, oneLine(it.entry.Cmd))
	if many {
		h = fmt.Sprintf("==> %s: %s", it.container, h[len("==> "):])
	}
	return h + " (" + it.status().text + ")"
}
