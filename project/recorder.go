package project

import (
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"time"

	"github.com/pocketdock/pocketdock"
)

// A Recorder keeps the output of one command in a log, and its end in the
// history. It never fails: what cannot be written is given up, and the
// project's Warn is told, once. Writes are for any goroutine.
//
// The log of a command that prints no more than half of the limit has all of
// it. Of a longer one it has that half and the end: at least the last quarter
// of the limit, or, where more than 10 MB of a stream come in a second, its last
// 512 KiB, and its last 32 KiB where more than 20 MB do. How much is missing,
// and where, is in the log.
type Recorder struct {
	inst  *Instance
	most  int64 // bytes on disk; 0: no limit
	entry Entry
	begun time.Time
	past  bool // the command ended before

	blockMax int // bytes of output in a line

	mu      sync.Mutex // of what is between the command and the disk
	first   int64      // bytes that are still taken for the log's first half
	head    queue      // that half, in so far as it is not written
	tail    queue      // what comes after it: the oldest may be dropped
	came    int64      // bytes for tail since it was written
	writing bool       // writer has been told to flush
	writer  sync.WaitGroup
	due     time.Time // when what is held is written; zero: nothing is held
	done    bool

	disk    sync.Mutex    // of what follows
	opened  chan struct{} // closed when the file is there, or never will be
	log     *logFile      // stays locked while the command runs
	file    *os.File      // that is written: the first one of the log, or a further one
	failed  bool
	headMax int64
	size    int64 // of file
	part    int   // 0: the first file
	at      [2]int64
	carry   [2][]byte     // the beginning of a character
	written map[int]int64 // bytes of output, by file
	missing int64
	buf     []byte
}

const (
	// flushSize is how much output is held before it is written, in bytes.
	flushSize = 256 << 10
	// flushDelay is how long it is held at most. Who follows a log sees it so
	// much later, and a program that is killed has lost so much of it.
	flushDelay = 100 * time.Millisecond
	// beginDelay is how long it may take until a log tells that a command has
	// begun: one that a program began so shortly before it was killed may be in
	// no log.
	beginDelay = 10 * time.Millisecond
	// maxHeld is where a command waits for the disk.
	maxHeld = 4 << 20
	// joinTime is how long output goes into the same line.
	joinTime = 20 // ms
)

// Record begins to record a command. Finish must be called.
func (i *Instance) Record(kind Kind, cmd pocketdock.Command, l Logging) *Recorder {
	r := i.newRecorder(Entry{Time: time.Now(), Type: kind}, l)
	r.entry.Cmd, r.entry.CmdCut = cutText(commandText(cmd), maxCmd)
	if kind == KindRun {
		if f := i.idleLog(l); f != nil {
			// One write does for all of a command that is over soon.
			r.begin(f)
			r.mu.Lock()
			r.flushIn(beginDelay)
			r.mu.Unlock()
			return r
		}
	}
	// A command takes a while to start; the file is made meanwhile.
	i.background.Go(func() {
		r.open()
		r.flush()
		i.rotate(l)
	})
	return r
}

// recordAt is Record for what began before, in the foreground.
func (i *Instance) recordAt(e Entry, l Logging) *Recorder {
	r := i.newRecorder(e, l)
	r.past = true
	r.open()
	r.flush()
	return r
}

func (i *Instance) newRecorder(e Entry, l Logging) *Recorder {
	r := &Recorder{inst: i, most: l.MaxLogSize, first: math.MaxInt64, blockMax: maxBlock, begun: e.Time, entry: e, opened: make(chan struct{}), written: map[int]int64{}}
	if r.most > 0 {
		r.headMax = r.most/2 - reserve
		r.first = r.headMax // in the file it takes more room than that
		r.blockMax = int(min(maxBlock, r.tailMax()/3))
	}
	return r
}

// Output takes output. It does not keep p.
func (r *Recorder) Output(stream pocketdock.OutputStream, p []byte) {
	r.mu.Lock()
	if r.done || len(p) == 0 {
		r.mu.Unlock()
		return
	}
	ms := r.now()
	n := int(min(int64(len(p)), r.first))
	r.first -= int64(n)
	r.add(&r.head, stream, ms, p[:n])
	if n < len(p) {
		r.addTail(stream, ms, p[n:])
	}
	if r.due.IsZero() {
		delay := flushDelay
		if r.first == 0 {
			delay = tailDelay
		}
		r.flushIn(delay)
	}
	full := r.head.size() >= maxHeld
	if r.head.size() >= flushSize && !r.writing && !full {
		r.writing = true
		r.writer.Go(r.flush)
	}
	r.mu.Unlock()
	if full {
		r.flush()
	}
}

// Lost takes note of bytes that were printed and never came.
func (r *Recorder) Lost(stream pocketdock.OutputStream, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n <= 0 || r.done {
		return
	}
	q := &r.head
	if r.first == 0 {
		q = &r.tail
	}
	q.blocks = append(q.blocks, block{stream: stream, ms: r.now(), lost: n})
}

// Writer is Output as an io.Writer. It never fails.
func (r *Recorder) Writer(stream pocketdock.OutputStream) io.Writer { return recorderWriter{r, stream} }

type recorderWriter struct {
	r      *Recorder
	stream pocketdock.OutputStream
}

func (w recorderWriter) Write(p []byte) (int, error) {
	w.r.Output(w.stream, p)
	return len(p), nil
}

// now is when output comes, in milliseconds from the command's start.
func (r *Recorder) now() int64 {
	if r.past {
		return 0 // nobody knows any more
	}
	return time.Since(r.begun).Milliseconds()
}

// tailMax bounds each of the two further files.
func (r *Recorder) tailMax() int64 { return r.most/4 - reserve }

// flush writes what is held.
func (r *Recorder) flush() { r.drain(nil) }

// Finish ends the record with how the command ended: a result, or the error
// that there is none for.
func (r *Recorder) Finish(res *pocketdock.Result, err error) {
	defer r.writer.Wait()
	r.drain(func() {
		r.entry.MS = r.now()
		r.entry.result(res, err)
		r.entry.Cut = r.missing
		r.buf = appendEnd(r.buf, &r.entry)
	})
	// Locked until the history has it: see Collect.
	r.inst.note(&r.entry, r.most)
	r.close()
}

// note is appendHistory that warns.
func (i *Instance) note(e *Entry, most int64) {
	if err := i.appendHistory(e, most); err != nil {
		i.project.warn(fmt.Errorf("instance %s: history: %w", i.name, err))
	}
}

func (r *Recorder) close() {
	r.disk.Lock()
	defer r.disk.Unlock()
	if r.part > 0 {
		r.file.Close()
	}
	if r.log != nil {
		r.log.size = r.size
		r.inst.release(r.log, r.entry.Type == KindRun && !r.failed && r.part == 0)
	}
	r.failed = true // nothing is written any more
}

// abandon takes the record back.
func (r *Recorder) abandon() {
	defer r.writer.Wait()
	r.drain(func() { r.failed = true })
	r.close()
	for n := range r.part + 1 {
		r.inst.logs.Remove(partName(r.entry.Log, n))
	}
}

// Log is the name of the command's log, for [Instance.ReadLog]; empty if it
// could not be made.
func (r *Recorder) Log() string {
	<-r.opened
	r.disk.Lock()
	defer r.disk.Unlock()
	return r.entry.Log
}
