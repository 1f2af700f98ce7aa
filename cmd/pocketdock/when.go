package main

import (
	"fmt"
	"time"
)

// when is a time as a reader wants it: relative for people, exact for programs.
func (s *screen) when(t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case !s.terminal:
		return t.UTC().Format(time.RFC3339)
	}
	return ago(time.Since(t))
}

// ago says how long something has been.
func ago(d time.Duration) string {
	if d < 0 {
		return "in " + span(-d)
	}
	if d < 5*time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

// span is a duration in its largest unit: "3 minutes".
func span(d time.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{365 * 24 * time.Hour, "year"}, {30 * 24 * time.Hour, "month"}, {7 * 24 * time.Hour, "week"},
		{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int(d / u.size); n > 0 {
			return plural(n, u.name)
		}
	}
	return plural(int(d/time.Second), "second")
}

// plural is a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// durationOf is a number of seconds.
func durationOf(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second))
}
