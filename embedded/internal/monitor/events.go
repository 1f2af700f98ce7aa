//go:build linux

package monitor

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"time"
)

// An Event is something that happened to a container, a line in a file that
// every program which does something appends to.
type Event struct {
	Time       int64 // Unix nanoseconds
	Action     string
	ID         string
	Attributes map[string]string // its name, image and labels, and what belongs to the action
}

const (
	// maxEvents is the size at which the file of events becomes the old one,
	// in bytes; there is one old one.
	maxEvents = 1 << 20
	oldSuffix = ".1"
	// maxEvent bounds a line that is read.
	maxEvent = 256 << 10
)

// Tell appends an event of now, like e, to a file. It is no error that matters
// if it cannot be.
func (e *Event) Tell(file, action string, more map[string]string) {
	told := Event{Time: time.Now().UnixNano(), Action: action, ID: e.ID, Attributes: maps.Clone(e.Attributes)}
	maps.Copy(told.Attributes, more)
	b, err := json.Marshal(told)
	if err != nil || len(b) >= maxEvent {
		return
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	f.Write(append(b, '\n')) // at once, so that lines stay whole
	if fi, err := os.Stat(file); err == nil && fi.Size() > maxEvents {
		_ = os.Rename(file, file+oldSuffix)
	}
}

// Events reads a file of events.
type Events struct {
	file string
	f    *os.File // nil: there is none yet
	part []byte   // of a line
	r    *bufio.Reader
}

// OpenEvents begins with the oldest event that is kept, or with the next one.
func OpenEvents(file string, old bool) (*Events, error) {
	e := &Events{file: file}
	name := file
	if _, err := os.Stat(file + oldSuffix); err == nil && old {
		name += oldSuffix
	}
	if err := e.open(name); err != nil {
		return nil, err
	}
	if e.f != nil && !old {
		if _, err := e.f.Seek(0, io.SeekEnd); err != nil {
			e.Close()
			return nil, err
		}
	}
	return e, nil
}

func (e *Events) open(name string) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	e.Close()
	e.f, e.r, e.part = f, bufio.NewReader(f), nil
	return nil
}

// Close ends the reading.
func (e *Events) Close() {
	if e.f != nil {
		e.f.Close()
	}
}

// Next is the next event; nil: there is none yet.
func (e *Events) Next() (*Event, error) {
	for {
		if e.f == nil {
			if err := e.open(e.file); err != nil || e.f == nil {
				return nil, err
			}
		}
		line, err := e.r.ReadBytes('\n')
		if e.part = append(e.part, line...); len(e.part) > maxEvent {
			return nil, errors.New(e.file + ": a line is too long")
		}
		if err == nil {
			var ev Event
			bad := json.Unmarshal(e.part, &ev)
			e.part = e.part[:0]
			if bad != nil {
				continue // of a program that was killed while it wrote
			}
			return &ev, nil
		}
		if err != io.EOF {
			return nil, err
		}
		here, err := e.f.Stat()
		if err != nil {
			return nil, err
		}
		now, err := os.Stat(e.file)
		if err != nil || os.SameFile(here, now) {
			return nil, nil
		}
		e.f.Close()
		e.f = nil
	}
}
