// Package pattern compiles regular expressions when they are first used. Those
// of one start of the command took a millisecond of it, for none of them.
package pattern

import (
	"regexp"
	"sync"
)

// A Pattern is a regular expression that is not compiled yet. Its methods are
// those of [regexp.Regexp].
type Pattern struct{ compile func() *regexp.Regexp }

// New panics at the first use of an expression that cannot be compiled.
func New(expr string) Pattern {
	return Pattern{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })}
}

func (p Pattern) MatchString(s string) bool            { return p.compile().MatchString(s) }
func (p Pattern) FindStringSubmatch(s string) []string { return p.compile().FindStringSubmatch(s) }
func (p Pattern) ReplaceAllString(s, with string) string {
	return p.compile().ReplaceAllString(s, with)
}
