package project

import (
	"fmt"
	"os"
	"time"

	"github.com/pocketdock/pocketdock"
)

// open makes the log's file.
func (r *Recorder) open() {
	f, err := r.inst.newLog(r.entry.Type, r.entry.Time)
	if err != nil {
		r.disk.Lock()
		r.fail(err)
		r.disk.Unlock()
		close(r.opened)
		return
	}
	r.begin(f)
}

// begin has the command written into a file, at its end, with what comes next.
func (r *Recorder) begin(f *logFile) {
	defer close(r.opened)
	r.disk.Lock()
	defer r.disk.Unlock()
	r.log, r.file, r.size = f, f.file, f.size
	r.entry.Log, r.entry.At = f.name, f.size
	r.buf = appendHeader(r.buf[:0], &r.entry, pid)
}

// pid is this program's; asking each time is a system call.
var pid = os.Getpid()

// reserve is room in the first file for the line about a command's end.
const reserve = 4 << 10

// write appends whole lines to the file.
func (r *Recorder) write(b []byte) {
	if r.failed || len(b) == 0 {
		return
	}
	if _, err := r.file.Write(b); err != nil {
		r.file.Truncate(r.size) // no half line
		r.fail(err)
		return
	}
	r.size += int64(len(b))
}

// fail gives up.
func (r *Recorder) fail(err error) {
	r.failed = true
	r.inst.project.warn(fmt.Errorf("instance %s: output is not recorded: %w", r.inst.name, err))
}

// drain writes what is held, and the end if it is the last time.
func (r *Recorder) drain(end func()) {
	<-r.opened
	r.disk.Lock()
	defer r.disk.Unlock()
	r.mu.Lock()
	head, tail := r.head, r.tail
	r.head, r.tail, r.came, r.writing = queue{}, queue{}, 0, false
	r.due = time.Time{}
	if end != nil {
		r.done = true
	}
	r.mu.Unlock()
	r.encode(&head)
	r.encode(&tail)
	if end != nil {
		r.rest(r.now(), pocketdock.Stdout)
		r.rest(r.now(), pocketdock.Stderr)
		end()
	}
	r.write(r.buf)
	r.buf = r.buf[:0]
	for _, q := range []*queue{&head, &tail} {
		for _, b := range q.blocks {
			free(b.data)
		}
	}
}

// encode writes what was held, and goes on to the next file where one is full.
func (r *Recorder) encode(q *queue) {
	ms := r.now()
	if len(q.blocks) > 0 {
		ms = q.blocks[0].ms
	}
	for _, s := range []pocketdock.OutputStream{pocketdock.Stdout, pocketdock.Stderr} {
		r.gap(ms, s, q.cut[s-1])
	}
	if q.size() >= flushSize/2 && cap(r.buf) < flushSize {
		r.buf = append(make([]byte, 0, flushSize+maxLine), r.buf...)
	}
	for i := range q.blocks {
		b := &q.blocks[i]
		if b.lost > 0 {
			r.gap(b.ms, b.stream, b.lost)
			continue
		}
		// A character of which a part has not come yet waits for the rest.
		data := b.data
		if c := r.carry[b.stream-1]; len(c) > 0 {
			data = append(c, data...)
		}
		n := incomplete(data)
		r.carry[b.stream-1] = append([]byte(nil), data[len(data)-n:]...)
		r.output(b.ms, b.stream, data[:len(data)-n])
	}
}

// rest adds what waits for bytes that will not come.
func (r *Recorder) rest(ms int64, s pocketdock.OutputStream) {
	c := r.carry[s-1]
	r.carry[s-1] = nil
	r.output(ms, s, c)
}

// output adds one line of output, in the next file if this one is full.
func (r *Recorder) output(ms int64, s pocketdock.OutputStream, data []byte) {
	if len(data) == 0 {
		return
	}
	if len(r.buf) >= flushSize {
		r.write(r.buf)
		r.buf = r.buf[:0]
	}
	from := len(r.buf)
	r.buf = appendOutput(r.buf, ms, s, data)
	if n := int64(len(r.buf)); r.most > 0 && r.size+n > r.room() {
		line := append([]byte(nil), r.buf[from:]...)
		r.buf = r.buf[:from]
		r.nextPart()
		r.buf = append(r.buf, line...)
	}
	r.at[s-1] += int64(len(data))
	r.written[r.part] += int64(len(data))
}

// gap notes that bytes of a stream are missing here.
func (r *Recorder) gap(ms int64, s pocketdock.OutputStream, n int64) {
	if n == 0 {
		return
	}
	r.rest(ms, s)
	r.buf = appendCut(r.buf, ms, s, n)
	r.at[s-1] += n
	r.missing += n
}

// room is how large the file at hand may become.
func (r *Recorder) room() int64 {
	if r.part == 0 {
		return r.headMax
	}
	return r.tailMax()
}

// nextPart goes on in another file, and removes the last but one.
func (r *Recorder) nextPart() {
	r.write(r.buf)
	r.buf = r.buf[:0]
	if r.failed {
		return
	}
	f, err := r.inst.logs.OpenFile(partName(r.entry.Log, r.part+1), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		r.fail(err)
		return
	}
	r.part++
	if r.part > 1 {
		r.file.Close()
	}
	if old := r.part - 2; old > 0 {
		r.inst.logs.Remove(partName(r.entry.Log, old))
		r.missing += r.written[old]
		delete(r.written, old)
	}
	r.file, r.size = f, 0
	r.buf = appendPart(r.buf, r.part, r.at[0], r.at[1])
}
