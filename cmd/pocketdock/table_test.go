package main

import (
	"bytes"
	"testing"
)

// TestTableOfCells: columns are aligned by what shows, and a row may say less
// than others.
func TestTableOfCells(t *testing.T) {
	var b bytes.Buffer
	s := newScreen(&b)
	rows := [][]cell{{{"漢字", bold}, text("a\nb"), text("end")}, {text("short")}, {text("x"), text(""), text("tab\tand")}}
	if err := s.printTable([]string{"NAME", "", "LAST"}, rows); err != nil {
		t.Fatal(err)
	}
	want := "NAME        LAST\n漢字   a⏎b  end\nshort\nx           tab and\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
