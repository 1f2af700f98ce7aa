package project

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock/internal/pattern"
)

// logName is what a log is called: its kind and when the command started.
var (
	logName  = pattern.New(`^(run|session|detach)-([0-9]{8}T[0-9]{6}\.[0-9]{6}Z)\.log$`)
	partOf   = pattern.New(`^(.+\.log)\.([1-9][0-9]{0,8})$`)
	logStamp = "20060102T150405.000000Z"
)

func logFileName(k Kind, at time.Time) string {
	return string(k) + "-" + at.UTC().Format(logStamp) + ".log"
}

func partName(log string, part int) string {
	if part == 0 {
		return log
	}
	return log + "." + strconv.Itoa(part)
}

// A LogInfo describes one log.
type LogInfo struct {
	Name  string // for [Instance.ReadLog]
	Type  Kind
	Start time.Time
	Size  int64 // bytes on disk
	parts []int // further files, in order
}

// maxLogFiles bounds how many files of a directory are looked at: a sandbox
// that has the project mounted may make more.
const maxLogFiles = 50_000

// Logs lists the logs, oldest first.
func (i *Instance) Logs() ([]LogInfo, error) {
	dir, err := i.logs.Open(".")
	if err != nil {
		return nil, fmt.Errorf("instance %s: logs: %w", i.name, err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(maxLogFiles)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("instance %s: logs: %w", i.name, err)
	}
	var list []LogInfo
	parts := map[string][]int{}
	for _, e := range entries {
		if m := partOf.FindStringSubmatch(e.Name()); m != nil {
			n, _ := strconv.Atoi(m[2])
			parts[m[1]] = append(parts[m[1]], n)
			continue
		}
		m := logName.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() {
			continue
		}
		at, err := time.Parse(logStamp, m[2])
		if err != nil {
			continue
		}
		list = append(list, LogInfo{Name: e.Name(), Type: Kind(m[1]), Start: at})
	}
	for n := range list {
		l := &list[n]
		l.parts = parts[l.Name]
		slices.Sort(l.parts)
	}
	slices.SortFunc(list, func(a, b LogInfo) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list, nil
}

// sized fills in the size.
func (i *Instance) sized(l *LogInfo) {
	l.Size = 0
	for _, n := range append([]int{0}, l.parts...) {
		if fi, err := i.logs.Lstat(partName(l.Name, n)); err == nil {
			l.Size += fi.Size()
		}
	}
}

const (
	// rotateEvery and rotateAfter are how often logs are rotated while
	// commands run: reading a directory for each would cost as much as
	// writing the log.
	rotateEvery = time.Second
	rotateAfter = 16 // logs
)

// rotate removes old logs, if it is time.
func (i *Instance) rotate(l Logging) {
	i.rotateMu.Lock()
	defer i.rotateMu.Unlock()
	i.fresh++
	i.limits = l
	if i.fresh < rotateAfter && time.Since(i.rotated) < rotateEvery {
		return
	}
	i.prune(l)
}

// rotateRest does what rotate put off.
func (i *Instance) rotateRest() {
	i.rotateMu.Lock()
	defer i.rotateMu.Unlock()
	if i.fresh > 0 {
		i.prune(i.limits)
	}
}

// prune removes the logs that are too many or too old. Several programs may do
// that at once; a log that is being written stays.
func (i *Instance) prune(l Logging) {
	i.fresh, i.rotated = 0, time.Now()
	if l.MaxLogsPerInstance == 0 && l.RetentionDays == 0 {
		return
	}
	list, err := i.Logs()
	if err != nil {
		return // the next one will see to it
	}
	var oldest time.Time
	if l.RetentionDays > 0 {
		oldest = time.Now().AddDate(0, 0, -l.RetentionDays)
	}
	for n := range list {
		tooMany := l.MaxLogsPerInstance > 0 && len(list)-n > l.MaxLogsPerInstance
		if tooMany || list[n].Start.Before(oldest) {
			i.removeLog(&list[n])
		}
	}
}

// removeLog removes a log that nobody writes.
func (i *Instance) removeLog(l *LogInfo) error {
	f, err := openRegular(i.logs, l.Name, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if !tryLockFile(f) {
		return nil
	}
	return i.removeLocked(l)
}

// removeLocked removes a log whose lock is held.
func (i *Instance) removeLocked(l *LogInfo) error {
	// The first file last: without it the others belong to nothing.
	for _, n := range l.parts {
		i.logs.Remove(partName(l.Name, n))
	}
	return i.logs.Remove(l.Name)
}
