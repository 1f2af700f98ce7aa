package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/project"
)

// A recordedBox is a sandbox whose commands are recorded, if it is a
// persistent one of a project and that project's settings say so. Its instance is nil
// where nothing is.
type recordedBox struct {
	*project.Recorded
	inst    *project.Instance
	logging project.Logging
}

// open finds a sandbox to run commands in.
func (a *app) open(ctx context.Context, name string) (*recordedBox, error) {
	box, err := a.client.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	w, err := a.work()
	if err != nil {
		return nil, err
	}
	inst, logging := a.instanceOf(w, box), w.Logging
	if inst != nil && inst.Project() != w.project {
		s, err := project.Load(project.LoadOptions{Project: inst.Project()})
		if err != nil {
			return nil, err
		}
		logging = s.Logging
	}
	if !logging.AutoLog {
		inst = nil
	}
	return &recordedBox{inst.Recorded(box, logging), inst, logging}, nil
}

// unrecorded is a sandbox of which nothing stays.
func unrecorded(box *pocketdock.Container) *recordedBox {
	return &recordedBox{Recorded: (*project.Instance)(nil).Recorded(box, project.Logging{})}
}

// instanceOf is the sandbox's instance, in this project or in the one that it
// was created for; nil if there is none. It is closed, with what is still being
// written, when the program ends. What is wrong with it keeps no command from
// running.
func (a *app) instanceOf(w *workplace, box *pocketdock.Container) *project.Instance {
	inst, err := (*project.Instance)(nil), project.ErrNoInstance
	if w.project != nil {
		inst, err = w.project.InstanceOf(box)
	}
	if dir := box.ProjectDir(); errors.Is(err, project.ErrNoInstance) && dir != "" && (w.project == nil || dir != w.project.Dir()) {
		inst, err = a.instanceIn(dir, box)
	}
	switch {
	case err == nil:
		a.atEnd(func() { inst.Close() })
	case !errors.Is(err, project.ErrNoInstance) && !errors.Is(err, fs.ErrNotExist):
		a.warnf("nothing is recorded: %v", err)
	}
	return inst
}

// instanceIn is the sandbox's instance in a project elsewhere.
func (a *app) instanceIn(dir string, box *pocketdock.Container) (*project.Instance, error) {
	p, err := project.Open(dir)
	if err != nil {
		return nil, err
	}
	p.Warn = func(err error) { a.warnf("%v", err) }
	a.atEnd(func() { p.Close() })
	return p.InstanceOf(box)
}

// session begins to record a shell; nil if nothing is recorded.
func (b *recordedBox) session(cmd pocketdock.Command) *project.Recorder {
	if b.inst == nil {
		return nil
	}
	if strings.HasPrefix(loginShell, cmd.Shell) && cmd.Shell != "" {
		cmd = pocketdock.Argv("sh") // which one is the sandbox's choice
	}
	return b.inst.Record(project.KindSession, cmd, b.logging)
}

// runSession runs a shell that reads a script, recorded as a session.
func (b *recordedBox) runSession(ctx context.Context, cmd pocketdock.Command) (*pocketdock.Result, error) {
	cmd.LogLimit = -1 // it is recorded here, or not at all
	rec := b.session(cmd)
	if rec == nil {
		return b.Container.Run(ctx, cmd)
	}
	cmd.Stdout = recordingWriter{cmd.Stdout, rec.Writer(pocketdock.Stdout)}
	cmd.Stderr = recordingWriter{cmd.Stderr, rec.Writer(pocketdock.Stderr)}
	res, err := b.Container.Run(ctx, cmd)
	rec.Finish(res, err)
	return res, err
}

// enroll describes a sandbox that was just created in its project.
func (a *app) enroll(w *workplace, box *pocketdock.Container, image string, o pocketdock.CreateOptions) {
	inst, err := w.project.CreateInstance(project.NewManifest(box, image, o.Profile, o))
	if err != nil {
		a.warnf("its commands are not recorded: %v", err)
		return
	}
	a.atEnd(func() { inst.Close() })
}

// reenroll takes over the ID of a sandbox that was made anew.
func (a *app) reenroll(inst *project.Instance, box *pocketdock.Container) {
	if inst == nil {
		return
	}
	m, err := inst.Manifest()
	if err == nil {
		m.Container.ID = box.ID()
		var now *project.Instance
		if now, err = inst.Project().CreateInstance(m); err == nil {
			err = now.Close()
		}
	}
	if err != nil {
		a.warnf("%v; pocketdock doctor --fix mends it", err)
	}
}

// disenroll removes what the project has of a sandbox that is gone.
func (a *app) disenroll(inst *project.Instance) {
	if inst == nil {
		return
	}
	if err := inst.Project().RemoveInstance(inst.Name()); err != nil {
		a.warnf("%v; pocketdock doctor --fix mends it", err)
	}
}

// A recordingWriter passes output on and records it.
type recordingWriter struct{ to, rec io.Writer }

func (w recordingWriter) Write(p []byte) (int, error) {
	w.rec.Write(p)
	return w.to.Write(p)
}
