package project

import (
	"sync"
	"time"
	"unicode/utf8"

	"github.com/pocketdock/pocketdock"
)

// What a Recorder holds between a command and the disk. A command never waits
// for its log unless it prints faster than the disk takes the first half of it:
// of what comes later only the end is kept, so most of a flood is dropped here,
// and all of it that can be, without being touched. Copying each byte took more
// processor time than all else that is done for a log, and encoding each more
// than the command.

const (
	// tailDelay is how long output is held at most once the first half of the
	// log is full, and tailHold how many bytes of each stream: what comes in
	// that time before them is never written.
	tailDelay = 50 * time.Millisecond
	tailHold  = 512 << 10
	// floodAfter is how many bytes in that time are a flood, and floodHold how
	// many of each stream are held then. Of a piece that is larger the rest is
	// not even copied; the copies stay in the processor's cache.
	floodAfter = 1 << 20
	floodHold  = 32 << 10
)

// A block is output of one stream.
type block struct {
	stream pocketdock.OutputStream
	ms     int64
	data   []byte
	lost   int64 // bytes that never came
}

// A queue is output in the order in which it came.
type queue struct {
	cut    [2]int64 // bytes of each stream that were dropped before blocks
	blocks []block
	held   [2]int // bytes of each stream in blocks
}

func (q *queue) size() int { return q.held[0] + q.held[1] }

// add holds a copy of p.
func (r *Recorder) add(q *queue, stream pocketdock.OutputStream, ms int64, p []byte) {
	q.held[stream-1] += len(p)
	for len(p) > 0 {
		n := 0
		if last := len(q.blocks) - 1; last >= 0 {
			if b := &q.blocks[last]; b.stream == stream && b.lost == 0 && ms-b.ms <= joinTime {
				n = min(len(p), r.blockMax-len(b.data))
				b.data = append(b.data, p[:n]...)
			}
		}
		if n == 0 {
			n = min(len(p), r.blockMax)
			q.blocks = append(q.blocks, block{stream: stream, ms: ms, data: append(blockBuffer(n), p[:n]...)})
		}
		p = p[n:]
	}
}

// addTail holds the end of what comes after the first half. Each stream pushes
// out its own output only: what is said on stderr survives a flood on stdout.
func (r *Recorder) addTail(stream pocketdock.OutputStream, ms int64, p []byte) {
	r.came += int64(len(p))
	hold := int64(tailHold)
	if r.came > floodAfter {
		hold = floodHold
	}
	most := int(min(hold, r.tailMax()))
	q := &r.tail
	if over := len(p) - most; over > 0 {
		r.drop(q, stream, 0)
		for n := 0; n < utf8.UTFMax-1 && over < len(p) && !utf8.RuneStart(p[over]); n++ {
			over++ // no half character
		}
		q.cut[stream-1] += int64(over)
		p = p[over:]
	}
	r.add(q, stream, ms, p)
	if q.held[stream-1] >= most+r.blockMax {
		r.drop(q, stream, most)
	}
}

// drop takes the oldest blocks of a stream away, as long as the others have
// keep bytes.
func (r *Recorder) drop(q *queue, stream pocketdock.OutputStream, keep int) {
	held, enough := &q.held[stream-1], false
	rest := q.blocks[:0]
	for _, b := range q.blocks {
		enough = enough || b.stream == stream && *held-len(b.data) < keep
		if b.stream != stream || enough {
			rest = append(rest, b)
			continue
		}
		*held -= len(b.data)
		q.cut[stream-1] += int64(len(b.data)) + b.lost
		free(b.data)
	}
	q.blocks = rest
}

// buffers have memory for whole blocks, *[maxBlock]byte: making it anew for
// each costs as much as the encoding.
var buffers sync.Pool

// blockBuffer is memory for a block that begins with n bytes.
func blockBuffer(n int) []byte {
	if n < maxBlock/2 {
		return nil // most have no more
	}
	if b, ok := buffers.Get().(*[maxBlock]byte); ok {
		return b[:0]
	}
	return make([]byte, 0, maxBlock)
}

// free takes the memory of blocks back.
func free(b []byte) {
	if cap(b) == maxBlock {
		buffers.Put((*[maxBlock]byte)(b[:maxBlock]))
	}
}
