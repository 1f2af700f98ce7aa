package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

type statusJSON struct {
	Engine  engineJSON      `json:"engine" help:"as the engine command prints it"`
	Project *statusProject  `json:"project" help:"of the working directory; null: none"`
	Running int             `json:"running" help:"sandboxes that run"`
	Stopped int             `json:"stopped" help:"sandboxes that do not"`
	Memory  int64           `json:"memory" help:"bytes in use by all of them"`
	Boxes   []boxStatusJSON `json:"sandboxes" help:"those that run, an array of"`
}

type statusProject struct {
	Name      string `json:"name" help:"that its sandboxes carry"`
	Path      string `json:"path" help:"its directory"`
	Instances int    `json:"instances" help:"sandboxes that are meant to last and are recorded"`
}

type boxStatusJSON struct {
	Name          string  `json:"name" help:"of the container"`
	Image         string  `json:"image" help:"as named at creation"`
	UptimeSeconds float64 `json:"uptime_seconds" help:""`
	Memory        int64   `json:"memory" help:"bytes in use; -1: not known"`
	MemoryLimit   int64   `json:"memory_limit" help:"bytes; 0: none"`
	CPUPercent    float64 `json:"cpu_percent" help:"average since the start, 100 is one core"`
	Processes     int     `json:"processes" help:"that pocketdock runs in it"`
	Error         string  `json:"error" help:"why the rest is not known"`
}

func (a *app) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the engine and what runs on it",
		Long: `Shows the engine in use, how many sandboxes there are, and what each that runs
uses, the largest first: of all projects, whatever the one here is.`,
		Example: `  pocketdock status
  pocketdock status --json | jq .running`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.status(cmd.Context()) },
	}
	a.takesJSON(cmd, statusJSON{}, false)
	return cmd
}

func (a *app) status(ctx context.Context) error {
	e, err := a.client.Engine(ctx)
	if err != nil {
		return err
	}
	list, err := a.client.List(ctx, pocketdock.ListOptions{})
	if err != nil {
		return err
	}
	s := statusJSON{Engine: engineJSON(e), Boxes: a.uses(ctx, list)}
	if s.Project, err = a.projectStatus(); err != nil {
		return err
	}
	s.Running = len(s.Boxes)
	s.Stopped = len(list) - s.Running
	for _, b := range s.Boxes {
		s.Memory += max(0, b.Memory)
	}
	slices.SortStableFunc(s.Boxes, func(a, b boxStatusJSON) int { return cmp.Compare(b.Memory, a.Memory) })
	if a.json {
		return a.out.printJSON(s)
	}
	return a.printStatus(&s)
}

func (a *app) projectStatus() (*statusProject, error) {
	w, err := a.work()
	if err != nil || w.project == nil {
		return nil, err
	}
	names, err := w.project.Instances()
	return &statusProject{w.ProjectName, w.project.Dir(), len(names)}, err
}

// uses asks those that run what they use, several at a time.
func (a *app) uses(ctx context.Context, list []pocketdock.ListItem) []boxStatusJSON {
	list = slices.DeleteFunc(slices.Clone(list), isStopped)
	uses := make([]boxStatusJSON, len(list))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for n, it := range list {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			u := boxStatusJSON{Name: it.Name, Image: it.Image, Memory: -1}
			i, err := a.use(ctx, it.ID)
			if err != nil {
				u.Error = err.Error()
			} else {
				u.UptimeSeconds, u.Memory, u.MemoryLimit = seconds(i.Uptime), i.Memory, i.MemoryLimit
				u.CPUPercent, u.Processes = i.CPUPercent, i.Processes
			}
			uses[n] = u
		})
	}
	wg.Wait()
	return uses
}

// use asks a sandbox what it uses. Others' are left alone: to ask one means to
// put an agent into it.
func (a *app) use(ctx context.Context, id string) (*pocketdock.Info, error) {
	box, err := a.client.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if box.DataPath() == "" {
		return nil, errors.New("another user's, or of another state directory: ask it with info")
	}
	return box.Info(ctx)
}

func (a *app) printStatus(s *statusJSON) error {
	e := s.Engine
	var where, ofAll string
	if p := s.Project; p != nil {
		ofAll = ", of all projects"
		where = fmt.Sprintf("%s in %s, %s", p.Name, p.Path, plural(p.Instances, "instance"))
	}
	err := a.out.printFacts([]fact{
		{"Engine", cell{e.Name + " " + e.Version, good}},
		{"Socket", text(e.Socket)},
		{"Project", text(where)},
		{"Sandboxes", text(fmt.Sprintf("%d running, %d stopped", s.Running, s.Stopped) + ofAll)},
		{"Memory", text(pocketdock.FormatSize(s.Memory) + " in use")}})
	if err != nil || len(s.Boxes) == 0 {
		return err
	}
	fmt.Fprintln(a.out)
	var rows [][]cell
	for _, b := range s.Boxes {
		if b.Error != "" {
			a.logf("%s: %s", b.Name, b.Error)
			rows = append(rows, []cell{{b.Name, bold}, text(b.Image), text(""), {"not known", faint}})
			continue
		}
		rows = append(rows, []cell{{b.Name, bold}, text(b.Image), text(span(durationOf(b.UptimeSeconds))), share(b.Memory, b.MemoryLimit),
			text(fmt.Sprintf("%.1f %%", b.CPUPercent)), text(fmt.Sprint(b.Processes))})
	}
	return a.out.printTable([]string{"NAME", "IMAGE", "UP", "MEMORY", "CPU", "COMMANDS"}, rows)
}

// share is memory in use, and how much of the limit that is.
func share(used, limit int64) cell {
	switch {
	case used < 0:
		return cell{"not known", faint}
	case limit <= 0:
		return text(pocketdock.FormatSize(used))
	}
	percent := 100 * float64(used) / float64(limit)
	c := text(fmt.Sprintf("%s (%.0f %%)", pocketdock.FormatSize(used), percent))
	if percent > 90 {
		c.paint = bad
	}
	return c
}
