package project

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pocketdock/pocketdock"
)

// The lines of a log, see docs/log-format.md. What a command printed is only
// ever inside of a JSON string, in which a line's end cannot be: no output
// begins a line, or looks like one of ours.

// logVersion is the format's, in the first line of each file.
const logVersion = 1

// maxBlock bounds the output in one line, in bytes.
const maxBlock = 32 << 10

// maxLine bounds a line in bytes: a block in base64, or escaped to twice its
// size at most, and what stands around it.
const maxLine = 2*maxBlock + 4<<10

// A line is any line of a log, for reading.
type line struct {
	Version int       `json:"pocketdock_log"`
	Type    Kind      `json:"type"`
	TS      time.Time `json:"ts"`
	Cmd     string    `json:"cmd"`
	CmdCut  int       `json:"cmd_cut"`
	ID      string    `json:"id"`
	PID     int       `json:"pid"`
	Part    int       `json:"part"`
	OutAt   int64     `json:"out_at"`
	ErrAt   int64     `json:"err_at"`

	T      int64   `json:"t"`
	Out    *string `json:"out"`
	Err    *string `json:"err"`
	Out64  []byte  `json:"out64"`
	Err64  []byte  `json:"err64"`
	OutCut int64   `json:"out_cut"`
	ErrCut int64   `json:"err_cut"`

	End      bool   `json:"end"`
	At       int64  `json:"at"` // where in the file the command begins
	Exit     *int   `json:"exit"`
	MS       int64  `json:"ms"`
	Signal   int    `json:"signal"`
	TimedOut bool   `json:"timed_out"`
	OOM      bool   `json:"oom"`
	Error    string `json:"error"`
}

// parseLine reads a line; false for one that is torn or not ours.
func parseLine(b []byte) (*line, bool) {
	var l line
	if len(b) == 0 || b[0] != '{' || json.Unmarshal(b, &l) != nil {
		return nil, false
	}
	return &l, true
}

// safeByte says which bytes stand for themselves in a string.
var safeByte = func() (t [256]bool) {
	for c := 0x20; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// Eight bytes of text at a time, as a word: one in each byte, and the top bit
// of each.
const (
	eachByte = 0x0101010101010101
	topBits  = 0x8080808080808080
)

// special has the top bit of each byte of w that does not stand for itself. A
// subtraction borrows from the bytes above a special one: only the lowest bit
// that is set is to be believed.
func special(w uint64) uint64 {
	return (w | (w - 0x20*eachByte) | ((w ^ '"'*eachByte) - eachByte) | ((w ^ '\\'*eachByte) - eachByte) | ((w ^ 0x7f*eachByte) - eachByte)) & topBits
}

// safePrefix is how many bytes at the beginning of s stand for themselves.
func safePrefix(s []byte) int {
	n := 0
	for ; n+8 <= len(s); n += 8 {
		if bad := special(binary.LittleEndian.Uint64(s[n:])); bad != 0 {
			return n + bits.TrailingZeros64(bad)/8
		}
	}
	for n < len(s) && safeByte[s[n]] {
		n++
	}
	return n
}

// appendString appends s as a JSON string. Beside what JSON demands it escapes
// every character that a terminal may obey (control characters above ASCII,
// those that change the direction of text), so that a log can be shown as it is.
func appendString(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for len(s) > 0 {
		n := safePrefix(s)
		dst = append(dst, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			break
		}
		switch c := s[0]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
			s = s[1:]
			continue
		case '\n':
			dst = append(dst, '\\', 'n')
			s = s[1:]
			continue
		case '\r':
			dst = append(dst, '\\', 'r')
			s = s[1:]
			continue
		case '\t':
			dst = append(dst, '\\', 't')
			s = s[1:]
			continue
		}
		r, size := utf8.DecodeRune(s)
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, `\ufffd`...)
		case r >= 0xa0 && r < 0x2000 && r != 0x61c: // most letters
			dst = append(dst, s[:size]...)
		case r < 0x10000 && (unicode.IsControl(r) || r == 0x2028 || r == 0x2029 || r == 0xfeff || unicode.Is(unicode.Bidi_Control, r)):
			dst = append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			dst = append(dst, s[:size]...)
		}
		s = s[size:]
	}
	return append(dst, '"')
}

// streamNames are a stream's in a line.
func streamName(s pocketdock.OutputStream) string {
	if s == pocketdock.Stderr {
		return "err"
	}
	return "out"
}

// appendOutput appends the line of a block: as text where that is what it is,
// else in base64.
func appendOutput(dst []byte, ms int64, s pocketdock.OutputStream, data []byte) []byte {
	dst = append(dst, `{"t":`...)
	dst = strconv.AppendInt(dst, ms, 10)
	dst = append(dst, `,"`...)
	dst = append(dst, streamName(s)...)
	start := len(dst)
	if isText(data) {
		dst = append(dst, `":`...)
		dst = appendString(dst, data)
		if len(dst)-start <= 2*len(data)+16 {
			return append(dst, "}\n"...)
		}
		dst = dst[:start] // mostly what has to be escaped
	}
	dst = append(dst, `64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, data)
	return append(dst, "\"}\n"...)
}

// isText tells text from what is shorter in base64.
func isText(data []byte) bool {
	control := 0
	for n := 0; n < len(data); {
		// No control characters in most words.
		if n+8 <= len(data) {
			if w := binary.LittleEndian.Uint64(data[n:]); (w|(w-0x20*eachByte))&topBits == 0 {
				n += 8
				continue
			}
		}
		for _, c := range data[n:min(n+8, len(data))] {
			if c < 0x20 && c != '\n' && c != '\t' && c != '\r' {
				control++
			}
		}
		if control > len(data)/8+8 {
			return false
		}
		n += 8
	}
	return utf8.Valid(data)
}

// appendCut appends the line that says how much of a stream is missing there.
func appendCut(dst []byte, ms int64, s pocketdock.OutputStream, n int64) []byte {
	dst = append(dst, `{"t":`...)
	dst = strconv.AppendInt(dst, ms, 10)
	dst = append(dst, `,"`...)
	dst = append(dst, streamName(s)...)
	dst = append(dst, `_cut":`...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, "}\n"...)
}

// appendHeader appends the first line of a log.
func appendHeader(dst []byte, e *Entry, pid int) []byte {
	dst = append(dst, `{"pocketdock_log":`...)
	dst = strconv.AppendInt(dst, logVersion, 10)
	dst = append(dst, ',')
	dst = e.appendHead(dst)
	dst = append(dst, `,"pid":`...)
	dst = strconv.AppendInt(dst, int64(pid), 10)
	return append(dst, "}\n"...)
}

// appendPart appends the first line of a further file of a log: which one it
// is, and how many bytes of each stream came before.
func appendPart(dst []byte, part int, out, err int64) []byte {
	dst = append(dst, `{"pocketdock_log":`...)
	dst = strconv.AppendInt(dst, logVersion, 10)
	dst = append(dst, `,"part":`...)
	dst = strconv.AppendInt(dst, int64(part), 10)
	dst = append(dst, `,"out_at":`...)
	dst = strconv.AppendInt(dst, out, 10)
	dst = append(dst, `,"err_at":`...)
	dst = strconv.AppendInt(dst, err, 10)
	return append(dst, "}\n"...)
}

// appendEnd appends the last line of a log.
func appendEnd(dst []byte, e *Entry) []byte {
	dst = append(dst, `{"t":`...)
	dst = strconv.AppendInt(dst, e.MS, 10)
	dst = append(dst, `,"end":true,"at":`...)
	dst = strconv.AppendInt(dst, e.At, 10)
	dst = append(dst, ',')
	dst = e.appendTail(dst)
	return append(dst, "}\n"...)
}
