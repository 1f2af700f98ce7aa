package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pocketdock/pocketdock"
)

// Severity is how much a finding matters.
type Severity int

// The severities.
const (
	Fine    Severity = iota // looked at and in order
	Warning                 // something does not work as well as it could
	Problem                 // something does not work
)

// String is "ok", "warning" or "problem".
func (s Severity) String() string { return [...]string{"ok", "warning", "problem"}[s] }

// MarshalText is String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Finding is what one check found. Every text is a line without control
// characters, whoever it came from.
type Finding struct {
	// ID of the check: "engine-cgroup", "stale-instance", …
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// What was found, Why it matters, and the command that mends it. The
	// last two are empty where all is in order.
	What string `json:"what"`
	Why  string `json:"why,omitempty"`
	Fix  string `json:"fix,omitempty"`
	// Fixable: [Fix] mends it. What it changes is provably this project's, or
	// was left by a program of this user that has ended.
	Fixable bool `json:"fixable,omitempty"`

	mend func(context.Context) error
}

// A Report is what Doctor found, the engine first.
type Report struct {
	Findings []Finding `json:"findings"`
	// Engine is nil where it cannot be reached.
	Engine *pocketdock.EngineDetails `json:"engine,omitempty"`
}

// Worst is the worst severity.
func (r *Report) Worst() Severity {
	worst := Fine
	for _, f := range r.Findings {
		worst = max(worst, f.Severity)
	}
	return worst
}

func (r *Report) add(f Finding) {
	const most = 400
	for _, s := range []*string{&f.What, &f.Why, &f.Fix} {
		text, cut := cutText(*s, most)
		if cut > 0 {
			text += "…"
		}
		*s = printable(text)
	}
	f.Fixable = f.mend != nil
	r.Findings = append(r.Findings, f)
}

// ok notes that a check found everything in order.
func (r *Report) ok(id, format string, args ...any) {
	r.add(Finding{ID: id, What: fmt.Sprintf(format, args...)})
}

// engineWait bounds what is asked of an engine, first about itself and then
// about a project's containers: one that hangs is a finding, too.
var engineWait = 30 * time.Second

// asking is a context of engineWait.
func asking(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, engineWait, fmt.Errorf("no answer within %v", engineWait))
}

// Doctor looks at the engine, at this machine, and at a project (nil: none).
// It changes nothing. A check that cannot be made is a finding.
func Doctor(ctx context.Context, client *pocketdock.Client, p *Project) *Report {
	r := &Report{}
	r.checkEngine(ctx, client)
	r.checkState(client)
	if p != nil {
		r.checkProject(ctx, client, p)
	}
	return r
}

// Fix mends what Doctor found and can mend, and returns the findings that it
// mended. Each is looked at again before anything is changed.
func Fix(ctx context.Context, r *Report) ([]Finding, error) {
	var mended []Finding
	var errs []error
	for _, f := range r.Findings {
		if f.mend == nil {
			continue
		}
		if err := f.mend(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.ID, err))
			continue
		}
		mended = append(mended, f)
	}
	return mended, errors.Join(errs...)
}

// countOf is "1 instance", "2 instances".
func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
