package main

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// A plainWriter shows recorded output on a terminal: text, lines and colours.
// What else could control the terminal is left out: a log may have been
// written by anybody. The methods of a nil one do nothing.
type plainWriter struct {
	w     io.Writer
	color bool

	split   splitter
	rest    []byte // the beginning of a character
	painted bool   // the last colour is not the terminal's own
}

// isColor tells the one control sequence that is passed on (SGR, ECMA-48 8.3.117).
func isColor(seq []byte) bool {
	inner, begins := bytes.CutPrefix(seq, []byte("\x1b["))
	inner, ends := bytes.CutSuffix(inner, []byte("m"))
	if !begins || !ends {
		return false
	}
	return len(bytes.Trim(inner, "0123456789;:")) == 0
}

func (p *plainWriter) Write(b []byte) (int, error) {
	var out bytes.Buffer
	p.split.feed(b, func(part []byte, control bool) {
		switch {
		case !control:
			p.text(&out, part)
		case p.color && isColor(part):
			out.Write(part)
			p.painted = true
		}
	})
	if _, err := p.w.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(b), nil
}

// text writes whole characters and keeps the beginning of one.
func (p *plainWriter) text(out *bytes.Buffer, part []byte) {
	b := append(p.rest, part...)
	n := len(b)
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				n = len(b) - i
			}
			break
		}
	}
	p.rest = append([]byte(nil), b[n:]...)
	// The carriage return that terminals end a line with says nothing.
	out.WriteString(printable(string(bytes.ReplaceAll(b[:n], []byte("\r"), nil))))
}

// end gives the terminal its own colours back.
func (p *plainWriter) end() error {
	if p == nil {
		return nil
	}
	var err error
	if len(p.rest) > 0 {
		_, err = io.WriteString(p.w, "\uFFFD")
	}
	if p.painted && err == nil {
		_, err = io.WriteString(p.w, "\x1b[m")
	}
	p.rest, p.painted = nil, false
	return err
}
