package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/project"
)

// projectLogs are the commands of all instances of the project.
func (a *app) projectLogs(ctx context.Context, w *workplace, o *logFlags) ([]logItem, error) {
	if w.project == nil {
		return nil, noProjectLogs()
	}
	names, err := w.project.Instances()
	if err != nil {
		return nil, err
	}
	var all []logItem
	for _, name := range names {
		inst, err := w.project.Instance(name)
		if err != nil {
			a.warnf("%v", err)
			continue
		}
		a.atEnd(func() { inst.Close() })
		items, err := a.recordedLogs(ctx, w, inst, a.boxOf(ctx, inst), o)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
	}
	return all, nil
}

// noProjectLogs is the error where nothing says which sandboxes are meant.
func noProjectLogs() error {
	_, err := project.Find(".")
	return fmt.Errorf("%w; or name a sandbox: pocketdock logs CONTAINER", err)
}

// boxOf is the container of an instance; nil if the engine does not have it.
func (a *app) boxOf(ctx context.Context, inst *project.Instance) *pocketdock.Container {
	m, err := inst.Manifest()
	if err != nil {
		a.warnf("%v", err)
		return nil
	}
	box, err := a.client.Get(ctx, m.Container.ID)
	if err != nil {
		a.logf("%s: %v", inst.Name(), err)
		return nil
	}
	return box
}

// boxLogs are the commands of one sandbox.
func (a *app) boxLogs(ctx context.Context, w *workplace, name string, o *logFlags) ([]logItem, error) {
	s, err := a.logSource(ctx, w, name)
	if err != nil {
		return nil, err
	}
	return a.itemsOf(ctx, w, s, o)
}

// logSource finds a sandbox, or what is recorded of one that is gone.
func (a *app) logSource(ctx context.Context, w *workplace, name string) (*logSource, error) {
	box, err := a.client.Get(ctx, name)
	var inst *project.Instance
	switch {
	case err == nil:
		inst = a.instanceOf(w, box)
	case w.project != nil: // its records may still be there
		var e error
		if inst, e = w.project.Instance(name); e != nil {
			return nil, err
		}
		a.atEnd(func() { inst.Close() })
		a.logf("%v", err)
	}
	if inst == nil && err != nil {
		return nil, err
	}
	return &logSource{name: name, inst: inst, box: box}, nil
}

// itemsOf are the commands of a sandbox: what is recorded, or else what the
// sandbox itself keeps.
func (a *app) itemsOf(ctx context.Context, w *workplace, s *logSource, o *logFlags) ([]logItem, error) {
	if s.inst != nil {
		return a.recordedLogs(ctx, w, s.inst, s.box, o)
	}
	return keptLogs(ctx, s.box, o)
}

// recordedLogs are the commands of an instance, with those that still run.
func (a *app) recordedLogs(ctx context.Context, w *workplace, inst *project.Instance, box *pocketdock.Container, o *logFlags) ([]logItem, error) {
	if _, err := inst.Collect(ctx, box, w.Logging); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		a.logf("%s: %v", inst.Name(), err)
	}
	entries, err := inst.History(project.HistoryOptions{})
	if err != nil {
		return nil, err
	}
	var items []logItem
	known := map[string]bool{}
	started := func(e project.Entry) bool { return e.Event == project.EventStart }
	on := false
	if box != nil && slices.ContainsFunc(entries, started) {
		// A sandbox that was stopped tells how they ended when it runs again.
		if on, err = box.Running(ctx); err != nil && !gone(err) {
			return nil, err
		}
	}
	for _, e := range entries {
		known[e.Log] = true
		it := logItem{container: inst.Name(), entry: e, inst: inst}
		if on && started(e) {
			it.proc, it.running = box.Process(e.ID), true
		}
		items = append(items, it)
	}
	// A command that is being recorded is in the history when it has ended.
	logs, err := inst.Logs()
	if err != nil {
		return nil, err
	}
	for _, l := range logs {
		if known[l.Name] {
			continue
		}
		it := logItem{container: inst.Name(), entry: project.Entry{Time: l.Start, Type: l.Type}, inst: inst, running: true}
		for rec, err := range inst.ReadLog(ctx, l.Name, project.LogOptions{}) {
			if err != nil {
				break
			}
			if rec.Start != nil {
				it.entry = *rec.Start
			}
			it.running = it.running && rec.End == nil
		}
		it.entry.Log, it.entry.At = l.Name, 0
		if it.running {
			items = append(items, it)
		}
	}
	return ofKind(items, o.kind), nil
}

func ofKind(items []logItem, kind string) []logItem {
	if kind == "" {
		return items
	}
	var list []logItem
	for _, it := range items {
		if string(it.entry.Type) == kind {
			list = append(list, it)
		}
	}
	return list
}

// keptLogs are the detached processes that a sandbox has the output of.
func keptLogs(ctx context.Context, box *pocketdock.Container, o *logFlags) ([]logItem, error) {
	list, err := box.Processes(ctx)
	if err != nil {
		return nil, err
	}
	var items []logItem
	for _, p := range list {
		if p.Detached {
			items = append(items, itemOf(box, p))
		}
	}
	return ofKind(items, o.kind), nil
}

func itemOf(box *pocketdock.Container, p pocketdock.ProcessInfo) logItem {
	e := project.Entry{Time: p.Started, Type: project.KindDetach, ID: p.ID, Cmd: project.Quote(project.RedactArgs(p.Args)...)}
	if isShell(p.Args) {
		e.Type, e.Cmd = project.KindSession, "sh"
	}
	if r := p.Result; r != nil && !p.Running {
		e.Exit, e.MS, e.Signal, e.TimedOut, e.OOM = &r.ExitCode, r.Duration.Milliseconds(), r.Signal, r.TimedOut, r.OOMKilled
	}
	return logItem{container: box.Name(), entry: e, running: p.Running, proc: box.Process(p.ID)}
}

// processLog is one process: of the sandbox, as long as that has it, else of
// the records.
func (a *app) processLog(ctx context.Context, w *workplace, name, id string) ([]logItem, error) {
	box, err := a.client.Get(ctx, name)
	if err == nil {
		var info *pocketdock.ProcessInfo
		if info, err = box.Process(id).Info(ctx); err == nil {
			return []logItem{itemOf(box, *info)}, nil
		}
	}
	if ctx.Err() != nil || w.project == nil {
		return nil, err
	}
	inst, e := w.project.Instance(name)
	if e != nil {
		return nil, err
	}
	a.atEnd(func() { inst.Close() })
	items, e := a.recordedLogs(ctx, w, inst, box, &logFlags{})
	if e != nil {
		return nil, errors.Join(err, e)
	}
	for _, it := range items {
		if it.entry.ID == id {
			return []logItem{it}, nil
		}
	}
	return nil, fmt.Errorf("%w; nor is one of that ID recorded", err)
}
