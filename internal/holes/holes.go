// Package holes moves sparse files without their holes: it finds the runs of
// data in a file, carries them in a stream, and writes files that have holes
// where nothing but zeros is.
//
// The stream is the file's size, and then for each run of data its offset, its
// length and its bytes. The three numbers are 8 bytes each, the most
// significant first. Runs come in order, do not overlap and are not empty;
// what is between them is a hole. The end of the stream is not marked: whoever
// carries it knows where it is.
package holes

import (
	"encoding/binary"
	"errors"
	"syscall"
)

// TarType marks the entry of a tar archive whose content is such a stream.
// POSIX leaves the letters to vendors; a program that does not know it
// skips or refuses the entry and does not take the stream for the file.
const TarType = 'H'

const (
	// MaxSize is the largest file that is believed, in bytes: a few bytes of a
	// stream can describe one of any size.
	MaxSize = 1 << 44
	// maxRuns bounds what is remembered of a file, 1 MiB. What comes after
	// that many runs is one more, with the holes in it as zeros.
	maxRuns = 1 << 16

	number = 8 // bytes
)

// A Run is a range of a file that has data.
type Run struct{ Off, Len int64 }

// Find returns where a file of a size has data. seek is lseek(2) on it. It
// returns false if there is no hole worth leaving out, or none can be found.
func Find(seek func(off int64, whence int) (int64, error), size int64) ([]Run, bool) {
	if !canFind || size <= 0 || size > MaxSize {
		return nil, false
	}
	var runs []Run
	for off := int64(0); off < size; {
		data, err := seek(off, seekData)
		if errors.Is(err, syscall.ENXIO) || err == nil && data >= size {
			break // nothing but a hole to the end
		}
		if err != nil || data < off {
			return nil, false
		}
		hole, err := seek(data, seekHole)
		if err != nil || hole <= data || len(runs) == maxRuns {
			hole = size // a file that changes; or enough
		}
		hole = min(hole, size)
		runs = append(runs, Run{data, hole - data})
		off = hole
	}
	return runs, Length(runs) < size
}

// Length is that of the stream for these runs, in bytes.
func Length(runs []Run) int64 {
	n := int64(number)
	for _, r := range runs {
		n += 2*number + r.Len
	}
	return n
}

// AppendSize begins a stream.
func AppendSize(b []byte, size int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(size))
}

// AppendRun begins a run; its bytes follow.
func AppendRun(b []byte, r Run) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(r.Off))
	return binary.BigEndian.AppendUint64(b, uint64(r.Len))
}
