//go:build linux

package monitor

import (
	"bufio"
	"encoding/binary"
	"io"
	"time"
)

// A log is records: one byte for the stream (1 or 2), the time in nanoseconds
// (8 bytes), the length (4 bytes), the data.
const recordHeader = 13

// maxRecord bounds a record that is read.
const maxRecord = 1 << 20

// AppendRecord appends a record to b.
func AppendRecord(b []byte, stream byte, at time.Time, p []byte) []byte {
	b = append(b, stream)
	b = binary.BigEndian.AppendUint64(b, uint64(at.UnixNano()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
	return append(b, p...)
}

// ReadLog calls f for each record until it returns false. A record that is not
// whole, as a writer that was killed leaves it, ends the log.
func ReadLog(r io.Reader, f func(stream byte, at time.Time, p []byte) bool) {
	br := bufio.NewReader(r)
	var h [recordHeader]byte
	for {
		if _, err := io.ReadFull(br, h[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(h[9:])
		if n > maxRecord {
			return
		}
		p := make([]byte, n)
		if _, err := io.ReadFull(br, p); err != nil {
			return
		}
		if !f(h[0], time.Unix(0, int64(binary.BigEndian.Uint64(h[1:]))), p) {
			return
		}
	}
}
