package project

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// A logFile is a log that this program writes, and has locked as long: a log
// without an end that nobody has locked is one whose writer was killed.
//
// Making a file costs a journalling file system as much as half of a short
// command takes. So a program that runs one short command after another
// writes them into one file; the history says where in it each begins.
type logFile struct {
	file *os.File
	name string
	size int64
	runs int
	made time.Time
}

const (
	// A file takes no more commands once it has one of these.
	maxShared    = 256 << 10 // bytes; with a limit, at most an eighth of it
	maxSharedRun = 1000      // commands
	maxSharedAge = time.Hour // so that rotation can take it away
	// maxIdle is how many files are kept for commands to come.
	maxIdle = 16
)

// newLog makes a log and locks it.
func (i *Instance) newLog(kind Kind, at time.Time) (*logFile, error) {
	for {
		name := logFileName(kind, at)
		f, err := i.logs.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if errors.Is(err, fs.ErrExist) {
			at = at.Add(time.Microsecond) // another began at the same moment
			continue
		}
		if err != nil {
			return nil, err
		}
		if i.own(f, name) {
			return &logFile{file: f, name: name, made: time.Now()}, nil
		}
		f.Close()
	}
}

// own locks a log that was just made. False: a rotation took it away before
// that.
func (i *Instance) own(f *os.File, name string) bool {
	for until := time.Now().Add(lockWait); !tryLockFile(f) && time.Now().Before(until); {
		time.Sleep(time.Millisecond) // a reader looks whether it has a writer
	}
	mine, err := f.Stat()
	if err != nil {
		return true
	}
	named, err := i.logs.Lstat(name)
	return err == nil && os.SameFile(mine, named)
}

// idleLog is a log for one more command, or nil.
func (i *Instance) idleLog(l Logging) *logFile {
	i.idleMu.Lock()
	defer i.idleMu.Unlock()
	for n := len(i.idle); n > 0; n-- {
		f := i.idle[n-1]
		i.idle = i.idle[:n-1]
		most := int64(maxShared)
		if l.MaxLogSize > 0 {
			most = min(most, l.MaxLogSize/8)
		}
		if f.size < most && f.runs < maxSharedRun && time.Since(f.made) < maxSharedAge {
			return f
		}
		f.file.Close()
	}
	return nil
}

// release gives a log back, for another command or to be closed.
func (i *Instance) release(f *logFile, again bool) {
	i.idleMu.Lock()
	defer i.idleMu.Unlock()
	f.runs++
	if again && len(i.idle) < maxIdle {
		i.idle = append(i.idle, f)
		return
	}
	f.file.Close()
}

// closeIdle closes the logs that are kept for commands to come.
func (i *Instance) closeIdle() {
	i.idleMu.Lock()
	defer i.idleMu.Unlock()
	for _, f := range i.idle {
		f.file.Close()
	}
	i.idle = nil
}
