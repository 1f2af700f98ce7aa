package project

import (
	"bytes"
	"io"
)

// A lineReader reads a file's lines, also of one that grows: what has no end
// yet is kept until it has.
type lineReader struct {
	r    io.Reader
	most int // bytes of a line; a longer one is skipped
	buf  []byte
	skip bool  // inside of a line that is too long
	from int   // where in buf the next line begins
	at   int64 // where in the file the last line begins
	read int64 // bytes of the file
}

func newLineReader(r io.Reader, most int) *lineReader { return &lineReader{r: r, most: most} }

// readSize is how much of a file is read at once, in bytes.
const readSize = 64 << 10

// next returns the next whole line without its end, valid until the next
// call, or io.EOF where the file ends now.
func (l *lineReader) next() ([]byte, error) {
	for {
		if n := bytes.IndexByte(l.buf[l.from:], '\n'); n >= 0 {
			b := l.buf[l.from : l.from+n]
			l.at = l.read - int64(len(l.buf)-l.from)
			l.from += n + 1
			if l.skip || len(b) > l.most {
				l.skip = false
				continue
			}
			return b, nil
		}
		l.buf = append(l.buf[:0], l.buf[l.from:]...)
		l.from = 0
		if len(l.buf) > l.most {
			l.buf, l.skip = l.buf[:0], true
		}
		at := len(l.buf)
		l.buf = append(l.buf, make([]byte, readSize)...)
		n, err := l.r.Read(l.buf[at:])
		l.buf = l.buf[:at+n]
		l.read += int64(n)
		if n == 0 && err != nil {
			return nil, err
		}
	}
}
