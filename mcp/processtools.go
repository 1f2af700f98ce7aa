package mcp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/pocketdock/pocketdock"
)

type processRead struct {
	ProcessID    string  `json:"process_id"`
	StdoutOffset int64   `json:"stdout_offset,omitempty" jsonschema:"byte of stdout to begin at, as an earlier answer gave it; negative: counted from the end (default 0)"`
	StderrOffset int64   `json:"stderr_offset,omitempty" jsonschema:"the same for stderr"`
	WaitSeconds  float64 `json:"wait_seconds,omitempty" jsonschema:"if it runs and there is nothing new, wait this long for output or its end (default 0)"`
	UntilExit    bool    `json:"until_exit,omitempty" jsonschema:"wait for its end, not only for the next output"`
	SandboxID    string  `json:"sandbox_id,omitempty" jsonschema:"leave out for the default sandbox"`
}

// A processOutput is what process_read answers.
type processOutput struct {
	SandboxID string `json:"sandbox_id"`
	ProcessID string `json:"process_id"`
	ended
	Stdout       string `json:"stdout"`
	Stderr       string `json:"stderr"`
	StdoutOffset int64  `json:"stdout_offset" jsonschema:"to read on from"`
	StderrOffset int64  `json:"stderr_offset" jsonschema:"to read on from"`
	StdoutMore   int64  `json:"stdout_more,omitempty" jsonschema:"bytes that are there behind this"`
	StderrMore   int64  `json:"stderr_more,omitempty" jsonschema:"bytes that are there behind this"`
	StdoutLost   int64  `json:"stdout_lost,omitempty" jsonschema:"bytes before this that are not kept any more"`
	StderrLost   int64  `json:"stderr_lost,omitempty" jsonschema:"bytes before this that are not kept any more"`
}

func (o processOutput) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n", o.said())
	if o.StdoutLost+o.StderrLost > 0 {
		fmt.Fprintf(&b, "Not kept any more: %d bytes of stdout, %d of stderr, before this.\n", o.StdoutLost, o.StderrLost)
	}
	writeStreams(&b, o.Stdout, o.Stderr)
	if o.Running || o.StdoutMore+o.StderrMore > 0 {
		fmt.Fprintf(&b, "Read on with stdout_offset %d, stderr_offset %d", o.StdoutOffset, o.StderrOffset)
		if o.StdoutMore+o.StderrMore > 0 {
			fmt.Fprintf(&b, ": %d bytes of stdout and %d of stderr are there", o.StdoutMore, o.StderrMore)
		}
		b.WriteString(".\n")
	}
	return b.String()
}

type processWrite struct {
	ProcessID string `json:"process_id"`
	Text      string `json:"text,omitempty" jsonschema:"written as it is: end a line with a newline"`
	End       bool   `json:"end,omitempty" jsonschema:"then end the input"`
	SandboxID string `json:"sandbox_id,omitempty" jsonschema:"leave out for the default sandbox"`
}

type processWritten struct {
	ProcessID string `json:"process_id"`
	Bytes     int    `json:"bytes"`
	Ended     bool   `json:"ended" jsonschema:"the input has ended"`
}

func (w processWritten) text() string {
	s := fmt.Sprintf("Wrote %d bytes to process %s.", w.Bytes, w.ProcessID)
	if w.Ended {
		s += " Its input has ended."
	}
	return s
}

type processKill struct {
	ProcessID string `json:"process_id"`
	Signal    string `json:"signal,omitempty" jsonschema:"send only this signal, such as INT, and leave the rest to the process (default: end it and all that it started, first TERM, then KILL)"`
	SandboxID string `json:"sandbox_id,omitempty" jsonschema:"leave out for the default sandbox"`
}

type processKilled struct {
	ProcessID string `json:"process_id"`
	ended
}

func (k processKilled) text() string { return fmt.Sprintf("Process %s: %s.", k.ProcessID, k.said()) }

func (s *Server) addProcessTools() {
	add(s, tool[processRead, processOutput]{
		name: "process_read", title: "Read a process's output", effect: reads, slow: true,
		description: "Reads on in the output of a process that run_code or run_command left running, and tells whether it still runs and its exit code. Also reads what an answer left out. Cancelling this does not end the process.",
		input: func(in *jsonschema.Schema) {
			needs(in, "process_id")
			between(in, "wait_seconds", 0, maxTimeout)
		},
		do: func(ctx context.Context, c *call, in processRead) (processOutput, error) {
			return c.readProcess(ctx, in)
		},
	})
	add(s, tool[processWrite, processWritten]{
		name: "process_write", title: "Write to a process", effect: changes,
		description: "Writes text to the standard input of a process that run_command started in the background, without stdin. Read what it answers with process_read and wait_seconds.",
		input:       func(in *jsonschema.Schema) { needs(in, "process_id") },
		do: func(ctx context.Context, c *call, in processWrite) (processWritten, error) {
			b, err := c.use(ctx, in.SandboxID)
			if err != nil {
				return processWritten{}, err
			}
			p := b.box.Process(in.ProcessID)
			if in.End {
				err = p.Input(ctx, strings.NewReader(in.Text))
			} else {
				err = p.Write(ctx, []byte(in.Text))
			}
			return processWritten{in.ProcessID, len(in.Text), in.End}, err
		},
	})
	add(s, tool[processKill, processKilled]{
		name: "process_kill", title: "End a process", effect: destroys,
		description: "Ends a process and everything that it started, or sends it one signal.",
		input:       func(in *jsonschema.Schema) { needs(in, "process_id") },
		do: func(ctx context.Context, c *call, in processKill) (processKilled, error) {
			b, err := c.use(ctx, in.SandboxID)
			if err != nil {
				return processKilled{}, err
			}
			p := b.box.Process(in.ProcessID)
			if in.Signal == "" {
				err = p.Kill(ctx, 0)
			} else {
				var sig pocketdock.Signal
				if sig, err = pocketdock.ParseSignal(in.Signal); err == nil {
					err = p.Signal(ctx, sig)
				}
			}
			if err != nil {
				return processKilled{}, err
			}
			info, err := p.Info(ctx)
			if err != nil {
				return processKilled{}, err
			}
			return processKilled{in.ProcessID, stateOf(info)}, nil
		},
	})
}

// stateOf is how a process is doing.
func stateOf(p *pocketdock.ProcessInfo) ended {
	if p.Running {
		return ended{Running: true}
	}
	if p.Result == nil {
		return ended{}
	}
	return endedAs(p.Result)
}

// quiet is for how long nothing more has to come for an output to count as
// what a process had to say.
const quiet = 100 * time.Millisecond

func (c *call) readProcess(ctx context.Context, in processRead) (processOutput, error) {
	b, err := c.useSoon(ctx, in.SandboxID)
	if err != nil {
		return processOutput{}, err
	}
	// A sandbox that hangs, as on a disk that does, is no reason not to answer.
	soon, cancel := context.WithTimeoutCause(ctx, max(c.left(), time.Second), errTooSlow)
	defer cancel()
	p := b.box.Process(in.ProcessID)
	from := pocketdock.Offset{Stdout: in.StdoutOffset, Stderr: in.StderrOffset}
	if from.Stdout < 0 || from.Stderr < 0 {
		info, err := p.Info(soon)
		if err != nil {
			return processOutput{}, inTime(soon, err)
		}
		from.Stdout, from.Stderr = fromEnd(from.Stdout, info.Stdout), fromEnd(from.Stderr, info.Stderr)
	}
	got, err := p.Output(soon, from)
	if err != nil {
		return processOutput{}, inTime(soon, err)
	}
	wait := min(time.Duration(in.WaitSeconds*float64(time.Second)), c.left()-answerMargin)
	if got.Running && wait > 0 && (in.UntilExit || got.Next == from) {
		if err := c.await(ctx, p, got.Next, wait, in.UntilExit); err != nil {
			return processOutput{}, err
		}
		switch more, err := p.Output(soon, from); {
		case err == nil:
			got = more
		case !errors.Is(inTime(soon, err), errTooSlow):
			return processOutput{}, err
		}
	}
	o := processOutput{SandboxID: b.id(), ProcessID: in.ProcessID, ended: endedAs(got.Result), StdoutLost: got.StdoutLost, StderrLost: got.StderrLost}
	most := c.srv.opts.MaxOutput
	o.Stdout, o.StdoutOffset, o.StdoutMore = piece(got.Stdout, got.Next.Stdout, most, got.Running)
	o.Stderr, o.StderrOffset, o.StderrMore = piece(got.Stderr, got.Next.Stderr, most, got.Running)
	return o, nil
}

// fromEnd makes an offset that counts from the end one from the beginning.
func fromEnd(offset, size int64) int64 {
	if offset >= 0 {
		return offset
	}
	return max(0, size+offset)
}

// piece is the beginning of an output, on whole characters; where it ends; and
// how much is behind it.
func piece(p []byte, end int64, most int, more bool) (text string, next, left int64) {
	start := end - int64(len(p))
	if len(p) > most {
		p = p[:most]
		p = p[:len(p)-incomplete(p)]
	} else if more {
		p = p[:len(p)-incomplete(p)] // the rest is still to come
	}
	next = start + int64(len(p))
	return readable(p), next, end - next
}

// await waits for a process's next output, or for its end.
func (c *call) await(ctx context.Context, p *pocketdock.Process, from pocketdock.Offset, wait time.Duration, untilExit bool) error {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	stop := c.report(ctx, func() string { return "waiting for process " + p.ID() })
	defer stop()
	s, err := p.Follow(limited, from)
	if err != nil && limited.Err() != nil {
		return context.Cause(ctx) // the time was up before the sandbox answered
	}
	if err != nil {
		return err
	}
	defer s.Close()
	settled := time.AfterFunc(wait, cancel)
	defer settled.Stop()
	for range s.Chunks() {
		if !untilExit {
			settled.Reset(quiet)
		}
	}
	if _, err := s.Result(); err != nil && limited.Err() == nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return context.Cause(ctx)
}
