package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/pocketdock/pocketdock"
)

// A meter shows on stderr how far a transfer is: a bar with rate and remaining
// time on a terminal, a line now and then elsewhere, and nothing of a transfer
// that is soon done. The methods of a nil meter do nothing.
type meter struct {
	a     *app
	what  string
	total atomic.Int64 // bytes; 0: not known
	begun time.Time
	n     atomic.Int64

	stop chan struct{} // ends the goroutine that shows
	wg   sync.WaitGroup
}

const (
	meterDelay = 500 * time.Millisecond // before anything shows
	meterLines = 10 * time.Second       // between lines that are no bar
)

// metered reports whether anybody wants to see progress.
func (a *app) metered() bool { return !a.quiet }

// newMeter begins to show a transfer; end ends it.
func (a *app) newMeter(what string, total int64) *meter {
	if !a.metered() {
		return nil
	}
	m := &meter{a: a, what: oneLine(what), begun: time.Now(), stop: make(chan struct{})}
	m.total.Store(total)
	m.wg.Go(m.show)
	return m
}

// set tells how many bytes have moved so far.
func (m *meter) set(n int64) {
	if m != nil {
		m.n.Store(n)
	}
}

// moved tells how far a transfer is.
func (m *meter) moved(p pocketdock.Progress) {
	if m != nil {
		m.n.Store(p.Bytes)
		m.total.Store(p.TotalBytes)
	}
}

// reader counts what is read of r.
func (m *meter) reader(r io.Reader) io.Reader {
	if m == nil {
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
	r.m.n.Add(int64(n))
	return n, err
}

// end ends the display; with --verbose, or after a long one, it sums up.
func (m *meter) end(err error) {
	if m == nil {
		return
	}
	close(m.stop)
	m.wg.Wait()
	took := time.Since(m.begun)
	if err == nil && (m.a.verbose || took > meterDelay) {
		fmt.Fprintf(m.a.err, "%s: %s in %v, %s\n", m.what, pocketdock.FormatSize(m.n.Load()), took.Round(10*time.Millisecond), m.rate())
	}
}

func (m *meter) rate() string {
	return pocketdock.FormatSize(int64(float64(m.n.Load())/max(time.Since(m.begun).Seconds(), 1e-6))) + "/s"
}

func (m *meter) show() {
	select {
	case <-m.stop:
		return
	case <-time.After(meterDelay):
	}
	if m.a.err.moves {
		m.bar()
		return
	}
	tick := time.NewTicker(meterLines)
	defer tick.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-tick.C:
			fmt.Fprintln(m.a.err, m.line())
		}
	}
}

// line is the state in words.
func (m *meter) line() string {
	n, total := m.n.Load(), m.total.Load()
	s := m.what + ": " + pocketdock.FormatSize(n)
	if total > 0 {
		s += fmt.Sprintf(" of %s, %d %%", pocketdock.FormatSize(total), min(100, 100*n/total))
	}
	s += ", " + m.rate()
	if total > n && n > 0 {
		left := time.Duration(float64(time.Since(m.begun)) * float64(total-n) / float64(n))
		s += ", " + span(left) + " left"
	}
	return s
}

// bar shows a bar until the meter ends, and takes it away again.
func (m *meter) bar() {
	p := mpb.New(mpb.WithOutput(m.a.err.w), mpb.WithAutoRefresh(), mpb.WithRefreshRate(100*time.Millisecond))
	rate := decor.Any(func(decor.Statistics) string { return " " + m.rate() })
	amount := decor.CountersKibiByte("% .1f / % .1f")
	options := []mpb.BarOption{mpb.BarRemoveOnComplete(), mpb.PrependDecorators(decor.Name(m.what + " "))}
	var b *mpb.Bar
	if total := m.total.Load(); total > 0 {
		remaining := decor.Any(func(s decor.Statistics) string {
			if s.Current <= 0 || s.Current > s.Total {
				return ""
			}
			left := time.Duration(float64(time.Since(m.begun)) * float64(s.Total-s.Current) / float64(s.Current))
			return " " + span(left) + " left"
		})
		style := mpb.BarStyle().Lbound("").Filler("█").Tip("█").Padding("░").Rbound("")
		b = p.New(total, style, append(options, mpb.AppendDecorators(amount, rate, remaining))...)
	} else {
		b = p.New(0, mpb.SpinnerStyle(), append(options, mpb.AppendDecorators(decor.CurrentKibiByte(" % .1f"), rate))...)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-m.stop:
			b.Abort(true)
			p.Wait()
			return
		case <-tick.C:
			n := m.n.Load()
			if total := m.total.Load(); total > 0 {
				n = min(n, total-1) // a full bar would complete, and vanish
			}
			b.SetCurrent(n)
		}
	}
}
