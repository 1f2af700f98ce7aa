//go:build linux

package agent

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime/debug"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A log keeps the last bytes of a stream: the byte at offset o lies at
// o % limit of a circular file, after a header. The file is mapped, so that
// read(2) puts output right into the page cache and a reader that holds the
// process back is served from there: no copy more than a pipe costs, and what
// is in the log outlives the agent.
//
// A log is brief at first: in memory, until it is more than that has room for
// or the process turns out not to be short. What a short one leaves goes to the
// journal.
//
// The file grows with what is written. If the disk is full, or there is no
// file, memory takes its place as far as [memoryLimit] goes and only as long
// as the process runs and somebody reads: nothing is lost to those who follow,
// and later readers are told of a gap.
//
// Only system calls touch the mapping, or Go code that expects a fault: a
// root command may truncate the file at any time.
type log struct {
	store *store
	name  string // of the file; empty: there is to be none

	mu      sync.Mutex
	limit   int64
	total   int64 // bytes so far
	lost    int64 // bytes before this are gone, whatever the limit says
	file    int   // -1: none
	backed  int64 // how many bytes of the ring the file has
	memory  []byte
	brief   bool               // it is to be in memory
	buffer  *[briefBuffer]byte // that memory
	place   *place             // in the journal, then
	readers map[*follower]struct{}
	ended   bool          // the stream is at its end
	room    chan struct{} // a reader that holds has read
	onRoom  bool          // the writer waits for that

	// direct gets what comes from the writer itself, as long as it is little:
	// for a short command nobody else needs to wake up. sending is who is being
	// sent what the log has already.
	direct, sending *follower
}

const (
	defaultLogLimit = 1 << 20
	maxLogLimit     = 1 << 30
	// memoryLimit is how much of a log may be in memory only.
	memoryLimit = 1 << 20
	logHeader   = 64
	logMagic    = "PDLOG1\n\x00"
	// firstGrowth is the first size of a log, header included.
	firstGrowth = 64 << 10
)

func newLog(st *store, name string, limit int64) *log {
	return &log{
		store: st, name: name, limit: limit, file: -1,
		readers: map[*follower]struct{}{}, room: make(chan struct{}, 1),
	}
}

func (l *log) first() int64 { return max(l.lost, l.total-l.limit) }

func (l *log) extent() (total, first int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total, l.first()
}

// open makes file and mapping.
func (l *log) open() {
	if l.name != "" {
		l.file = l.store.create(l.name)
	}
	size := roundUp(logHeader+l.limit, int64(os.Getpagesize()))
	if l.file >= 0 {
		m, err := unix.Mmap(l.file, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err == nil {
			l.memory = m
			return
		}
		l.unfile()
	}
	l.limit = min(l.limit, memoryLimit)
	m, err := unix.Mmap(-1, 0, int(min(size, memoryLimit+logHeader)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		m = make([]byte, logHeader+firstGrowth)
		l.limit = min(l.limit, firstGrowth)
	}
	l.memory, l.backed = m, l.limit
}

func (l *log) unfile() {
	unix.Close(l.file)
	if l.name != "" {
		l.store.remove(l.name)
	}
	l.file = -1
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

// grow gives the ring at least want backed bytes, or changes the limit to what
// it can have.
func (l *log) grow(want int64) {
	if l.buffer != nil {
		if l.unbrief(); l.total < l.backed {
			return
		}
	}
	page := int64(os.Getpagesize())
	size := roundUp(logHeader+max(want, 2*l.backed, firstGrowth-logHeader), page)
	size = min(size, roundUp(logHeader+l.limit, page))
	err := unix.Fallocate(l.file, 0, 0, size)
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		err = unix.Ftruncate(l.file, size)
	}
	if err == nil {
		l.backed = min(size-logHeader, l.limit)
		if l.total == 0 {
			l.writeHeader()
		}
		return
	}
	// All so far is below l.backed and keeps its place under a new limit.
	// l.backed ends at a page, as the ring is not whole yet.
	at := int64(0)
	if l.backed > 0 {
		at = logHeader + l.backed
	}
	extra := min(roundUp(logHeader+l.limit, page)-at, roundUp(memoryLimit, page))
	p := unsafe.Pointer(unsafe.SliceData(l.memory))
	_, err = unix.MmapPtr(-1, 0, unsafe.Add(p, at), uintptr(extra),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED)
	switch {
	case err == nil:
		l.limit = min(l.limit, at+extra-logHeader)
		l.backed = l.limit
		if at == 0 {
			l.unfile()
		} else {
			l.writeHeader()
		}
	case l.backed > 0:
		l.limit = l.backed
		l.writeHeader()
	}
}

// writeHeader makes the file say how far it goes. It follows each write into
// the ring, so that a log whose agent was killed is off by one write at most.
func (l *log) writeHeader() {
	if l.file < 0 {
		return
	}
	var h [32]byte
	copy(h[:], logMagic)
	binary.LittleEndian.PutUint64(h[8:], uint64(l.limit))
	binary.LittleEndian.PutUint64(h[16:], uint64(l.total))
	binary.LittleEndian.PutUint64(h[24:], uint64(l.lost))
	unix.Pwrite(l.file, h[:], 0)
}

// maxAppend bounds one write into the ring; after a crash that much of the
// oldest bytes is not trusted.
const maxAppend = bulkBuffer

// space is where the next bytes go, as much as may be written without passing
// the end of the ring or a reader that holds; empty if such a reader must
// read first.
func (l *log) space() []byte {
	free := min(l.limit, maxAppend)
	for r := range l.readers {
		if r.hold {
			free = min(free, r.at[r.side(l)]+l.limit-l.total)
		}
	}
	if free <= 0 {
		return nil
	}
	if l.total+free > l.backed && l.backed < l.limit {
		// Not as far as the whole read could go: most commands say little.
		if l.total >= l.backed {
			l.grow(l.total + 1)
		}
		free = min(free, max(l.backed-l.total, 0))
		if free == 0 {
			free = l.limit // cannot be: grow made room
		}
	}
	at := l.total % l.limit
	free = min(free, l.limit-at)
	return l.memory[logHeader+at : logHeader+at+free]
}

// record fills the log from the stream, to its end.
func (s *stream) record() {
	l := s.log
	defer close(s.eof)
	defer l.end()
	defer s.src.Close()
	raw, err := s.src.SyscallConn()
	if err != nil {
		return
	}
	var sum int64
	enlarged := false
	for {
		full := false
		var piece []byte
		var to *follower
		n, err := take(raw, func(fd int) (int, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.memory == nil {
				n, err := l.begin(fd)
				if n > 0 {
					piece, to = l.newest(n)
				}
				return n, err
			}
			b := l.space()
			if len(b) == 0 {
				full = true
				l.onRoom = true
				return 1, nil // to leave
			}
			n, err := unix.Read(fd, b)
			if err == unix.EFAULT && l.file >= 0 {
				l.forget()
				n, err = unix.Read(fd, l.space())
			}
			if n > 0 {
				l.total += int64(n)
				l.writeHeader()
				piece, to = l.newest(n)
				l.tell()
			}
			return n, err
		})
		if err != nil {
			return
		}
		if full {
			<-l.room
			continue
		}
		if to != nil {
			l.send(to, s.kind, piece)
		}
		if sum += int64(n); sum >= smallBuffer*8 && !enlarged {
			enlarged = true
			l.tooMuch()
			enlarge(raw)
		}
	}
}

// begin reads the first output, and only then makes the file: most streams of
// errors stay empty.
func (l *log) begin(fd int) (int, error) {
	if l.brief {
		return l.beginBrief(fd)
	}
	b := smallBuffers.Get().(*[smallBuffer]byte)
	defer smallBuffers.Put(b)
	n, err := unix.Read(fd, b[:min(smallBuffer, l.limit)])
	if n <= 0 || err != nil {
		return n, err
	}
	l.open()
	to := l.space()
	if l.file >= 0 {
		unix.Pwrite(l.file, b[:n], logHeader) // into the mapped page
	} else {
		n = copy(to, b[:n])
	}
	l.total += int64(n)
	l.writeHeader()
	l.tell()
	return n, nil
}

// forget is for a file that was taken from under the log: it goes on in
// memory, in the same place as a reader may be using it, and all so far is
// lost.
func (l *log) forget() {
	p := unsafe.Pointer(unsafe.SliceData(l.memory))
	unix.MmapPtr(-1, 0, p, uintptr(len(l.memory)),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED)
	l.unfile()
	l.limit = min(l.limit, memoryLimit)
	l.backed = l.limit
	l.lost = l.total
}

// tell wakes the readers.
func (l *log) tell() {
	for r := range l.readers {
		if r != l.direct {
			r.kick()
		}
	}
}

// freed lets the writer go on if it waits for a reader and half of the ring is
// free: they take turns less often.
func (l *log) freed() {
	if !l.onRoom {
		return
	}
	for r := range l.readers {
		if r.hold && l.total-r.at[r.side(l)] > l.limit/2 {
			return
		}
	}
	l.onRoom = false
	l.room <- struct{}{}
}

// attach enters a reader, unless the log has given up its memory.
func (l *log) attach(r *follower) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended && l.memory == nil {
		return false
	}
	l.readers[r] = struct{}{}
	return true
}

func (l *log) detach(r *follower) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.readers, r)
	if l.direct == r {
		l.direct = nil
	}
	l.freed()
	l.closeIfOver()
}

// end says that nothing more comes.
func (l *log) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for r := range l.readers {
		if r != l.direct || closed(r.over) {
			r.kick()
		}
	}
	l.closeIfOver()
}

// closeIfOver gives up file and mapping when the stream is at its end and
// nobody reads; later readers open the file, see [keptLog].
func (l *log) closeIfOver() {
	if !l.ended || len(l.readers) > 0 || l.memory == nil || l.brief {
		return
	}
	if l.buffer != nil { // the journal has it
		briefBuffers.Put(l.buffer)
		l.buffer, l.memory = nil, nil
		return
	}
	if l.file < 0 || !l.whole() {
		l.lost = l.total
		if l.file >= 0 {
			l.unfile()
		}
	} else {
		l.writeHeader()
		unix.Ftruncate(l.file, logHeader+min(l.total, l.limit))
		unix.Close(l.file)
		l.file = -1
	}
	unix.Munmap(l.memory)
	l.memory = nil
}

// whole reports whether the file has all of the ring, and fills it up from
// memory if part of it was there.
func (l *log) whole() bool {
	var st unix.Stat_t
	need := logHeader + min(l.total, l.limit)
	if unix.Fstat(l.file, &st) != nil {
		return false
	}
	if st.Size >= need {
		return true
	}
	for at := st.Size; at < need; {
		n, err := unix.Pwrite(l.file, l.memory[at:need], at)
		if n <= 0 || err != nil {
			return false
		}
		at += int64(n)
	}
	return true
}

var errLogGone = errors.New("the log's file was truncated")

// copyOut reads bytes of the ring at offset off into b, after l.mu is held and
// off was found to be in the log. It returns how many, up to the ring's end.
func (l *log) copyOut(b []byte, off int64) (n int, err error) {
	at := off % l.limit
	src := l.memory[logHeader+at : logHeader+at+min(int64(len(b)), l.total-off, l.limit-at)]
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			n, err = 0, errLogGone
		}
	}()
	return copy(b, src), nil
}
