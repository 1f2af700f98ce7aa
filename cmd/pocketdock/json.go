package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// The JSON that commands print is made of types of this package, so that it
// stays when the library's types grow. Each field has a `help` tag, which the
// command's help and the reference show: keys may be added, and none changes.

// jsonShape is what --json prints: one object, or one on each line.
type jsonShape struct {
	of    reflect.Type
	lines bool
}

// takesJSON makes a command one that has --json.
func (a *app) takesJSON(cmd *cobra.Command, v any, lines bool) {
	a.shapes[cmd] = append(a.shapes[cmd], jsonShape{reflect.TypeOf(v), lines})
}

func (a *app) printsJSON(cmd *cobra.Command) bool { return len(a.shapes[cmd]) > 0 }

// documentJSON adds the shape to the command's description. That is for the
// help only, as it takes longer than many a command.
func (a *app) documentJSON(cmd *cobra.Command) {
	var b strings.Builder
	for _, s := range a.shapes[cmd] {
		if s.lines {
			b.WriteString("\n\nWith --json there is an object per line:\n\n")
		} else {
			b.WriteString("\n\nWith --json there is one object:\n\n")
		}
		describe(&b, s.of, "    ") // four, which Markdown leaves as it is
	}
	cmd.Long += strings.TrimRight(b.String(), "\n")
}

func describe(b *strings.Builder, t reflect.Type, indent string) {
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fmt.Fprintf(b, "%s%-*s  %s\n", indent, max(1, 24-len(indent)), key, f.Tag.Get("help"))
		inner := f.Type
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() {
			describe(b, inner, indent+"  ")
		}
	}
}

// printJSON prints one object on a line.
func (s *screen) printJSON(v any) error {
	e := json.NewEncoder(s)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// seconds is a duration in JSON.
func seconds(d time.Duration) float64 { return d.Round(time.Microsecond).Seconds() }

// moment is a time in JSON; nil for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	u := t.UTC()
	return &u
}
