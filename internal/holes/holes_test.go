package holes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/iotest"
)

// sparse makes a file with data at some offsets.
func sparse(t testing.TB, size int64, data map[int64]string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for off, s := range data {
		if _, err := f.WriteAt([]byte(s), off); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func read(t testing.TB, f *os.File) []byte {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("holes are found on Linux only")
	}
	for name, tt := range map[string]struct {
		size   int64
		data   map[int64]string
		sparse bool
	}{
		"empty":              {0, nil, false},
		"only a hole":        {10 << 20, nil, true},
		"data at start":      {10 << 20, map[int64]string{0: "start"}, true},
		"data at end":        {10 << 20, map[int64]string{10<<20 - 3: "end"}, true},
		"data in the middle": {10<<20 + 7, map[int64]string{1 << 20: "one", 5<<20 + 100: "two"}, true},
		"no hole":            {5, map[int64]string{0: "whole"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := sparse(t, tt.size, tt.data)
			runs, ok := Find(f.Seek, tt.size)
			if ok != tt.sparse {
				t.Fatalf("Find says %v, %v", runs, ok)
			}
			if !ok {
				return
			}
			var stream bytes.Buffer
			if _, err := io.Copy(&stream, iotest.HalfReader(NewReader(f, tt.size, runs))); err != nil {
				t.Fatal(err)
			}
			if int64(stream.Len()) != Length(runs) || stream.Len() > 100<<10 {
				t.Errorf("the stream has %d bytes, Length says %d", stream.Len(), Length(runs))
			}
			to := sparse(t, 0, nil)
			var moved int64
			if err := Copy(&Writer{File: to}, iotest.OneByteReader(&stream), make([]byte, 4096), func(n int64) { moved = n }); err != nil {
				t.Fatal(err)
			}
			if moved != tt.size {
				t.Errorf("moved %d", moved)
			}
			if !bytes.Equal(read(t, to), read(t, f)) {
				t.Error("the copy differs")
			}
			if again, ok := Find(to.Seek, tt.size); !ok || len(again) != len(runs) {
				t.Errorf("the copy has data at %v, the file at %v", again, runs)
			}
		})
	}
}

// TestManyRuns: a file of more runs than are remembered is whole all the same.
func TestManyRuns(t *testing.T) {
	const size = 1 << 30
	at := int64(0) // the next block; every second one has data
	runs, ok := Find(func(off int64, whence int) (int64, error) {
		if whence == seekData {
			at = (off + 2*block - 1) / (2 * block) * (2 * block)
			return at, nil
		}
		return at + block, nil
	}, size)
	if runtime.GOOS != "linux" {
		return
	}
	last := runs[len(runs)-1]
	if !ok || len(runs) != maxRuns+1 || last.Off+last.Len != size {
		t.Errorf("%d runs, the last is %v", len(runs), last)
	}
}

func TestFileThatShrinks(t *testing.T) {
	f := sparse(t, 10, nil)
	if _, err := io.ReadAll(NewReader(f, 100, []Run{{0, 100}})); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v", err)
	}
}

func numbers(n ...int64) []byte {
	var b []byte
	for _, v := range n {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return b
}

func TestHostileStreams(t *testing.T) {
	for name, tt := range map[string]struct {
		in  []byte
		cut bool
	}{
		"nothing":        {nil, true},
		"cut size":       {numbers(1)[:3], true},
		"huge":           {numbers(MaxSize + 1), false},
		"negative size":  {numbers(-1), false},
		"beyond the end": {numbers(10, 5, 6), false},
		"overflow":       {numbers(10, 1, 1<<63-1), false},
		"negative":       {numbers(10, -1, 2), false},
		"empty run":      {numbers(10, 0, 0), false},
		"backwards":      {append(append(numbers(10, 4, 1), 'x'), numbers(2, 1)...), false},
		"overlapping":    {append(append(numbers(10, 4, 2), 'x', 'y'), numbers(5, 1)...), false},
		"cut run":        {numbers(10, 4), true},
		"cut data":       {append(numbers(10, 4, 2), 'x'), true},
	} {
		err := Copy(&Writer{File: sparse(t, 0, nil)}, bytes.NewReader(tt.in), make([]byte, 16), nil)
		_, bad := errors.AsType[*Error](err)
		if tt.cut != (err == io.ErrUnexpectedEOF) || tt.cut == bad {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCopy(f *testing.F) {
	f.Add(append(numbers(1<<40, 4096, 2), "xy"...))
	f.Add(numbers(100))
	f.Fuzz(func(t *testing.T, in []byte) {
		file := sparse(t, 0, nil)
		w := &Writer{File: file}
		if Copy(w, bytes.NewReader(in), make([]byte, 64), nil) != nil {
			return
		}
		// What is accepted describes a file that would be sent the same way.
		size := int64(binary.BigEndian.Uint64(in))
		if fi, err := file.Stat(); err != nil || fi.Size() != size {
			t.Fatalf("%v, %v, the stream said %d", fi, err, size)
		}
	})
}
