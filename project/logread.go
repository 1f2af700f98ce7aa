package project

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/pocketdock/pocketdock"
)

// A LogRecord is one piece of a log: the command, output, or the end.
type LogRecord struct {
	// Start is the command; only in the first record.
	Start *Entry
	// After is when it was, from the command's start.
	After time.Duration
	// Stream and Data are output, exactly as it was printed, control
	// characters included. Data is valid until the next record.
	Stream pocketdock.OutputStream
	Data   []byte
	// Lost is how many bytes of Stream are missing here.
	Lost int64
	// End is how the command ended; only in the last record. Its Event is
	// EventLost where the writer was killed.
	End *Entry
}

// LogOptions say how a log is read.
type LogOptions struct {
	// At is where in the file the command begins, see [Entry]. 0: the first one.
	At int64
	// Follow waits for what is still being written, until the command ends.
	Follow bool
}

// followPause is how often a log that is followed is looked at.
const followPause = 50 * time.Millisecond

// ReadLog reads a log, until its end, the context's (its cause is then the
// error), or the loop's. Without Follow a log whose command still runs has no
// record with an End.
func (i *Instance) ReadLog(ctx context.Context, name string, o LogOptions) iter.Seq2[LogRecord, error] {
	return func(yield func(LogRecord, error) bool) {
		r := &logReader{inst: i, name: name, from: o.At}
		defer r.close()
		if err := r.read(ctx, o.Follow, func(rec LogRecord) bool { return yield(rec, nil) }); err != nil {
			yield(LogRecord{}, fmt.Errorf("instance %s: log %s: %w", i.name, quote(name), err))
		}
	}
}

// A logReader reads the files of one log in order.
type logReader struct {
	inst  *Instance
	name  string
	from  int64
	first *os.File // whose lock its writer has
	file  *os.File
	part  int
	lines *lineReader
	at    [2]int64 // bytes of each stream so far
	start Entry
}

func (r *logReader) close() {
	for _, f := range []*os.File{r.first, r.file} {
		if f != nil {
			f.Close()
		}
	}
}

func (r *logReader) read(ctx context.Context, follow bool, yield func(LogRecord) bool) error {
	if !logName.MatchString(r.name) {
		return ErrNoLog
	}
	f, err := openRegular(r.inst.logs, r.name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoLog
	}
	if err != nil {
		return err
	}
	r.first, r.lines = f, newLineReader(f, maxLine)
	if _, err := f.Seek(r.from, io.SeekStart); err != nil || r.from < 0 {
		return fmt.Errorf("no command begins at %d", r.from)
	}
	orphan := false
	for {
		done, err := r.pump(yield)
		if done || err != nil {
			return err
		}
		next, err := r.nextPart()
		if err != nil {
			return err
		}
		switch {
		case next > 0:
			// The file at hand may have grown before that one was begun.
			if done, err := r.pump(yield); done || err != nil {
				return err
			}
			if err := r.turn(next); err != nil {
				return err
			}
			continue
		case orphan:
			// Its writer was gone before we looked for the rest.
			yield(r.lost())
			return nil
		case tryLockFile(r.first):
			unlockFile(r.first)
			orphan = true
			continue
		case !follow:
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(followPause):
		}
	}
}

// pump yields what the file at hand has now; true at the log's end or the
// loop's.
func (r *logReader) pump(yield func(LogRecord) bool) (bool, error) {
	for {
		b, err := r.lines.next()
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		l, ok := parseLine(b)
		if !ok {
			continue // torn
		}
		if l.Version > 0 && l.Part == 0 && r.start.Type != "" {
			yield(r.lost()) // another command begins
			return true, nil
		}
		for _, rec := range r.records(l) {
			if !yield(rec) {
				return true, nil
			}
		}
		if l.End {
			return true, nil
		}
	}
}

// killed is why the end of a command is not known.
const killed = "the program that recorded it ended before"

func (r *logReader) lost() LogRecord {
	e := r.start
	e.Event, e.Error = EventLost, killed
	return LogRecord{End: &e}
}

// records are what a line says.
func (r *logReader) records(l *line) []LogRecord {
	after := time.Duration(max(0, l.T)) * time.Millisecond
	switch {
	case l.Version > 0 && l.Part > 0:
		return slices.Concat(r.skip(pocketdock.Stdout, l.OutAt), r.skip(pocketdock.Stderr, l.ErrAt))
	case l.Version > 0:
		r.start = Entry{Time: l.TS, Type: l.Type, Cmd: l.Cmd, CmdCut: l.CmdCut, ID: l.ID, Log: r.name, At: r.from}
		r.start.clean()
		start := r.start
		return []LogRecord{{Start: &start}}
	case l.End:
		e := r.start
		e.Exit, e.MS, e.Signal, e.TimedOut, e.OOM, e.Error = l.Exit, l.MS, l.Signal, l.TimedOut, l.OOM, l.Error
		if l.ID != "" {
			e.ID = l.ID
		}
		if e.Exit == nil && e.Error != "" {
			e.Event = EventLost
		}
		e.clean()
		return []LogRecord{{After: after, End: &e}}
	case l.OutCut > 0:
		return r.skip(pocketdock.Stdout, r.at[0]+l.OutCut)
	case l.ErrCut > 0:
		return r.skip(pocketdock.Stderr, r.at[1]+l.ErrCut)
	}
	rec := LogRecord{After: after, Stream: pocketdock.Stdout}
	switch {
	case l.Out != nil:
		rec.Data = []byte(*l.Out)
	case l.Err != nil:
		rec.Data, rec.Stream = []byte(*l.Err), pocketdock.Stderr
	case l.Err64 != nil:
		rec.Data, rec.Stream = l.Err64, pocketdock.Stderr
	default:
		rec.Data = l.Out64
	}
	r.at[rec.Stream-1] += int64(len(rec.Data))
	if len(rec.Data) == 0 {
		return nil
	}
	return []LogRecord{rec}
}

// skip goes on at an offset of a stream; what was not read is lost.
func (r *logReader) skip(s pocketdock.OutputStream, to int64) []LogRecord {
	n := to - r.at[s-1]
	if n <= 0 {
		return nil
	}
	r.at[s-1] = to
	return []LogRecord{{Stream: s, Lost: n}}
}

// nextPart is the next file of the log, or 0: what comes later is there.
func (r *logReader) nextPart() (int, error) {
	dir, err := r.inst.logs.Open(".")
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(maxLogFiles)
	if err != nil && err != io.EOF {
		return 0, err
	}
	next := 0
	for _, name := range names {
		if m := partOf.FindStringSubmatch(name); m != nil && m[1] == r.name {
			if n, _ := strconv.Atoi(m[2]); n > r.part && (next == 0 || n < next) {
				next = n
			}
		}
	}
	return next, nil
}

// turn goes on in another file.
func (r *logReader) turn(part int) error {
	f, err := openRegular(r.inst.logs, partName(r.name, part), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile: there is a later one
	}
	if err != nil {
		return err
	}
	if r.file != nil {
		r.file.Close()
	}
	r.file, r.part, r.lines = f, part, newLineReader(f, maxLine)
	return nil
}
