//go:build linux

package agent

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A journal keeps what short runs leave, record and output, one after another
// in one file: files of their own for each took longer than the run itself.
//
// A file is named runs-N.log and consists of entries: four bytes of kind, the
// lengths of the record, of stdout and of stderr (four bytes each, little
// endian), and these. An entry that is forgotten stays, as another kind. The
// file goes when all of its entries are forgotten, and is found anew when the
// agent comes to life again. Who writes to it may be a root command.
type journal struct {
	store *store

	mu     sync.Mutex
	files  []*journalFile
	newest *journalFile // nil: none yet
	number int          // of the next file
}

type journalFile struct {
	number int
	fd     int
	size   int64
	all    int // entries
	kept   int // entries that are not forgotten
	// crowded are the entries that were forgotten for others, and are not
	// marked yet: who reads them back does the same.
	crowded []int64
}

// A place is where a run lies in the journal.
type place struct {
	file   *journalFile
	at     int64 // of the entry
	record int64 // bytes of it
	out    [2]int64
}

const (
	entryKept   = "run\n"
	entryGone   = "gone"
	entryHeader = 16

	// journalSize is when the next file is begun, or after maxRecords entries:
	// so all that are kept are among the entries that load reads.
	journalSize = 1 << 20
)

func journalName(number int) string { return "runs-" + strconv.Itoa(number) + ".log" }

// journalNumber is that of a file's name, -1 if it is not one of the journal's.
func journalNumber(name string) int {
	text, ok := strings.CutPrefix(name, "runs-")
	text, isLog := strings.CutSuffix(text, ".log")
	n, err := strconv.ParseUint(text, 10, 31)
	if !ok || !isLog || err != nil || journalName(int(n)) != name {
		return -1
	}
	return int(n)
}

// add writes an entry.
func (j *journal) add(record []byte, out [2][]byte) (*place, error) {
	b := make([]byte, 0, entryHeader+len(record)+len(out[0])+len(out[1]))
	b = append(b, entryKept...)
	for _, part := range [][]byte{record, out[0], out[1]} {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(part)))
	}
	b = append(append(append(b, record...), out[0]...), out[1]...)

	j.mu.Lock()
	defer j.mu.Unlock()
	if f := j.newest; f == nil || f.all >= maxRecords || f.size+int64(len(b)) > journalSize || f.touched() {
		if err := j.next(); err != nil {
			return nil, err
		}
	}
	f := j.newest
	if n, err := unix.Pwrite(f.fd, b, f.size); n != len(b) {
		unix.Ftruncate(f.fd, f.size)
		if err == nil {
			err = unix.ENOSPC
		}
		return nil, err
	}
	p := &place{f, f.size, int64(len(record)), [2]int64{int64(len(out[0])), int64(len(out[1]))}}
	f.size += int64(len(b))
	f.all++
	f.kept++
	return p, nil
}

// touched reports whether somebody else had to do with the file.
func (f *journalFile) touched() bool {
	var st unix.Stat_t
	return unix.Fstat(f.fd, &st) != nil || st.Nlink != 1 || st.Size != f.size
}

// next begins another file.
func (j *journal) next() error {
	fd := j.store.create(journalName(j.number))
	if fd < 0 {
		return errors.New("cannot create " + journalName(j.number))
	}
	old := j.newest
	j.newest = &journalFile{number: j.number, fd: fd}
	j.files = append(j.files, j.newest)
	j.number++
	if old != nil && old.kept == 0 {
		j.remove(old)
	}
	return nil
}

func (j *journal) remove(f *journalFile) {
	j.store.remove(journalName(f.number))
	unix.Close(f.fd)
	f.fd = -1
	j.files = slices.DeleteFunc(j.files, func(other *journalFile) bool { return other == f })
}

// forget drops an entry, for others if there are too many: this is not written
// down before the next that is dropped for its own sake.
func (j *journal) forget(p *place, crowded bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	p.file.kept--
	p.file.crowded = append(p.file.crowded, p.at)
	if p.file.kept == 0 && p.file != j.newest {
		j.remove(p.file)
	}
	if crowded {
		return
	}
	for _, f := range j.files {
		for _, at := range f.crowded {
			unix.Pwrite(f.fd, []byte(entryGone), at)
		}
		f.crowded = nil
	}
}

// open is a descriptor of the file that a place is in; -1 if it is forgotten.
func (j *journal) open(p *place) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p.file.fd < 0 {
		return -1
	}
	fd, err := unix.FcntlInt(uintptr(p.file.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

// log is an output of an entry, of which total bytes were printed in all.
func (j *journal) log(p *place, i int, total int64) *keptLog {
	at := p.at + entryHeader + p.record
	if i == stderr {
		at += p.out[stdout]
	}
	k := &keptLog{store: j.store, place: p, total: total, first: total - p.out[i], limit: 1 << 62}
	if k.first < 0 { // a root command wrote this
		k.first = total
	}
	k.base = at - k.first
	return k
}

// An entry is a run that was read back.
type entry struct {
	*place
	*wire.Process
}

// load takes over the files of an earlier life.
func (j *journal) load(numbers []int) (list []entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	slices.Sort(numbers)
	for _, n := range numbers {
		j.number = max(j.number, n+1)
		fd, size := j.store.openFor(unix.O_RDWR, journalName(n))
		if fd < 0 {
			continue
		}
		f := &journalFile{number: n, fd: fd, size: size}
		j.files = append(j.files, f)
		for _, e := range readJournal(io.NewSectionReader(fileReader(fd), 0, size), 4*maxRecords-len(list)) {
			e.file = f
			f.kept++
			list = append(list, e)
		}
		if f.kept == 0 {
			j.remove(f)
		}
	}
	return list
}

// fileReader reads a file that stays its owner's to close.
type fileReader int

func (fd fileReader) ReadAt(b []byte, at int64) (int, error) {
	n, err := unix.Pread(int(fd), b, at)
	if err == nil && n < len(b) {
		err = io.EOF
	}
	return max(n, 0), err
}

// readJournal reads up to most entries. It ends at what cannot be one.
func readJournal(r *io.SectionReader, most int) (list []entry) {
	var h [entryHeader]byte
	for at := int64(0); len(list) < most; {
		if n, _ := r.ReadAt(h[:], at); n != len(h) {
			return list
		}
		p := &place{at: at, record: int64(binary.LittleEndian.Uint32(h[4:]))}
		for i := range p.out {
			p.out[i] = int64(binary.LittleEndian.Uint32(h[8+4*i:]))
		}
		end := at + entryHeader + p.record + p.out[0] + p.out[1]
		kind := string(h[:4])
		if kind != entryKept && kind != entryGone || p.record > maxRecord || max(p.out[0], p.out[1]) > briefBuffer || end > r.Size() {
			return list
		}
		at = end
		if kind == entryGone {
			continue
		}
		b := make([]byte, p.record)
		if n, _ := r.ReadAt(b, p.at+entryHeader); n != len(b) {
			return list
		}
		if r, ok := parseRecord(b); ok {
			list = append(list, entry{p, r})
		}
	}
	return list
}
