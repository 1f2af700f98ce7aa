//go:build linux

package agent

import (
	"bytes"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A command is what a session has under way.
type command struct {
	s     *session
	send  *wire.Send
	began birth
	at    [2]int64 // offsets of the output then

	mu       sync.Mutex
	exit     *wire.Exit // nil while it runs
	timedOut bool
	rounds   int // interrupts
	timer    *time.Timer
	answers  []byte // see wire.Send.Answer

	done  chan struct{} // closed when it has ended
	sync  chan struct{} // closed when nothing is left of what was written for it, nor of its interrupts
	again chan struct{} // has something when it was interrupted once more
}

// finish is the end of the command, with its exit code or, without one,
// because the session has ended. round is that of the interrupt after which the
// session was asked for the end, 0 if it said so by itself: only the answer to
// the last one proves that no interrupt is under way any more, which would hit
// the next command.
func (c *command) finish(code *int, round int) {
	at := c.s.offsets()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exit == nil {
		if code != nil {
			c.exit = &wire.Exit{Code: *code, Ended: time.Now().UnixNano(), Stdout: at[stdout], Stderr: at[stderr]}
		} else {
			c.exit = c.s.p.result()
			c.exit.Closed = true
		}
		c.exit.TimedOut = c.timedOut
		if c.timer != nil {
			c.timer.Stop()
		}
		close(c.done)
	}
	if (code == nil || round > 0 && round == c.rounds) && !closed(c.sync) {
		close(c.sync)
	}
}

// hear takes "TOKEN CODE": the end of the command. A token with
// [wire.SyncMark] and a round behind it is the answer to what ask wrote.
func (c *command) hear(text []byte) bool {
	token, rest, _ := bytes.Cut(bytes.TrimSpace(text), []byte(" "))
	token, after, asked := bytes.Cut(token, []byte(wire.SyncMark))
	code, err := strconv.Atoi(string(rest))
	if err != nil || code < 0 || code > 255 {
		return false
	}
	if string(token) != c.send.Token {
		return asked // late, of the one before
	}
	round := 0
	if asked {
		if round, err = strconv.Atoi(string(after)); err != nil {
			return false
		}
	}
	c.finish(&code, round)
	return true
}

// maxAnswer is more than an environment can have.
const maxAnswer = 4 << 20

func (c *command) answer(text []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.send.Answer && c.exit == nil && len(c.answers)+len(text) <= maxAnswer {
		c.answers = append(c.answers, text...)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// syncTime is how long a session may take to come back to itself after an
// interrupt.
const syncTime = 5 * time.Second

// conclude waits for the end, and lets the next command have its turn.
func (c *command) conclude() {
	<-c.done
	c.mu.Lock()
	interrupted := c.rounds > 0
	c.mu.Unlock()
	if interrupted {
		timer := time.NewTimer(syncTime)
		defer timer.Stop()
		select {
		case <-c.sync:
		case <-timer.C:
		}
	}
	c.s.mu.Lock()
	c.s.current = nil
	c.s.mu.Unlock()
	<-c.s.turn
}

// running calls do while the command runs, and not when it has ended: the next
// one may have its turn then.
func (c *command) running(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exit == nil {
		do()
	}
}

// interrupt sends SIGINT to the session's process group, as its terminal
// would. A shell that has read ahead drops what it has (dash does), so it is
// asked again for the end of the command until it answers.
func (c *command) interrupt() (err error) {
	c.running(func() {
		if err = c.s.a.procs.signal(c.s.p, unix.SIGINT, true); err != nil {
			return
		}
		if c.rounds++; c.rounds == 1 {
			go c.ask()
			return
		}
		select {
		case c.again <- struct{}{}:
		default: // it has not yet noticed the one before
		}
	})
	return err
}

// ask asks for the end of an interrupted command until there is an answer, for
// syncTime after each interrupt: an answer that was under way may have gone
// with what the shell dropped.
func (c *command) ask() {
	const tries = 20
	tick := time.NewTicker(syncTime / tries)
	defer tick.Stop()
	for i := 0; ; {
		if i%4 == 0 && i < tries {
			c.s.write(c.question())
		}
		done := c.done
		if i < tries {
			done = nil
		}
		select {
		case <-c.sync:
			return
		case <-done:
			return
		case <-c.again:
			i = 0
		case <-tick.C:
			if i < tries {
				c.running(c.interruptMissed)
				i++
			}
		}
	}
}

// question is what asks for the end after the last interrupt.
func (c *command) question() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	mark := c.send.Token + wire.SyncMark
	return bytes.ReplaceAll(c.send.Sync, []byte(mark), append([]byte(mark), strconv.Itoa(c.rounds)...))
}

// interruptMissed sends SIGINT to those who should have died of it and live: a
// child that gets it between fork and exec has the shell's handler, and the
// program that it executes then knows nothing of it.
func (c *command) interruptMissed() {
	t := c.s.p.tree()
	if t == nil {
		return
	}
	const bit = 1 << (unix.SIGINT - 1)
	t.each(func(s *seen) {
		caught, err1 := strconv.ParseUint(string(s.field("SigCgt")), 16, 64)
		ignored, err2 := strconv.ParseUint(string(s.field("SigIgn")), 16, 64)
		if st, ok := s.stat(); ok && err1 == nil && err2 == nil && (caught|ignored)&bit == 0 && st.group == c.s.p.pid && s.pid != c.s.p.pid {
			s.signal(unix.SIGINT)
		}
	})
}

// expire ends the command when its time is up.
func (c *command) expire() {
	c.mu.Lock()
	c.timedOut = true
	c.mu.Unlock()
	c.stop()
}

// returnTime is how long a session may at least take to come back to itself
// when what its command had started is dead.
const returnTime = 5 * time.Second

// stop ends the command and leaves the session: an interrupt, then SIGKILL to
// what the command has started, and only if that is not enough, to the session.
func (c *command) stop() {
	grace := graceOf(c.send.GraceMS)
	c.interrupt()
	begun := time.Now()
	pause := max(min(grace, 100*time.Millisecond), time.Millisecond)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	interrupt := grace
	for {
		select {
		case <-c.done:
			return
		case <-tick.C:
		}
		waited := time.Since(begun)
		if waited > grace+max(grace, returnTime) {
			c.running(c.s.p.kill)
			return
		}
		if waited > grace {
			c.running(c.killStarted)
		}
		if waited > interrupt {
			c.interrupt()
			pause *= 2 // a busy machine's shell needs longer to answer
			interrupt = waited + pause
		}
	}
}

// killStarted kills what the session has started since the command began. Jobs
// that earlier commands left in the background live on.
func (c *command) killStarted() {
	t := c.s.p.tree()
	if t == nil {
		return
	}
	t.each(func(s *seen) {
		if st, ok := s.stat(); ok && st.pid != c.s.p.pid && c.began.before(st) {
			s.signal(unix.SIGKILL)
		}
	})
}

// sendTo does OpSend.
func (a *agent) sendTo(c *client, s *wire.Send) (*wire.Reply, *wire.Error) {
	p, bad := a.process(s.ID)
	if bad != nil {
		return nil, bad
	}
	switch {
	case p.session != nil:
	case p.kind != "":
		return nil, fail(wire.CodeNoProcess, "session %s has ended", p.id)
	default:
		return nil, fail(wire.CodeInvalid, "process %s is not a session", p.id)
	}
	if !validID(s.Token) || len(s.Script) == 0 {
		return nil, fail(wire.CodeInvalid, "a command for a session needs a token and a script")
	}
	gone, turn := make(chan struct{}), make(chan *command, 1)
	go func() {
		defer close(gone)
		a.interruptible(c, turn)
	}()
	select {
	case p.session.turn <- struct{}{}:
	case <-gone:
		return nil, nil
	case <-p.finished:
	}
	if p.hasFinished() {
		return nil, fail(wire.CodeNoProcess, "session %s has ended", p.id)
	}
	cmd := p.session.begin(s)
	turn <- cmd
	f := newFollower(p, c.w)
	f.hold, f.follow, f.at = true, true, cmd.at
	f.over, f.last = cmd.done, func() [2]int64 { return [2]int64{cmd.exit.Stdout, cmd.exit.Stderr} }
	if s.Detach {
		cmd.start()
		return &wire.Reply{Process: p.report()}, nil
	}
	f.quiet = s.Answer
	f.attach()
	defer f.detach()
	cmd.start()
	c.w.JSON(wire.KindStarted, p.report())
	if f.run(gone, nil) == followGone {
		go cmd.stop() // as the end of a connection is the end of a run
		return nil, nil
	}
	cmd.mu.Lock()
	answers := cmd.answers
	cmd.mu.Unlock()
	for b := answers; len(b) > 0; b = b[min(len(b), wire.MaxFrame):] {
		c.w.Frame(wire.KindStdout, b[:min(len(b), wire.MaxFrame)])
	}
	a.exit(c, cmd.exit)
	return nil, nil
}

// interruptible obeys the client of a command until it is gone.
func (a *agent) interruptible(c *client, turn <-chan *command) {
	var cmd *command
	for {
		k, _, err := c.r.Header()
		if err != nil || k != wire.KindSignal {
			return
		}
		var s wire.Signal
		if c.r.JSON(&s) != nil {
			return
		}
		if cmd == nil {
			select {
			case cmd = <-turn:
			default:
				return // given up before its turn came
			}
		}
		if s.Signal == int(unix.SIGINT) {
			cmd.interrupt()
		} else {
			a.send(cmd.s.p, &s)
		}
	}
}
