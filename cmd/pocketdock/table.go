package main

import (
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
)

// A cell is text in a table.
type cell struct {
	text  string
	paint paint
}

// text is a cell without colour.
func text(s string) cell { return cell{text: s} }

// printTable prints aligned columns, at most as wide as the terminal; an
// output that is none has every column in full. No row has more cells than there
// are headers.
func (s *screen) printTable(headers []string, rows [][]cell) error {
	lines := [][]string{make([]string, len(headers))}
	for i, h := range headers {
		lines[0][i] = s.paint(bold, h)
	}
	for _, row := range rows {
		line := make([]string, len(headers)) // a row may say less
		for i, c := range row {
			line[i] = s.paint(c.paint, oneLine(c.text))
		}
		lines = append(lines, line)
	}
	widths, sum := make([]int, len(headers)), 0
	for i := range headers {
		for _, line := range lines {
			widths[i] = max(widths[i], lipgloss.Width(line[i]))
		}
		sum += widths[i] + columnGap
	}
	if s.width > 0 && sum > s.width+columnGap {
		return s.printNarrow(lines)
	}
	var b strings.Builder
	for _, line := range lines {
		for i, text := range line[:len(line)-1] {
			b.WriteString(text)
			b.WriteString(strings.Repeat(" ", widths[i]+columnGap-lipgloss.Width(text)))
		}
		b.WriteString(line[len(line)-1])
		b.WriteByte('\n')
	}
	_, err := io.WriteString(s, trimLines(b.String()))
	return err
}

// columnGap is what is between columns.
const columnGap = 2

// printNarrow prints a table that is too wide, with its columns shortened.
// Lipgloss knows how; for 200 lines it takes 25 ms, so others go without.
func (s *screen) printNarrow(lines [][]string) error {
	style := lipgloss.NewStyle().PaddingRight(columnGap)
	t := table.New().Wrap(false).Border(lipgloss.HiddenBorder()).BorderTop(false).BorderBottom(false).BorderLeft(false).
		BorderRight(false).BorderHeader(false).BorderColumn(false).BorderRow(false).
		StyleFunc(func(int, int) lipgloss.Style { return style }).
		Headers(lines[0]...).Rows(lines[1:]...).Width(s.width)
	_, err := io.WriteString(s, trimLines(t.Render()))
	return err
}

// trimLines takes the blanks off the ends of lines.
func trimLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

// A fact is one line of a description: what it is about, and what it says.
type fact struct {
	name  string
	value cell
}

// printFacts prints a description with its values in one column. Facts that
// say nothing are left out; one without a value is a heading.
func (s *screen) printFacts(facts []fact) error {
	width := 0
	for _, f := range facts {
		width = max(width, lipgloss.Width(f.name))
	}
	var b strings.Builder
	for _, f := range facts {
		if f.value.text == "" {
			continue
		}
		fmt.Fprintf(&b, "%s  %s\n", s.paint(faint, fmt.Sprintf("%-*s", width, f.name)), s.paint(f.value.paint, oneLine(f.value.text)))
	}
	_, err := io.WriteString(s, b.String())
	return err
}
