package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

func (a *app) attachCommand() *cobra.Command {
	var keys string
	var stdin bool
	cmd := &cobra.Command{
		Use:   "attach CONTAINER ID",
		Short: "Come back to a process that was left running",
		Long: `Joins this terminal to that of a process in a sandbox: one that shell has left, or
that run -d -i -t has started. A full-screen program draws itself anew, of others the
last lines are shown. Ctrl-P Ctrl-Q leaves it again, and Ctrl-C one that was started
without -i, which no key reaches.

Of a process without a terminal it prints the output that is kept, and what
comes, and exits with the process's code. Ending attach does not end the process.`,
		Example: `  pocketdock attach web 3f2a9c1d
  pocketdock attach web "$(pocketdock run -d web -- make all)"`,
		Args:              withID(exactly("CONTAINER", "ID")),
		ValidArgsFunction: a.processes(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			detach, err := parseDetachKeys(keys)
			if err != nil {
				return err
			}
			box, err := a.client.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.attach(cmd.Context(), box.Process(args[1]), detach, stdin)
		},
	}
	f := cmd.Flags()
	f.StringVar(&keys, "detach-keys", defaultDetachKeys, "keys that leave it running; empty for none")
	f.BoolVarP(&stdin, "stdin", "i", false, "give standard input to a process without a terminal, started with run -d -i")
	return cmd
}

func (a *app) attach(ctx context.Context, p *pocketdock.Process, keys detachKeys, stdin bool) error {
	info, err := p.Info(ctx)
	if err != nil {
		return inContainer(p.Container(), err)
	}
	if !info.Terminal {
		return a.attachPlain(ctx, p, stdin)
	}
	log, err := p.Output(ctx, pocketdock.Offset{})
	if err != nil {
		return err
	}
	c := console{input: info.Running, keys: keys, redraw: info.Running}
	if info.Running && errors.Is(p.Write(ctx, nil), pocketdock.ErrInvalid) {
		c.deaf = true
		a.warnf("process %s was started without -i: no key reaches it, Ctrl-C or Ctrl-P Ctrl-Q leaves it running", p.ID())
	}
	c.modes.observe(log.Stdout)
	if !c.modes.alternate() {
		if _, err := a.out.Write(recap(log.Stdout, a.terminalSize().Rows-1)); err != nil {
			return err
		}
	}
	if a.out.moves {
		if _, err := io.WriteString(a.out, c.modes.redo()); err != nil {
			return err
		}
	}
	res, err := a.follow(ctx, p, log.Next, c)
	return a.followed(p, res, err)
}

// attachPlain shows a process without a terminal from the beginning of what is
// kept of its output.
func (a *app) attachPlain(ctx context.Context, p *pocketdock.Process, stdin bool) error {
	s, err := p.Follow(ctx, pocketdock.Offset{})
	if err != nil {
		return err
	}
	defer s.Close()
	if stdin {
		go func() {
			_, _ = io.CopyBuffer(s, struct{ io.Reader }{a.stdin}, make([]byte, 64<<10))
			_ = s.CloseInput()
		}()
	}
	for c := range s.Chunks() {
		if c.Lost > 0 {
			a.logf("%d bytes of %s are no longer kept", c.Lost, c.Stream)
		}
		w := a.out
		if c.Stream == pocketdock.Stderr {
			w = a.err
		}
		if _, err := w.Write(c.Data); err != nil {
			return err
		}
	}
	res, err := s.Result()
	if err != nil {
		return err
	}
	return a.ended(res, "")
}
