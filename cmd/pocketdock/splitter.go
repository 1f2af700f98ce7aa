package main

import "unicode/utf8"

// A splitter tells text and control sequences in a terminal's output apart,
// also where one is cut between two reads (ECMA-48).
type splitter struct {
	in  place
	seq []byte
}

type place int

const (
	ground place = iota
	escape       // after ESC
	csi          // after ESC [
	str          // in a string, such as a title, up to BEL or ESC \
	strEsc       // after an ESC in a string
)

// maxSequence is how much of a control sequence is kept, in bytes: the
// program's output is not to be trusted with our memory.
const maxSequence = 256

// feed calls each for each piece of text and each whole sequence; the bytes
// are valid during the call.
func (s *splitter) feed(p []byte, each func(part []byte, control bool)) {
	begin := 0
	for i, b := range p {
		if s.in == ground {
			if b == 0x1b {
				if i > begin {
					each(p[begin:i], false)
				}
				s.in, s.seq = escape, append(s.seq[:0], b)
			}
			continue
		}
		if len(s.seq) < maxSequence {
			s.seq = append(s.seq, b)
		}
		if s.step(b) {
			if len(s.seq) < maxSequence {
				each(s.seq, true)
			}
			s.in = ground
		}
		begin = i + 1
	}
	if s.in == ground && begin < len(p) {
		each(p[begin:], false)
	}
}

// step goes on by a byte, and reports whether the sequence ends with it.
func (s *splitter) step(b byte) bool {
	switch s.in {
	case escape:
		switch {
		case b == '[':
			s.in = csi
		case b == ']' || b == 'P' || b == '_' || b == '^' || b == 'X':
			s.in = str
		case b < 0x20 || b > 0x2f: // 0x20 to 0x2f: more follows
			return true
		}
	case csi:
		return b >= 0x40 && b < utf8.RuneSelf
	case str:
		if b == 0x1b {
			s.in = strEsc
		}
		return b == 0x07
	case strEsc:
		return true
	}
	return false
}
