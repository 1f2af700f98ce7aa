//go:build linux

package agent

import (
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A store is the directory of the socket, where records and logs lie. It is
// held open, so that renaming it moves nothing away from the agent, and every
// name is opened without following links. What is read from it may be a root
// command's work.
type store struct {
	dir     int
	journal journal
}

// openStore opens the directory, and makes it if it is not there.
func openStore(path string) (*store, error) {
	open := func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	fd, err := open()
	if err == unix.ENOENT {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
		fd, err = open()
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	st := &store{dir: fd}
	st.journal.store = st
	return st, nil
}

// create makes a new file, in place of whatever has its name; -1 if it cannot.
func (st *store) create(name string) int {
	for range 3 {
		fd, err := unix.Openat(st.dir, name,
			unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == nil {
			return fd
		}
		if err != unix.EEXIST || unix.Unlinkat(st.dir, name, 0) != nil {
			break
		}
	}
	return -1
}

// open opens a file that the agent may have written: a regular one of its own
// user that has one name. It returns -1 if it is not.
func (st *store) open(name string) (fd int, size int64) { return st.openFor(unix.O_RDONLY, name) }

func (st *store) openFor(access int, name string) (fd int, size int64) {
	fd, err := unix.Openat(st.dir, name, access|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, 0
	}
	var s unix.Stat_t
	if unix.Fstat(fd, &s) != nil || s.Mode&unix.S_IFMT != unix.S_IFREG || s.Nlink != 1 || int(s.Uid) != os.Geteuid() {
		unix.Close(fd)
		return -1, 0
	}
	return fd, s.Size
}

func (st *store) remove(name string) { unix.Unlinkat(st.dir, name, 0) }

// write replaces a file as a whole.
func (st *store) write(name string, b []byte) error {
	tmp := "." + name + ".new"
	fd := st.create(tmp)
	if fd < 0 {
		return errors.New("cannot create " + name)
	}
	n, err := unix.Write(fd, b)
	unix.Close(fd)
	if err == nil && n != len(b) {
		err = unix.ENOSPC
	}
	if err == nil {
		err = unix.Renameat(st.dir, tmp, st.dir, name)
	}
	if err != nil {
		st.remove(tmp)
	}
	return err
}

// read reads a small file.
func (st *store) read(name string, limit int64) ([]byte, bool) {
	fd, size := st.open(name)
	if fd < 0 {
		return nil, false
	}
	defer unix.Close(fd)
	if size > limit {
		return nil, false
	}
	b := make([]byte, size)
	n := 0
	for n < len(b) {
		m, err := unix.Read(fd, b[n:])
		if m <= 0 || err != nil {
			break
		}
		n += m
	}
	return b[:n], true
}

const (
	recordSuffix = ".json"
	stdoutSuffix = ".out"
	stderrSuffix = ".err"

	// recordVersion is of the format of records.
	recordVersion = 1
	maxRecord     = 64 << 10
	// maxEntries bounds how many names of the directory are looked at.
	maxEntries = 8192
)

// A record is what is on disk of a process.
type record struct {
	Version int          `json:"v"`
	Process wire.Process `json:"process"`
}

// save writes p's record, to a file of its own. A full disk loses it, and
// nothing else.
func (st *store) save(p *process) error {
	p.saving.Lock() // the last to save has the latest state
	defer p.saving.Unlock()
	if p.dropped || p.place != nil {
		return nil
	}
	if p.brief {
		p.brief = false
		for _, s := range p.out {
			if s != nil {
				s.log.keepInFile()
			}
		}
	}
	b, err := json.Marshal(record{recordVersion, *p.report()})
	if err != nil {
		return err
	}
	return st.write(p.id+recordSuffix, b)
}

// drop removes what is on disk of a process, for others if it is crowded out.
func (st *store) drop(m *memo, crowded bool) {
	if m.place != nil {
		st.journal.forget(m.place, crowded)
		return
	}
	for _, suffix := range []string{recordSuffix, stdoutSuffix, stderrSuffix} {
		st.remove(m.id + suffix)
	}
}

// parseRecord reads a record. It trusts nothing in it to be in bounds.
func parseRecord(b []byte) (*wire.Process, bool) {
	var r record
	if len(b) > maxRecord || json.Unmarshal(b, &r) != nil || r.Version != recordVersion {
		return nil, false
	}
	p := &r.Process
	if !validID(p.ID) || p.Started < 0 || p.Stdout < 0 || p.Stderr < 0 || len(p.User) > 256 ||
		p.Session != "" && !validID(p.Session) {
		return nil, false
	}
	p.Argv = shorten(p.Argv)
	return p, true
}

// maxReportedArgv bounds the bytes of a command line in records and reports.
const maxReportedArgv = 8 << 10

// shorten cuts a command line to what reports have room for.
func shorten(argv []string) []string {
	left := maxReportedArgv
	for i, arg := range argv {
		if left -= len(arg) + 1; left < 0 {
			short := slices.Clone(argv[:i+1])
			short[i] = strings.ToValidUTF8(arg[:max(0, len(arg)+left)], "") + "…"
			return short
		}
	}
	return argv
}

// load reads all records: processes of an earlier life of this sandbox, the
// one that ended first in front. Those that ran are lost.
func (st *store) load() []*process {
	fd, err := unix.Dup(st.dir)
	if err != nil {
		return nil
	}
	unix.CloseOnExec(fd)
	unix.Seek(fd, 0, 0)
	dir := os.NewFile(uintptr(fd), ".")
	defer dir.Close()
	var list []*process
	var journals []int
	for seen := 0; seen < maxEntries; {
		names, err := dir.Readdirnames(512)
		for _, name := range names {
			seen++
			if strings.HasPrefix(name, ".") && strings.HasSuffix(name, recordSuffix+".new") {
				st.remove(name) // of a write that was interrupted
				continue
			}
			if n := journalNumber(name); n >= 0 {
				journals = append(journals, n)
			}
			id, ok := strings.CutSuffix(name, recordSuffix)
			if !ok || !validID(id) || len(list) >= 4*maxRecords {
				continue
			}
			if p := st.loadOne(id); p != nil {
				list = append(list, p)
			}
		}
		if err != nil || len(names) == 0 {
			break
		}
	}
	for _, e := range st.journal.load(journals) {
		list = append(list, st.ended(e.Process, e.place))
	}
	slices.SortFunc(list, func(a, b *process) int {
		return cmp.Compare(max(a.exit.Ended, a.started.UnixNano()), max(b.exit.Ended, b.started.UnixNano()))
	})
	// One that had to make room may have left its ID to another.
	newest := map[string]*process{}
	for _, p := range list {
		newest[p.id] = p
	}
	return slices.DeleteFunc(list, func(p *process) bool {
		old := newest[p.id] != p
		if old && p.place != nil {
			st.journal.forget(p.place, true)
		}
		return old
	})
}

func (st *store) loadOne(id string) *process {
	b, ok := st.read(id+recordSuffix, maxRecord)
	if !ok {
		return nil
	}
	r, ok := parseRecord(b)
	if !ok || r.ID != id {
		return nil
	}
	return st.ended(r, nil)
}

// ended is the process of a record: one that has ended, or one that was lost.
// If it lies in the journal, so does its output.
func (st *store) ended(r *wire.Process, at *place) *process {
	id := r.ID
	p := &process{
		mark: &mark{},
		id:   id, kind: r.Session, argv: r.Argv, user: r.User, pid: max(r.PID, 1), started: time.Unix(0, r.Started),
		logged: true, public: true, detached: r.Detached, exit: r.Exit,
		exited: make(chan struct{}), finished: make(chan struct{}), place: at,
	}
	torn := false
	if p.exit == nil || p.exit.Running {
		p.exit = &wire.Exit{Lost: true}
		torn = true
	}
	for i, suffix := range []string{stdoutSuffix, stderrSuffix} {
		s := newStream([]wire.Kind{wire.KindStdout, wire.KindStderr}[i], nil)
		recorded := []int64{r.Stdout, r.Stderr}[i]
		if at != nil {
			s.kept = st.journal.log(at, i, recorded)
		} else {
			s.kept = st.keep(id+suffix, torn)
		}
		if recorded > s.kept.total && recorded < 1<<60 {
			// There was more than its file says: it could not be kept.
			s.kept.total, s.kept.first = recorded, recorded
		}
		close(s.eof)
		p.out[i] = s
		p.final[i] = s.kept.total
	}
	close(p.exited)
	close(p.finished)
	return p
}

// size is the bytes on disk of p's logs.
func (p *process) size() (n int64) {
	for _, s := range p.out {
		if s != nil {
			total, first := s.extent()
			n += total - first
		}
	}
	return n
}

const limitsFile = "limits.state"

// saveLimits and loadLimits keep limits that were changed while the sandbox
// ran.
func (st *store) saveLimits(ttl, idle int64) error {
	return st.write(limitsFile, []byte(strconv.FormatInt(ttl, 10)+" "+strconv.FormatInt(idle, 10)+"\n"))
}

func (st *store) loadLimits() (ttl, idle int64, ok bool) {
	b, ok := st.read(limitsFile, 64)
	if !ok {
		return 0, 0, false
	}
	f := strings.Fields(string(b))
	if len(f) != 2 {
		return 0, 0, false
	}
	ttl, err1 := strconv.ParseInt(f[0], 10, 64)
	idle, err2 := strconv.ParseInt(f[1], 10, 64)
	return ttl, idle, err1 == nil && err2 == nil && ttl >= 0 && idle >= 0
}

// lock makes this agent the only one of the directory, until it ends. It
// reports whether it is.
func (st *store) lock() bool { return unix.Flock(st.dir, unix.LOCK_EX|unix.LOCK_NB) == nil }

// socketPath is a path of the socket that fits the kernel's 107 bytes.
func (st *store) socketPath(path string) string {
	if len(path) <= 107 {
		return path
	}
	return "/proc/self/fd/" + strconv.Itoa(st.dir) + "/" + filepath.Base(path)
}
