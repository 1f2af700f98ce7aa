package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock/project"
)

type doctorJSON struct {
	Findings []findingJSON `json:"findings" help:"an array of"`
	Mended   []string      `json:"mended" help:"what --fix has mended, as it was found"`
}

type findingJSON struct {
	ID       string `json:"id" help:"of the check"`
	Severity string `json:"severity" help:"ok, warning or problem"`
	What     string `json:"what" help:"was found"`
	Why      string `json:"why" help:"it matters"`
	Fix      string `json:"fix" help:"the command that mends it"`
	Fixable  bool   `json:"fixable" help:"--fix mends it"`
}

func (a *app) doctorCommand() *cobra.Command {
	var fix bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong, and mend it",
		Long: `Looks at the engine, at this machine and at the project: what does not work, why it
matters, and the command that mends it. With --fix it mends what is provably this
project's own: directories of sandboxes that are gone, changed IDs, old logs. What
programs left that were killed every command removes by itself.

Exits with 1 when something is broken (a problem, not a warning). With --quiet it
prints only what is not in order.`,
		Example: `  pocketdock doctor
  pocketdock doctor --fix
  pocketdock doctor --json | jq '.findings[] | select(.severity == "problem")'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context(), fix) },
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "mend what can be mended")
	a.takesJSON(cmd, doctorJSON{}, false)
	return withOwnSettings(cmd)
}

func (a *app) doctor(ctx context.Context, fix bool) error {
	var broken []project.Finding
	p, err := a.findProject()
	if err != nil {
		broken = append(broken, project.Finding{ID: "project", Severity: project.Problem, What: oneLine(err.Error()),
			Why: "no command works in this directory", Fix: "ls -la .pocketdock"})
	} else if w, err := a.work(); err == nil {
		a.obey(w)
	} else if p == nil { // else it is the project's settings check that tells
		for line := range strings.SplitSeq(err.Error(), "\n") {
			broken = append(broken, project.Finding{ID: "settings", Severity: project.Problem, What: oneLine(line), Why: "no command works",
				Fix: "pocketdock config   (which file has which setting)"})
		}
	}
	r := project.Doctor(ctx, &a.client, p)
	var mended []project.Finding
	var failed error
	if fix {
		if mended, failed = project.Fix(ctx, r); len(mended) > 0 {
			r = project.Doctor(ctx, &a.client, p)
		}
	}
	r.Findings = append(broken, r.Findings...)
	if err := a.printDoctor(r, mended); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	if r.Worst() == project.Problem {
		return exitStatus(exitUnwell)
	}
	return nil
}

func (a *app) printDoctor(r *project.Report, mended []project.Finding) error {
	if a.json {
		j := doctorJSON{findingsOf(r.Findings), []string{}}
		for _, f := range mended {
			j.Mended = append(j.Mended, f.What)
		}
		return a.out.printJSON(j)
	}
	var facts []fact
	for _, f := range mended {
		facts = append(facts, fact{"mended", cell{f.What, good}})
	}
	for _, f := range r.Findings {
		if a.quiet && f.Severity == project.Fine {
			continue
		}
		facts = append(facts, fact{f.Severity.String(), cell{f.What, [...]paint{plain, odd, bad}[f.Severity]}})
		if f.Severity != project.Fine {
			facts = append(facts, fact{"", text(f.Why)}, fact{"", cell{f.Fix, bold}})
		}
	}
	return a.out.printFacts(facts)
}

func findingsOf(list []project.Finding) []findingJSON {
	all := make([]findingJSON, len(list))
	for i, f := range list {
		all[i] = findingJSON{f.ID, f.Severity.String(), f.What, f.Why, f.Fix, f.Fixable}
	}
	return all
}
