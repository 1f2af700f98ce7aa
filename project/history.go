package project

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pocketdock/pocketdock"
)

// A Kind is what was recorded.
type Kind string

// The kinds.
const (
	KindRun     Kind = "run"
	KindSession Kind = "session"
	KindDetach  Kind = "detach"
)

// What an [Entry] tells.
const (
	// EventEnd: the command ended.
	EventEnd = ""
	// EventStart: a detached process was started, or a session was left
	// running; its end is a later entry.
	EventStart = "start"
	// EventLost: how the command ended is not known, because the program that
	// recorded it, or the container, ended before.
	EventLost = "lost"
)

// An Entry is a line of history.jsonl.
type Entry struct {
	Time  time.Time `json:"ts"` // the command's start
	Type  Kind      `json:"type"`
	Event string    `json:"event"`
	// Cmd is the command as a shell would take it, at most 4 KiB; CmdCut
	// bytes are missing at its end.
	Cmd    string `json:"cmd"`
	CmdCut int    `json:"cmd_cut"`
	// Exit code; nil where it is not known.
	Exit *int `json:"exit"`
	// MS is how long it ran, in milliseconds.
	MS int64 `json:"ms"`
	// Log is the file in logs/ and At where in it the command begins, in
	// bytes, see [LogOptions]. Empty if there is none.
	Log string `json:"log"`
	At  int64  `json:"at"`
	// ID of the process, see [pocketdock.Container.Process].
	ID       string `json:"id"`
	Signal   int    `json:"signal"`
	TimedOut bool   `json:"timed_out"`
	OOM      bool   `json:"oom"`
	// Error that kept the command from running, or its end from being known.
	Error string `json:"error"`
	// Cut is how many bytes of the output are not in the log.
	Cut int64 `json:"cut"`
}

const (
	maxCmd   = 4 << 10 // bytes kept of a command, and of an error
	maxEntry = 64 << 10
)

// cutText is the beginning of s, without half a character at its end, and how
// many bytes that leaves out.
func cutText(s string, most int) (string, int) {
	if len(s) <= most {
		return s, 0
	}
	n := most
	for n > most-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n], len(s) - n
}

// appendHead appends what is known at the start.
func (e *Entry) appendHead(dst []byte) []byte {
	dst = append(dst, `"ts":"`...)
	dst = e.Time.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	dst = append(dst, `","type":`...)
	dst = appendString(dst, []byte(e.Type))
	dst = append(dst, `,"cmd":`...)
	dst = appendString(dst, []byte(e.Cmd))
	if e.CmdCut > 0 {
		dst = append(dst, `,"cmd_cut":`...)
		dst = strconv.AppendInt(dst, int64(e.CmdCut), 10)
	}
	return e.appendID(dst)
}

func (e *Entry) appendID(dst []byte) []byte {
	if e.ID != "" {
		dst = append(dst, `,"id":`...)
		dst = appendString(dst, []byte(e.ID))
	}
	return dst
}

// appendTail appends what is known at the end.
func (e *Entry) appendTail(dst []byte) []byte {
	dst = append(dst, `"exit":`...)
	if e.Exit == nil {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, int64(*e.Exit), 10)
	}
	dst = append(dst, `,"ms":`...)
	dst = strconv.AppendInt(dst, e.MS, 10)
	if e.Signal != 0 {
		dst = append(dst, `,"signal":`...)
		dst = strconv.AppendInt(dst, int64(e.Signal), 10)
	}
	if e.TimedOut {
		dst = append(dst, `,"timed_out":true`...)
	}
	if e.OOM {
		dst = append(dst, `,"oom":true`...)
	}
	if e.Error != "" {
		dst = append(dst, `,"error":`...)
		dst = appendString(dst, []byte(e.Error))
	}
	return dst
}

// append appends the entry's line.
func (e *Entry) append(dst []byte) []byte {
	dst = append(dst, '{')
	dst = e.appendHead(dst)
	dst = append(dst, ',')
	if e.Event != "" {
		dst = append(dst, `"event":`...)
		dst = appendString(dst, []byte(e.Event))
		dst = append(dst, ',')
	}
	dst = e.appendTail(dst)
	if e.Cut > 0 {
		dst = append(dst, `,"cut":`...)
		dst = strconv.AppendInt(dst, e.Cut, 10)
	}
	dst = append(dst, `,"log":`...)
	dst = appendString(dst, []byte(e.Log))
	if e.At > 0 {
		dst = append(dst, `,"at":`...)
		dst = strconv.AppendInt(dst, e.At, 10)
	}
	return append(dst, "}\n"...)
}

// result takes over how the command ended.
func (e *Entry) result(r *pocketdock.Result, err error) {
	switch {
	case err != nil:
		e.Event = EventLost
		e.Error, _ = cutText(err.Error(), maxCmd)
		if ce, ok := errors.AsType[*pocketdock.CommandError](err); ok {
			code := ce.ExitCode() // it never ran, as a shell would say it
			e.Event, e.Exit = EventEnd, &code
		}
	case r.Running:
		e.Event = EventStart
	default:
		code := r.ExitCode
		e.Exit, e.Signal, e.TimedOut, e.OOM = &code, r.Signal, r.TimedOut, r.OOMKilled
		e.MS = r.Duration.Milliseconds()
	}
	if r != nil && r.ID != "" {
		e.ID = r.ID
	}
}

// appendHistory adds an entry to the history: one write under the lock. What
// a crash left without an end is ended first, so that no entry is joined to
// it; what a full disk cut off is taken back.
func (i *Instance) appendHistory(e *Entry, most int64) error {
	buf := make([]byte, 1, 512)
	buf[0] = '\n'
	buf = e.append(buf)
	return i.exclusive(func() error {
		f, at, err := i.historyFile()
		if err != nil {
			return err
		}
		if most > 0 && at+int64(len(buf)) > most && at > 0 {
			// Others who have it open notice that it has another name.
			if err := i.root.Rename(historyName, olderName); err != nil {
				return err
			}
			if f, at, err = i.historyFile(); err != nil {
				return err
			}
		}
		line := buf[1:]
		if at > 0 && at != i.histEnd { // else the last line is ours, and whole
			var last [1]byte
			if _, err := f.ReadAt(last[:], at-1); err != nil {
				return err
			}
			if last[0] != '\n' {
				line = buf
			}
		}
		if _, err := f.Write(line); err != nil {
			return errors.Join(err, f.Truncate(at))
		}
		i.histEnd = at + int64(len(line))
		return nil
	})
}

// historyFile is the history, open to append, and its size. It stays open
// while it has its name: opening it takes longer than writing an entry. The
// instance's lock is held.
func (i *Instance) historyFile() (*os.File, int64, error) {
	if i.hist != nil {
		if named, err := i.root.Lstat(historyName); err == nil && os.SameFile(named, i.histInfo) {
			return i.hist, named.Size(), nil
		}
		i.hist.Close()
		i.hist = nil
	}
	f, err := openRegular(i.root, historyName, os.O_RDWR|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return nil, 0, err
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	i.hist, i.histInfo, i.histEnd = f, fi, 0
	return f, fi.Size(), nil
}

// HistoryOptions select entries. The zero value selects all.
type HistoryOptions struct {
	// Type selects one kind. Empty: all.
	Type Kind
	// Last is how many of the selected to return, the newest ones. 0: all.
	Last int
}

// History reads the history, oldest first. A detached process whose end is
// known is one entry, in the place of its start. Lines that a crash damaged
// are left out.
func (i *Instance) History(o HistoryOptions) ([]Entry, error) {
	var list []Entry
	started := map[string]int{} // by process
	err := i.eachEntry(func(e Entry) {
		// A session that was left running ends as a detached process.
		if e.ID != "" && (e.Type == KindDetach || e.Event == EventStart) {
			if at, ok := started[e.ID]; ok {
				if e.Event != EventStart {
					list[at] = e
				}
				return
			}
			started[e.ID] = len(list)
		}
		list = append(list, e)
	})
	if o.Type != "" {
		list = slices.DeleteFunc(list, func(e Entry) bool { return e.Type != o.Type })
	}
	if o.Last > 0 && len(list) > o.Last {
		list = list[len(list)-o.Last:]
	}
	return list, err
}

// eachEntry reads both files of the history in order.
func (i *Instance) eachEntry(each func(Entry)) error {
	for _, name := range []string{olderName, historyName} {
		f, err := openRegular(i.root, name, os.O_RDONLY)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("instance %s: history: %w", i.name, err)
		}
		r := newLineReader(f, maxEntry)
		for {
			b, err := r.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				f.Close()
				return fmt.Errorf("instance %s: history: %w", i.name, err)
			}
			var e Entry
			if len(b) > 0 && b[0] == '{' && json.Unmarshal(b, &e) == nil && e.Type != "" {
				e.clean()
				each(e)
			}
		}
		f.Close()
	}
	return nil
}

// clean makes an entry that is read fit to be shown: the file may have been
// written by a sandbox. Line ends are part of commands.
func (e *Entry) clean() {
	text := func(s *string) {
		lines := strings.Split(*s, "\n")
		for i := range lines {
			lines[i] = printable(lines[i])
		}
		*s = strings.Join(lines, "\n")
	}
	text(&e.Cmd)
	text(&e.Error)
	e.ID, e.Type, e.Event = printable(e.ID), Kind(printable(string(e.Type))), printable(e.Event)
	if !logName.MatchString(e.Log) || e.At < 0 {
		e.Log, e.At = "", 0
	}
}
