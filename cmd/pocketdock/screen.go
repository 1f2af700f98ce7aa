package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"unicode"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"
)

// A screen is one of our two outputs, and what it can show.
type screen struct {
	w        io.Writer
	terminal bool // a person reads it
	moves    bool // it has a cursor that can be moved, for progress bars
	color    bool
	width    int // columns; 0 if it is no terminal
}

// newScreen looks at an output. NO_COLOR (https://no-color.org) and TERM=dumb
// are obeyed.
func newScreen(w io.Writer) *screen {
	s := &screen{w: w}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	s.terminal = true
	s.moves = os.Getenv("TERM") != "dumb"
	s.color = s.moves && os.Getenv("NO_COLOR") == ""
	s.width, _, _ = term.GetSize(int(f.Fd()))
	return s
}

// errPipeClosed: whoever read our output has gone, such as `head`. It is no
// failure that anybody wants to read about.
var errPipeClosed = errors.New("the reader of the output is gone")

// Write passes everything through as it is.
func (s *screen) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		err = errPipeClosed
	}
	return n, err
}

// A paint is a colour or weight that says something.
type paint int

const (
	plain paint = iota
	faint
	bold
	good // running, done
	bad  // failed
	odd  // worth a look
)

var paints = map[paint]lipgloss.Style{
	faint: lipgloss.NewStyle().Faint(true),
	bold:  lipgloss.NewStyle().Bold(true),
	good:  lipgloss.NewStyle().Foreground(lipgloss.Green),
	bad:   lipgloss.NewStyle().Foreground(lipgloss.Red),
	odd:   lipgloss.NewStyle().Foreground(lipgloss.Yellow),
}

// paint colours text, on a screen that has colours.
func (s *screen) paint(p paint, text string) string {
	if !s.color || p == plain || text == "" {
		return text
	}
	return paints[p].Render(text)
}

// printable replaces what could control a terminal: names, arguments and
// messages may come from a sandbox. Line breaks and tabs stay.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// oneLine is printable in a table.
func oneLine(s string) string { return lineBreaks.Replace(printable(s)) }

var lineBreaks = strings.NewReplacer("\n", "⏎", "\t", " ")
