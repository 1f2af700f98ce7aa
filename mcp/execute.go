package mcp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pocketdock/pocketdock"
)

const (
	// outputLog is how much of each output stream of a process can be read
	// later, in bytes.
	outputLog = 2 << 20
	// foreground is how long something that is to run in the background is
	// waited for: most of what cannot work fails by then.
	foreground = time.Second
	// answerMargin is left of the time for an answer to send it.
	answerMargin = 500 * time.Millisecond
	// killWithin bounds how long the end of a cancelled command is waited for.
	killWithin = 10 * time.Second
	// A command whose request was cancelled before it was known to run is looked
	// for so often, with so much time between.
	startedLate  = 5
	startedAfter = 200 * time.Millisecond
)

// A ran is the answer of what runs something.
type ran struct {
	SandboxID string `json:"sandbox_id"`
	ProcessID string `json:"process_id" jsonschema:"for process_read, process_write and process_kill"`
	ended
	DurationSeconds float64  `json:"duration_seconds"`
	Stdout          string   `json:"stdout"`
	Stderr          string   `json:"stderr"`
	StdoutBytes     int64    `json:"stdout_bytes" jsonschema:"in all so far: the stdout_offset to read on from"`
	StderrBytes     int64    `json:"stderr_bytes" jsonschema:"in all so far: the stderr_offset to read on from"`
	StdoutOmitted   int64    `json:"stdout_omitted,omitempty" jsonschema:"bytes that are left out of the middle of stdout"`
	StderrOmitted   int64    `json:"stderr_omitted,omitempty" jsonschema:"bytes that are left out of the middle of stderr"`
	ImageProblems   []string `json:"image_problems,omitempty" jsonschema:"images that could not be returned, and why"`

	limit  time.Duration
	images []picture
}

// An ended says whether a process still runs, and if not, how it ended.
type ended struct {
	Running     bool `json:"running" jsonschema:"true: it goes on in the sandbox"`
	ExitCode    *int `json:"exit_code,omitempty" jsonschema:"absent while it runs; 128 and the signal's number if a signal ended it"`
	TimedOut    bool `json:"timed_out,omitempty" jsonschema:"it was killed because its timeout was over"`
	OutOfMemory bool `json:"out_of_memory,omitempty" jsonschema:"it was killed because the sandbox's memory limit was reached"`
}

// endedAs is how a process ended; a nil result is one that runs.
func endedAs(r *pocketdock.Result) ended {
	if r == nil || r.Running {
		return ended{Running: true}
	}
	code := r.ExitCode
	return ended{ExitCode: &code, TimedOut: r.TimedOut, OutOfMemory: r.OOMKilled}
}

// bad: it has ended otherwise than well.
func (e ended) bad() bool { return !e.Running && (e.TimedOut || e.ExitCode == nil || *e.ExitCode != 0) }

// said is how it ended in words.
func (e ended) said() string {
	switch {
	case e.Running:
		return "Still running"
	case e.OutOfMemory:
		return fmt.Sprintf("Killed (exit code %d): the sandbox's memory limit was reached", *e.ExitCode)
	case e.TimedOut:
		return "Killed: its timeout was over"
	case e.ExitCode == nil:
		return "Ended, and how is not known"
	}
	return fmt.Sprintf("Exit code %d", *e.ExitCode)
}

func (r ran) failed() bool { return r.bad() }

func (r ran) text() string {
	var b strings.Builder
	if r.Running {
		fmt.Fprintf(&b, "Still running after %.1f s, as process %s of sandbox %s. Wait for it with process_read (process_id %q, stdout_offset %d, stderr_offset %d, wait_seconds), end it with process_kill.\n",
			r.DurationSeconds, r.ProcessID, r.SandboxID, r.ProcessID, r.StdoutBytes, r.StderrBytes)
	} else {
		fmt.Fprintf(&b, "%s after %.2f s", r.said(), r.DurationSeconds)
		if r.TimedOut {
			fmt.Fprintf(&b, " (timeout_seconds %.0f)", r.limit.Seconds())
		}
		b.WriteString(".\n")
	}
	writeStreams(&b, r.Stdout, r.Stderr)
	for _, p := range r.ImageProblems {
		fmt.Fprintf(&b, "image not returned: %s\n", p)
	}
	return b.String()
}

// writeStreams writes output for a model, each stream under its name.
func writeStreams(b *strings.Builder, stdout, stderr string) {
	for _, s := range []struct{ name, text string }{{"stdout", stdout}, {"stderr", stderr}} {
		if s.text == "" {
			continue
		}
		fmt.Fprintf(b, "--- %s\n%s", s.name, s.text)
		if !strings.HasSuffix(s.text, "\n") {
			b.WriteByte('\n')
		}
	}
	if stdout == "" && stderr == "" {
		b.WriteString("(no output)\n")
	}
}

// An execution is what run does with a command.
type execution struct {
	background bool
	images     []string // to return with the answer
}

// run starts a command and answers at its end, or when the time for an answer
// is over, or, in the background, soon. If the request ends before, so does the
// command.
func (c *call) run(ctx context.Context, b *sandbox, cmd pocketdock.Command, e execution) (ran, error) {
	cmd.ID, cmd.LogLimit = b.newID(), outputLog
	cmd.SoftTimeout = max(c.left()-answerMargin, c.srv.opts.AnswerWithin/10)
	if e.background {
		cmd.SoftTimeout = min(cmd.SoftTimeout, foreground)
	}
	res, out, errs, err := c.follow(ctx, b, cmd)
	if err != nil {
		c.abandon(ctx, b, cmd.ID, err)
		return ran{}, missingProgram(err)
	}
	r := ran{SandboxID: b.id(), ProcessID: cmd.ID, ended: endedAs(res), DurationSeconds: seconds(res.Duration),
		StdoutBytes: out.n, StderrBytes: errs.n, limit: cmd.Timeout}
	r.Stdout, r.StdoutOmitted = out.text(how(cmd.ID, "stdout", out))
	r.Stderr, r.StderrOmitted = errs.text(how(cmd.ID, "stderr", errs))
	if !r.Running {
		if r.StdoutOmitted+r.StderrOmitted > 0 {
			c.keep(ctx, b, cmd.ID)
		}
		r.images, r.ImageProblems = c.pictures(ctx, b, cmd.Dir, e.images)
	}
	return r, nil
}

// abandon ends a command that nobody waits for any more, also where it is not
// known whether it was started: its ID is ours.
func (c *call) abandon(ctx context.Context, b *sandbox, id string, err error) {
	if _, notStarted := errors.AsType[*pocketdock.CommandError](err); notStarted || errors.Is(err, pocketdock.ErrInvalid) {
		return
	}
	cancelled := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killWithin)
	defer cancel()
	for range startedLate {
		err := b.box.Process(id).Kill(ctx, 0)
		if !cancelled || !errors.Is(err, pocketdock.ErrProcessNotFound) {
			return
		}
		// The request to start it may still be on its way to the agent.
		select {
		case <-time.After(startedAfter):
		case <-c.done:
			return // the sandbox goes
		}
	}
}

// follow runs a command and takes its output, for as long as SoftTimeout says.
func (c *call) follow(ctx context.Context, b *sandbox, cmd pocketdock.Command) (*pocketdock.Result, *clip, *clip, error) {
	s, err := b.box.Stream(ctx, cmd)
	if err != nil {
		return nil, nil, nil, err
	}
	defer s.Close()
	out, errs := &clip{max: c.srv.opts.MaxOutput}, &clip{max: c.srv.opts.MaxOutput}
	var total atomic.Int64
	stop := c.report(ctx, func() string {
		return fmt.Sprintf("running for %.0f s, %d bytes of output", time.Since(c.begun).Seconds(), total.Load())
	})
	defer stop()
	for chunk := range s.Chunks() {
		to := out
		if chunk.Stream == pocketdock.Stderr {
			to = errs
		}
		if chunk.Lost > 0 {
			to.skip(chunk.Lost)
		}
		to.write(chunk.Data)
		total.Add(int64(len(chunk.Data)))
	}
	res, err := s.Result()
	return res, out, errs, err
}

// how says how to read what was left out of an output.
func how(id, stream string, c *clip) func(int64) string {
	return func(from int64) string {
		if kept := c.n - outputLog; from < kept {
			return fmt.Sprintf("process_read with process_id %q and %s_offset %d reads them, those before are not kept", id, stream, kept)
		}
		return fmt.Sprintf("process_read with process_id %q and %s_offset %d reads them", id, stream, from)
	}
}

// keep notes that the output of a process was not told whole and may be read
// again, and drops that of another which was kept for longest. What was told
// whole is small, and the sandbox drops it by itself.
func (c *call) keep(ctx context.Context, b *sandbox, id string) {
	old := b.keep(id)
	if old == "" {
		return
	}
	ctx = context.WithoutCancel(ctx)
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	if c.over {
		return
	}
	c.work.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, killWithin)
		defer cancel()
		_ = b.box.Process(old).Forget(ctx) // the sandbox drops it some day
	})
}

// missingProgram says what to do where the image lacks a program.
func missingProgram(err error) error {
	if ce, ok := errors.AsType[*pocketdock.CommandError](err); ok && errors.Is(ce.Kind, pocketdock.ErrCommandNotFound) {
		return fmt.Errorf("%w: this sandbox's image does not have it; sandbox_create takes another profile or image", err)
	}
	return err
}
