package pocketdock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeMaker makes sandboxes that are only counted.
type fakeMaker struct {
	mu      sync.Mutex
	tries   int
	there   map[*spare]bool
	most    int
	create  func(ctx context.Context) error // nil: takes 200 ms
	reset   func() error
	destroy func() error
}

var errFake = errors.New("no space left on device")

func (m *fakeMaker) make(ctx context.Context) (*spare, error) {
	m.mu.Lock()
	m.tries++
	create, n := m.create, m.tries
	m.mu.Unlock()
	var err error
	if create != nil {
		err = create(ctx)
	} else {
		err = nap(ctx, 200*time.Millisecond)
	}
	if err != nil {
		return nil, err
	}
	h := &fakeHold{maker: m, broken: make(chan struct{})}
	s := &spare{box: &Container{id: fmt.Sprint(n), name: fmt.Sprint("box", n)}, held: h}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.there == nil {
		m.there = map[*spare]bool{}
	}
	m.there[s] = true
	m.most = max(m.most, len(m.there))
	return s, nil
}

func (m *fakeMaker) remove(ctx context.Context, s *spare) error {
	if err := nap(ctx, 50*time.Millisecond); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.destroy != nil {
		if err := m.destroy(); err != nil {
			return err
		}
	}
	delete(m.there, s)
	return nil
}

func (m *fakeMaker) tried() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tries
}

func (m *fakeMaker) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func nap(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type fakeHold struct {
	maker  *fakeMaker
	broken chan struct{}
	once   sync.Once
	stuck  atomic.Bool
}

func (h *fakeHold) alive() bool {
	select {
	case <-h.broken:
		return false
	default:
		return true
	}
}

func (h *fakeHold) gone() <-chan struct{} { return h.broken }
func (h *fakeHold) close()                { h.once.Do(func() { close(h.broken) }) }

func (h *fakeHold) check(context.Context) error {
	if h.stuck.Load() {
		return errFake
	}
	return nil
}

func (h *fakeHold) reset(ctx context.Context) error {
	if err := nap(ctx, 10*time.Millisecond); err != nil {
		return err
	}
	h.maker.mu.Lock()
	defer h.maker.mu.Unlock()
	if h.maker.reset != nil {
		return h.maker.reset()
	}
	return nil
}

// withPool runs a test in fake time and looks whether anything is left.
func withPool(t *testing.T, o PoolOptions, m *fakeMaker, test func(t *testing.T, p *Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if err := o.complete(); err != nil {
			t.Fatal(err)
		}
		p := newPool(m, o)
		test(t, p)
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
		addsUp(t, p)
		if s := p.Stats(); len(m.there) > 0 || s.Created != s.Removed {
			t.Errorf("%d are left: %+v", len(m.there), s)
		}
		if m.most > o.Max {
			t.Errorf("%d at a time, the limit is %d", m.most, o.Max)
		}
	})
}

// addsUp checks what [PoolStats] promises.
func addsUp(t *testing.T, p *Pool) {
	t.Helper()
	s := p.Stats()
	for _, sum := range []struct {
		name        string
		left, right int64
	}{
		{"misses", s.Misses, s.Waits + s.Abandoned + int64(s.Waiting)},
		{"acquired", s.Hits + s.Waits, int64(s.InUse) + s.Released},
		{"released", s.Released, int64(s.Resetting) + s.Resets + s.Replaced},
		{"created", s.Created, int64(s.Warm+s.InUse+s.Resetting+s.Removing) + s.Removed},
	} {
		if sum.left != sum.right {
			t.Errorf("%s: %d is not %d in %+v", sum.name, sum.left, sum.right, s)
		}
	}
}

// TestPoolIsFair: those who wait are served in the order in which they came,
// and one that gives up delays nobody and loses nothing.
func TestPoolIsFair(t *testing.T) {
	withPool(t, PoolOptions{Max: 1}, &fakeMaker{}, func(t *testing.T, p *Pool) {
		var mu sync.Mutex
		var served []int
		for i := range 20 {
			ctx, cancel := context.WithCancelCause(context.Background())
			if i%3 == 1 {
				time.AfterFunc(time.Duration(i)*20*time.Millisecond, func() { cancel(errFake) })
			}
			go func() {
				defer cancel(nil)
				box, err := p.Acquire(ctx)
				if err != nil {
					if !errors.Is(err, errFake) || i%3 != 1 {
						t.Errorf("%d: %v", i, err)
					}
					return
				}
				mu.Lock()
				served = append(served, i)
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
				p.Release(box)
			}()
			synctest.Wait() // it waits now
		}
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		for i := 1; i < len(served); i++ {
			if served[i] < served[i-1] {
				t.Errorf("served %v", served)
			}
		}
		if s := p.Stats(); s.Created != 1 || s.Abandoned == 0 || s.Waits != int64(len(served)) || s.Warm != 1 {
			t.Errorf("%v served, %+v", served, s)
		}
	})
}

// TestPoolIsWarm: an Acquire of a ready sandbox waits for nothing, and the
// pool is filled again meanwhile.
func TestPoolIsWarm(t *testing.T) {
	m := &fakeMaker{}
	withPool(t, PoolOptions{Min: 2, Max: 5}, m, func(t *testing.T, p *Pool) {
		time.Sleep(time.Second)
		begun := time.Now()
		for range 2 {
			if _, err := p.Acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(begun) != 0 || p.Stats().Hits != 2 {
			t.Errorf("took %v, %+v", time.Since(begun), p.Stats())
		}
		time.Sleep(time.Second)
		if s := p.Stats(); s.Warm != 2 || s.InUse != 2 || m.tried() != 4 {
			t.Errorf("%d tries, %+v", m.tried(), s)
		}
	})
}

// TestPoolEngineFails: the reason comes to those who wait, the engine is asked
// at a bounded rate, and once it works again so does the pool.
func TestPoolEngineFails(t *testing.T) {
	m := &fakeMaker{create: func(context.Context) error { return errFake }}
	withPool(t, PoolOptions{Min: 3, Max: 8}, m, func(t *testing.T, p *Pool) {
		calls := 0
		for begun := time.Now(); time.Since(begun) < 5*time.Minute; calls++ {
			if _, err := p.Acquire(t.Context()); !errors.Is(err, errFake) {
				t.Fatalf("got %v", err)
			}
		}
		if m.tried() > 45 || calls > 45 {
			t.Errorf("%d tries for %d calls in five minutes", m.tried(), calls)
		}
		m.set(func() { m.create = nil })
		if _, err := p.Acquire(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if s := p.Stats(); s.Warm != 3 {
			t.Errorf("%+v", s)
		}
	})
}

// TestPoolWaitsForThoseInUse: while a sandbox may come back, a failing engine
// is no reason to give up, but is named when the context ends.
func TestPoolWaitsForThoseInUse(t *testing.T) {
	m := &fakeMaker{}
	withPool(t, PoolOptions{Max: 4}, m, func(t *testing.T, p *Pool) {
		box, err := p.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m.set(func() { m.create = func(context.Context) error { return errFake } })
		time.Sleep(time.Second) // one more may have been on its way
		second, err := p.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if _, err := p.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errFake) {
			t.Errorf("got %v", err)
		}
		time.AfterFunc(time.Second, func() { p.Release(box) })
		if _, err := p.Acquire(t.Context()); err != nil {
			t.Error(err)
		}
		p.Release(second)
	})
}

// TestPoolEngineHangs: who waits decides for how long, and Close does not wait.
func TestPoolEngineHangs(t *testing.T) {
	m := &fakeMaker{create: func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }}
	withPool(t, PoolOptions{}, m, func(t *testing.T, p *Pool) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errFake)
		defer cancel()
		if _, err := p.Acquire(ctx); !errors.Is(err, errFake) {
			t.Errorf("got %v", err)
		}
		begun := time.Now()
		if _, err := p.Acquire(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > createTimeout {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		time.Sleep(time.Hour)
		if m.tried() > 70 {
			t.Errorf("%d tries in an hour", m.tried())
		}
		go func() {
			time.Sleep(time.Second)
			p.Close(context.Background())
		}()
		if _, err := p.Acquire(t.Context()); !errors.Is(err, ErrPoolClosed) {
			t.Errorf("got %v", err)
		}
	})
}

// TestPoolClose: what is in use goes too, and what could not be removed can be
// tried again.
func TestPoolClose(t *testing.T) {
	m := &fakeMaker{}
	withPool(t, PoolOptions{Min: 2}, m, func(t *testing.T, p *Pool) {
		box, err := p.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m.set(func() { m.destroy = func() error { return errFake } })
		if err := p.Close(t.Context()); !errors.Is(err, errFake) {
			t.Errorf("close: %v", err)
		}
		if s := p.Stats(); s.Removing == 0 {
			t.Errorf("%+v", s)
		}
		m.set(func() { m.destroy = nil })
		if err := p.Close(t.Context()); err != nil || len(m.there) > 0 {
			t.Errorf("again: %v, %d are left", err, len(m.there))
		}
		if err := p.Release(box); err != nil {
			t.Errorf("release: %v", err)
		}
		if err := p.Release(box); !errors.Is(err, ErrInvalid) {
			t.Errorf("release twice: %v", err)
		}
		if _, err := p.Acquire(t.Context()); !errors.Is(err, ErrPoolClosed) {
			t.Errorf("acquire: %v", err)
		}
	})
}

// TestPoolReplacesWorn: after so many uses there is another one.
func TestPoolReplacesWorn(t *testing.T) {
	m := &fakeMaker{}
	withPool(t, PoolOptions{Max: 1, MaxUses: 3}, m, func(t *testing.T, p *Pool) {
		for range 9 {
			box, err := p.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p.Release(box)
		}
		time.Sleep(time.Second)
		if s := p.Stats(); s.Created != 4 || s.Replaced != 3 || s.Resets != 6 {
			t.Errorf("%+v", s)
		}
	})
}

// TestPoolChecks: one that does not answer is replaced, and those that nobody
// needs any more go.
func TestPoolChecks(t *testing.T) {
	m := &fakeMaker{}
	withPool(t, PoolOptions{Min: 1, Max: 4}, m, func(t *testing.T, p *Pool) {
		var boxes []*Container
		for range 4 {
			box, err := p.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			boxes = append(boxes, box)
		}
		for _, box := range boxes {
			p.Release(box)
		}
		time.Sleep(time.Second)
		if s := p.Stats(); s.Warm != 4 {
			t.Errorf("%+v", s)
		}
		time.Sleep(defaultPoolLinger + time.Minute)
		if s := p.Stats(); s.Warm != 1 || s.Lingered != 3 {
			t.Errorf("%+v", s)
		}
		m.set(func() {
			for s := range m.there {
				s.held.(*fakeHold).stuck.Store(true)
			}
		})
		time.Sleep(time.Minute)
		if s := p.Stats(); s.Warm != 1 || s.Died != 1 || s.Created != 5 {
			t.Errorf("%+v", s)
		}
	})
}

// TestPoolStorm does everything at once, with an engine that fails at times
// and sandboxes that die at any moment.
func TestPoolStorm(t *testing.T) {
	m := &fakeMaker{}
	sometimes := func(n int) error {
		if rand.IntN(n) == 0 {
			return errFake
		}
		return nil
	}
	m.create = func(ctx context.Context) error { return errors.Join(nap(ctx, 100*time.Millisecond), sometimes(5)) }
	m.reset = func() error { return sometimes(5) }
	m.destroy = func() error { return sometimes(5) }
	withPool(t, PoolOptions{Min: 2, Max: 5}, m, func(t *testing.T, p *Pool) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		inUse := map[string]bool{}
		var calls int64
		for range 20 {
			wg.Go(func() {
				for range 100 {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(3000))*time.Millisecond+1)
					box, err := p.Acquire(ctx)
					cancel()
					mu.Lock()
					calls++
					mu.Unlock()
					if err != nil {
						continue
					}
					mu.Lock()
					if inUse[box.id] {
						t.Errorf("%s is lent twice", box)
					}
					inUse[box.id] = true
					s := p.lentSpare(box)
					mu.Unlock()
					time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
					if rand.IntN(10) == 0 {
						s.held.close() // it dies
					}
					addsUp(t, p)
					mu.Lock()
					delete(inUse, box.id)
					mu.Unlock()
					if err := p.Release(box); err != nil {
						t.Error(err)
					}
				}
			})
		}
		stop := make(chan struct{})
		go func() { // some die while they are ready
			for {
				select {
				case <-stop:
					return
				case <-time.After(500 * time.Millisecond):
				}
				p.mu.Lock()
				for _, s := range p.warm {
					if rand.IntN(3) == 0 {
						s.held.close()
					}
				}
				p.mu.Unlock()
			}
		}()
		wg.Wait()
		close(stop)
		if s := p.Stats(); s.Hits+s.Misses != calls || s.InUse+s.Waiting != 0 {
			t.Errorf("%d calls, %+v", calls, s)
		}
		m.set(func() { m.destroy = nil })
	})
}

// lentSpare is the sandbox behind a handle.
func (p *Pool) lentSpare(box *Container) *spare {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lent[box]
}

func TestPoolOptions(t *testing.T) {
	for _, tt := range []struct {
		o    PoolOptions
		want string
	}{
		{PoolOptions{Min: 3, Max: 2}, "Max"},
		{PoolOptions{Max: -1}, "Max"},
		{PoolOptions{MaxUses: -1}, "MaxUses"},
		{PoolOptions{Create: CreateOptions{Name: "x"}}, "Name"},
		{PoolOptions{Create: CreateOptions{Persist: true}}, "Persist"},
		{PoolOptions{Create: CreateOptions{RunImage: true}}, "RunImage"},
		{PoolOptions{Create: CreateOptions{Volumes: []Volume{{Host: "/tmp", Container: "/data"}}}}, "ReadOnly"},
		{PoolOptions{Create: CreateOptions{Network: true, Ports: []Port{{Container: 80, Host: 80}}}}, "port"},
		{PoolOptions{Create: CreateOptions{Memory: 1}}, "memory"},
	} {
		if err := tt.o.complete(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt.o, err)
		}
	}
	o := PoolOptions{Create: CreateOptions{Volumes: []Volume{{Host: "/tmp", Container: "/data", ReadOnly: true}}}}
	if err := o.complete(); err != nil || o.Min != 1 || o.Max != 8 || o.Create.IdleTimeout != time.Minute {
		t.Errorf("%+v, %v", o, err)
	}
}
