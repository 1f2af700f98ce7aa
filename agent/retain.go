//go:build linux

package agent

import (
	"encoding/json"
	"slices"
	"sync"
)

// What is kept of ended processes; the package's documentation has the rule.
const (
	maxRecords = 256
	maxLogs    = 256 << 20
)

// A memo is what is left in memory of an ended process.
type memo struct {
	id     string
	record []byte // as on disk
	mark   *mark  // children in the background can still be signalled
	logs   int64  // bytes of logs
	place  *place // in the journal; nil: it has files of its own
}

// summary makes p's memo.
func (p *process) summary() *memo {
	b, _ := json.Marshal(record{recordVersion, *p.report()}) // cannot fail
	return &memo{id: p.id, record: b, mark: p.mark, logs: p.size(), place: p.place}
}

// process is the process again, as a restart would read it. The record is the
// agent's own: nobody can have changed it.
func (m *memo) process(st *store) *process {
	r, ok := parseRecord(m.record)
	if !ok {
		return nil
	}
	p := st.ended(r, m.place)
	p.mark = m.mark
	return p
}

// retained is the memos, of the process that ended first in front.
type retained struct {
	mu   sync.Mutex
	list []*memo
}

// add takes in m and returns those to forget for it.
func (r *retained) add(m *memo) (forget []*memo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, m)
	var size int64
	for _, m := range r.list {
		size += m.logs
	}
	for len(r.list) > 1 && (len(r.list) > maxRecords || size > maxLogs) {
		size -= r.list[0].logs
		forget = append(forget, r.list[0])
		r.list = slices.Delete(r.list, 0, 1)
	}
	return forget
}

// update gives m what is known by now.
func (r *retained) update(m, now *memo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.record, m.logs = now.record, now.logs
}

// remove takes out the memo of this process; nil if there is none.
func (r *retained) remove(id string) *memo {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.list, func(m *memo) bool { return m.id == id })
	if i < 0 {
		return nil
	}
	m := r.list[i]
	r.list = slices.Delete(r.list, i, i+1)
	return m
}

// ids are those of all memos.
func (r *retained) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]string, len(r.list))
	for i, m := range r.list {
		list[i] = m.id
	}
	return list
}
