//go:build linux

package agent

import "sync"

// Sizes of reads of a command's output. A stream starts with a small buffer
// and takes a large one once it fills that; most commands never do.
const (
	smallBuffer = 4 << 10
	bulkBuffer  = 128 << 10
	// briefBuffer is how much a log has in memory before it goes to a file.
	briefBuffer = 16 << 10
	// bulkPipe is what a pipe is enlarged to when a stream turns out to be
	// bulk: the largest that an unprivileged process may have by default.
	bulkPipe = 1 << 20
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	bulkBuffers  = sync.Pool{New: func() any { return new([bulkBuffer]byte) }}
	briefBuffers = sync.Pool{New: func() any { return new([briefBuffer]byte) }}
)

// A scratch is a buffer that grows once and goes back to its pool.
type scratch struct {
	small *[smallBuffer]byte
	bulk  *[bulkBuffer]byte
}

func (s *scratch) bytes() []byte {
	if s.bulk != nil {
		return s.bulk[:]
	}
	if s.small == nil {
		s.small = smallBuffers.Get().(*[smallBuffer]byte)
	}
	return s.small[:]
}

// grow makes it a large one and reports whether it was not one already.
func (s *scratch) grow() bool {
	if s.bulk != nil {
		return false
	}
	s.release()
	s.bulk = bulkBuffers.Get().(*[bulkBuffer]byte)
	return true
}

func (s *scratch) release() {
	if s.small != nil {
		smallBuffers.Put(s.small)
	}
	if s.bulk != nil {
		bulkBuffers.Put(s.bulk)
	}
	*s = scratch{}
}
