package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// modes are what a program has switched on in its terminal: the alternate
// screen, a hidden cursor, reports of the mouse, bracketed paste. They are read
// from its output, to be switched off when it is left, and on again when
// somebody comes back. Source: xterm's "Control Sequences", DEC private modes.
type modes struct {
	split  splitter
	set    map[int]bool
	keypad bool
}

// altScreens are the modes that switch to the other screen.
var altScreens = []int{47, 1047, 1049}

// kept are the modes worth keeping: cursor keys, wrapping, cursor, mouse,
// focus, the alternate screens, bracketed paste.
var kept = map[int]bool{1: true, 7: true, 9: true, 25: true, 47: true, 1000: true, 1002: true, 1003: true, 1004: true,
	1005: true, 1006: true, 1015: true, 1047: true, 1049: true, 2004: true}

// initially says which modes a terminal begins with.
func initially(mode int) bool { return mode == 7 || mode == 25 }

func (m *modes) observe(p []byte) {
	m.split.feed(p, func(part []byte, control bool) {
		if control {
			m.control(part)
		}
	})
}

func (m *modes) control(seq []byte) {
	switch string(seq) {
	case "\x1b=":
		m.keypad = true
		return
	case "\x1b>":
		m.keypad = false
		return
	case "\x1bc":
		m.set, m.keypad = nil, false
		return
	}
	list, private := bytes.CutPrefix(seq, []byte("\x1b[?"))
	if !private || len(list) == 0 {
		return
	}
	end := list[len(list)-1]
	if end != 'h' && end != 'l' {
		return
	}
	for _, field := range bytes.Split(list[:len(list)-1], []byte(";")) {
		n := 0
		for _, d := range field {
			if d < '0' || d > '9' || n > 9999 {
				n = -1
				break
			}
			n = 10*n + int(d-'0')
		}
		if !kept[n] {
			continue
		}
		if on := end == 'h'; on == initially(n) {
			delete(m.set, n)
		} else {
			if m.set == nil {
				m.set = map[int]bool{}
			}
			m.set[n] = on
		}
	}
}

// alternate reports whether the program draws on the whole screen.
func (m *modes) alternate() bool {
	return slices.ContainsFunc(altScreens, func(n int) bool { return m.set[n] })
}

// undo is what puts a terminal back into the state that it begins with.
func (m *modes) undo() string { return m.sequences(func(n int) bool { return initially(n) }, "\x1b>") }

// redo is what puts a terminal into this state.
func (m *modes) redo() string { return m.sequences(func(n int) bool { return m.set[n] }, "\x1b=") }

func (m *modes) sequences(on func(int) bool, keypad string) string {
	var b strings.Builder
	for _, n := range slices.Sorted(maps.Keys(m.set)) {
		end := 'l'
		if on(n) {
			end = 'h'
		}
		fmt.Fprintf(&b, "\x1b[?%d%c", n, end)
	}
	if m.keypad {
		b.WriteString(keypad)
	}
	if b.Len() > 0 {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}

// recap is the last lines of a terminal's output, for somebody who comes back
// to it: text and its colours, and nothing that moves the cursor about, asks
// the terminal questions or changes it.
func recap(output []byte, lines int) []byte {
	var b bytes.Buffer
	var s splitter
	s.feed(output, func(part []byte, control bool) {
		if !control {
			b.Write(part)
			return
		}
		if bytes.HasPrefix(part, []byte("\x1b[")) && bytes.IndexByte([]byte("mK"), part[len(part)-1]) >= 0 {
			b.Write(part)
		}
	})
	text := b.Bytes()
	end := len(text)
	for range lines {
		i := bytes.LastIndexByte(text[:end], '\n')
		if i < 0 {
			return text
		}
		end = i
	}
	return text[end+1:]
}
