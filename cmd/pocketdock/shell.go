package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

// loginShell is the best shell that a container has. Where nothing says which
// characters it uses, they are UTF-8.
const loginShell = `: "${LANG:=C.UTF-8}"; export LANG; command -v bash >/dev/null 2>&1 && exec bash; exec sh -i`

func (a *app) shellCommand() *cobra.Command {
	var command, profile, keys, user, dir string
	var env []string
	cmd := &cobra.Command{
		Use:   "shell {CONTAINER | --profile PROFILE}",
		Short: "Work in a sandbox with a shell",
		Long: `Opens a shell in a sandbox, or what --command says, with a terminal of its own:
full-screen programs, Ctrl-C, Ctrl-Z and changes of the window's size work as
they do here. It ends when the shell does, with its exit code.

Ctrl-P Ctrl-Q leaves the shell running; attach comes back to it. A closed window
or SIGTERM ends it. Without a terminal the shell reads standard input.

With --profile the sandbox is a new one of that profile, which is removed when
the shell ends.`,
		Example: `  pocketdock shell web
  pocketdock shell --command 'vim /etc/hosts' web
  pocketdock shell --profile dev
  echo 'ls; exit 3' | pocketdock shell web`,
		Args: func(cmd *cobra.Command, args []string) error {
			if profile != "" && len(args) > 0 {
				return usageError{cmd, fmt.Errorf("--profile makes a new sandbox: %s is one argument too many", args[0])}
			} else if profile != "" {
				return nil
			}
			return exactly("CONTAINER")(cmd, args)
		},
		ValidArgsFunction: a.boxes(false, isRunning),
		RunE: func(cmd *cobra.Command, args []string) error {
			detach, err := parseDetachKeys(keys)
			if err != nil {
				return err
			}
			c := shellOf(command)
			c.User, c.Dir, c.Timeout = user, dir, -1
			if c.Env, err = variables(env); err != nil {
				return err
			}
			if profile != "" {
				return a.shellOnce(cmd.Context(), profile, c)
			}
			box, err := a.open(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.shell(cmd.Context(), box, c, detach)
		},
	}
	f := cmd.Flags()
	f.StringVar(&command, "command", "", "run this line instead of a shell")
	f.StringVar(&profile, "profile", "", "work in a new sandbox of this profile, and remove it at the end")
	f.StringVar(&keys, "detach-keys", defaultDetachKeys, "keys that leave it running; empty for none")
	f.StringVarP(&user, "user", "u", "", "user to run as (default: the sandbox's)")
	f.StringVarP(&dir, "workdir", "w", "", "working directory (default: the sandbox's)")
	f.StringArrayVarP(&env, "env", "e", nil, "environment variable, NAME=VALUE, or NAME with the value that it has here")
	_ = cmd.RegisterFlagCompletionFunc("profile", a.profileNames)
	return cmd
}

// shellOnce is a shell in a sandbox that goes with it.
func (a *app) shellOnce(ctx context.Context, profile string, cmd pocketdock.Command) (err error) {
	w, err := a.work()
	if err != nil {
		return err
	}
	if err := a.checkProfile(ctx, w, profile); err != nil {
		return err
	}
	box, err := a.client.Create(ctx, "", pocketdock.CreateOptions{Profile: profile, Project: w.ProjectName, IdleTimeout: doIdle})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, throwAway(ctx, box)) }()
	a.logf("sandbox %s of %s, on %s", box, imageOf("", profile), a.engineName(ctx))
	tty := isTerminal(a.stdin)
	if !tty {
		cmd = forScript(cmd)
	}
	return a.execute(ctx, unrecorded(box), cmd, execution{stdin: true, tty: tty})
}

// forScript makes the shell one that prints no prompts.
func forScript(cmd pocketdock.Command) pocketdock.Command {
	if cmd.Shell == loginShell {
		cmd.Shell = strings.TrimSuffix(loginShell, " -i")
	}
	return cmd
}

// shellOf is the command of a line; one of plain words needs no shell.
func shellOf(line string) pocketdock.Command {
	switch {
	case strings.TrimSpace(line) == "":
		return pocketdock.Shell(loginShell)
	case strings.ContainsAny(line, "|&;<>()$`\\\"'*?[#~=%!{}\n"):
		return pocketdock.Shell(line)
	}
	return pocketdock.Argv(strings.Fields(line)...)
}

func (a *app) shell(ctx context.Context, box *recordedBox, cmd pocketdock.Command, keys detachKeys) error {
	if !isTerminal(a.stdin) {
		return a.execute(ctx, box, forScript(cmd), execution{stdin: true, session: true})
	}
	a.giveTerminal(&cmd)
	cmd.Stdin = pocketdock.Interactive
	p, err := box.Container.Start(ctx, cmd)
	if errors.Is(err, pocketdock.ErrUnsupported) {
		// A container without an agent: one that nobody can leave and find again.
		return a.runTerminal(ctx, box, cmd, execution{stdin: true})
	}
	if err != nil {
		return err
	}
	rec := box.session(cmd)
	res, err := a.follow(ctx, p, pocketdock.Offset{}, console{input: true, keys: keys, record: rec})
	left := errors.Is(err, errDetached)
	if ctx.Err() != nil && !left {
		// Somebody ended us, or our terminal is gone: so does the shell, which
		// may ignore SIGTERM, end like one whose line was hung up.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = p.Signal(ctx, pocketdock.SIGHUP)
		err = errors.Join(err, p.Kill(ctx, 0))
		res, _ = p.Wait(ctx)
	}
	if rec != nil {
		switch {
		case left: // it goes on, and is recorded to its end as any detached process
			rec.Finish(&pocketdock.Result{ID: p.ID(), Running: true}, nil)
		case res != nil:
			rec.Finish(res, nil)
		default:
			rec.Finish(nil, err)
		}
	}
	return a.followed(p, res, err)
}

// follow shows a detached process until it ends or is left again.
func (a *app) follow(ctx context.Context, p *pocketdock.Process, from pocketdock.Offset, c console) (*pocketdock.Result, error) {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s, err := p.Follow(inner, from)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return a.interact(inner, cancel, s, c)
}

// followed is how a process that was followed ends this program.
func (a *app) followed(p *pocketdock.Process, res *pocketdock.Result, err error) error {
	switch {
	case errors.Is(err, errDetached):
		if !a.quiet {
			fmt.Fprintf(a.err, "\nLeft running; come back with: pocketdock attach %s %s\n", p.Container(), p.ID())
		}
		return nil
	case err != nil:
		return err
	}
	return a.ended(res, "")
}
