package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestMeterWithoutTerminal: lines at intervals, a sum at the end, no control
// codes; nothing at all of what is soon done, or with --quiet.
func TestMeterWithoutTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		a := &app{err: newScreen(&out)}
		m := a.newMeter("push big", 1000<<20)
		for i := range int64(25) {
			m.set(i * 40 << 20)
			time.Sleep(time.Second)
		}
		m.set(1000 << 20)
		m.end(nil)
		want := []string{"push big: 400.0 MiB of 1000.0 MiB, 40 %, ", " left", "push big: 800.0 MiB of 1000.0 MiB, 80 %, ", "push big: 1000.0 MiB in 25s, 40.0 MiB/s\n"}
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%q is missing in:\n%s", w, out.String())
			}
		}
		if n := strings.Count(out.String(), "\n"); n != 3 || strings.ContainsAny(out.String(), "\x1b\r") {
			t.Errorf("%d lines: %q", n, out.String())
		}

		out.Reset()
		m = a.newMeter("short", 0)
		io.Copy(io.Discard, m.reader(strings.NewReader("x")))
		m.end(nil)
		a.quiet = true
		m = a.newMeter("quiet", 0)
		io.Copy(io.Discard, m.reader(strings.NewReader("x")))
		time.Sleep(time.Minute)
		m.end(nil)
		if out.Len() > 0 {
			t.Errorf("%q", out.String())
		}
	})
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{"plain ü\n\t": "plain ü\n\t", "\x1b[31mred": "\uFFFD[31mred", "\r\x00\u009b": "\uFFFD\uFFFD\uFFFD",
		"\xff": "\uFFFD", "a\u202eb": "a\uFFFDb"} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestTableFits: a table for a terminal is as wide as that, and complete
// elsewhere.
func TestTableFits(t *testing.T) {
	rows := [][]cell{{{"name", bold}, text(strings.Repeat("long ", 30))}, {text("ünïcödé 漢字"), text("x\ny")}}
	var out bytes.Buffer
	s := newScreen(&out)
	if err := s.printTable([]string{"A", "B"}, rows); err != nil {
		t.Fatal(err)
	}
	if want := "A             B\nname          " + strings.TrimSpace(strings.Repeat("long ", 30)) + "\nünïcödé 漢字  x⏎y\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	s.width = 40
	if err := s.printTable([]string{"A", "B"}, rows); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(line)); n > 41 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}
