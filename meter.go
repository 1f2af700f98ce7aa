package pocketdock

import "io"

// A meter tells the progress of one transfer. A nil one, and one that has
// nobody to tell, tells nothing.
type meter struct {
	to  func(Progress)
	now Progress
}

func (m *meter) tell() {
	if m != nil && m.to != nil {
		m.to(m.now)
	}
}

// moved is [treetar.Moved].
func (m *meter) moved(name string, bytes int64, done bool) {
	m.now.Path = name
	m.now.Bytes += bytes
	if done {
		m.now.Files++
	}
	m.tell()
}

// at tells that a file is at an offset.
func (m *meter) at(off int64) {
	if m != nil {
		m.now.Bytes = off
		m.tell()
	}
}

// finish tells that the one file is there, with all of its holes.
func (m *meter) finish() {
	m.now.Files = 1
	m.now.Bytes = max(m.now.Bytes, m.now.TotalBytes)
	m.tell()
}

// reader counts what is read from r.
func (m *meter) reader(r io.Reader) io.Reader {
	if m == nil || m.to == nil {
		return r
	}
	return &meteredReader{r, m}
}

type meteredReader struct {
	r io.Reader
	m *meter
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if n > 0 {
		r.m.now.Bytes += int64(n)
		r.m.tell()
	}
	return n, err
}
