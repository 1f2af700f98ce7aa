package pocketdock

// PoolStats are a pool's numbers at one moment. They add up:
//
//	calls of Acquire  = Hits + Misses
//	Misses            = Waits + Abandoned + Waiting
//	Hits + Waits      = InUse + Released
//	Released          = Resetting + Resets + Replaced
//	Created           = Warm + InUse + Resetting + Removing + Removed
//
// Calls whose context had ended before, or after Close, are not counted.
type PoolStats struct {
	// What there is now: sandboxes that are ready, lent, being created, reset
	// and removed, and calls of Acquire that wait.
	Warm, InUse, Creating, Resetting, Removing, Waiting int

	// Since the pool was made. Hits found a sandbox ready, Misses did not.
	// Waits are the misses that got one, Abandoned those that did not: their
	// context ended, the creation failed, or the pool was closed.
	Hits, Misses, Waits, Abandoned int64
	// Released sandboxes, those that Close took away included. Resets of them
	// were clean, Replaced were removed instead. LastReplaced says why the
	// last one was; nil if none was.
	Released, Resets, Replaced int64
	LastReplaced               error
	// Created and Removed containers, and tries of either that failed.
	Created, Removed, CreateFailures, RemoveFailures int64
	// Died are sandboxes that ended while they were ready, Lingered those
	// that nobody needed.
	Died, Lingered int64
}

// Stats counts.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.counters
	s.Warm, s.InUse, s.Creating = len(p.warm), len(p.lent), p.creating
	s.Resetting, s.Removing, s.Waiting = p.resetting, len(p.removing), len(p.waiting)
	return s
}
