package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/pocketdock/pocketdock"
)

// A buildView shows on stderr how far a build is: a bar of its steps on a
// terminal, a line for each elsewhere, and, with --verbose, all that the steps
// print.
type buildView struct {
	a     *app
	name  string
	begun time.Time
	split splitter // of the output

	mu  sync.Mutex // the bar draws itself in a goroutine
	now string     // what is under way

	steps  int
	cached int
	all    *mpb.Progress // nil: no bar
	bar    *mpb.Bar
}

func (a *app) newBuildView(name string) *buildView {
	v := &buildView{a: a, name: name, begun: time.Now(), now: "preparing"}
	if a.metered() && a.err.moves && !a.verbose {
		v.all = mpb.New(mpb.WithOutput(a.err.w), mpb.WithAutoRefresh(), mpb.WithRefreshRate(100*time.Millisecond))
		style := mpb.BarStyle().Lbound("").Filler("█").Tip("█").Padding("░").Rbound("")
		v.bar = v.all.New(0, style, mpb.BarRemoveOnComplete(), mpb.BarWidth(20), mpb.PrependDecorators(decor.Name(name+" ")),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + v.state() })))
	}
	return v
}

// state is what the bar says.
func (v *buildView) state() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return fmt.Sprintf("%v  %s", time.Since(v.begun).Round(time.Second), v.now)
}

func (v *buildView) event(ev pocketdock.BuildEvent) {
	switch ev.Kind {
	case pocketdock.BuildStep:
		v.step(ev)
	case pocketdock.BuildCached:
		v.cached++
	case pocketdock.BuildPull:
		v.set("getting the base image")
	}
	if v.a.verbose && ev.Kind == pocketdock.BuildOutput {
		// A command may print what controls a terminal.
		v.split.feed([]byte(ev.Text), func(part []byte, control bool) {
			if !control {
				fmt.Fprint(v.a.err, printable(strings.ReplaceAll(string(part), "\r", "\n")))
			}
		})
	}
}

func (v *buildView) step(ev pocketdock.BuildEvent) {
	count := fmt.Sprintf("step %d", ev.Step)
	if ev.Steps > 0 {
		count += fmt.Sprintf(" of %d", ev.Steps)
	}
	if ev.Stages > 1 {
		count += fmt.Sprintf(", stage %d of %d", ev.Stage, ev.Stages)
	}
	what := count + ": " + oneLine(ev.Instruction)
	v.set(what)
	v.steps++
	switch {
	case v.bar != nil && ev.Steps > 0:
		v.bar.SetTotal(int64(ev.Steps)+1, false)
		v.bar.SetCurrent(int64(ev.Step))
	case v.bar == nil && v.a.metered():
		fmt.Fprintf(v.a.err, "%s: %s\n", v.name, what)
	}
}

func (v *buildView) set(now string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = now
}

// end takes the bar away and sums up.
func (v *buildView) end(err error) {
	if v.bar != nil {
		v.bar.Abort(true)
		v.all.Wait()
	}
	if err == nil && v.a.metered() {
		sum := ""
		if v.steps > 0 && v.cached >= v.steps-1 { // FROM is none of the cached
			sum = ", nothing new"
		}
		fmt.Fprintf(v.a.err, "%s: built in %v%s\n", v.name, time.Since(v.begun).Round(10*time.Millisecond), sum)
	}
}
