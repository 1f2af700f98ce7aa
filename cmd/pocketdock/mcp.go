package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/mcp"
	"github.com/pocketdock/pocketdock/project"
)

// mcpFlags are the options of mcp, as they are written.
type mcpFlags struct {
	http, tokenFile, maxOutput string
	dirs                       []string
	options                    mcp.Options
	over                       mcp.HTTPOptions
}

// tokenVariable has the token that clients over HTTP present.
const tokenVariable = "POCKETDOCK_MCP_TOKEN"

func (a *app) mcpCommand() *cobra.Command {
	var o mcpFlags
	cmd := &cobra.Command{
		Use:   "mcp",
		Short: "Serve sandboxes to language models, over the Model Context Protocol",
		Long: `Serves sandboxes as tools of the Model Context Protocol, so that any agent can
run code, commands and files in them. Without --http it talks to one client over
standard input and output: clients start it by themselves, see mcp install.

Each client has sandboxes of its own: a default one, made when it is first needed,
and those that it creates. They go when it disconnects. A call answers within
--answer-within: what runs longer goes on, and the client comes back for the rest.

A client gets neither at the network nor at files of this machine, unless
--allow-network and --allow-dir say so. DIR:ro only lets files out of DIR.

With --http it serves any number of clients at http://ADDRESS/mcp. On the loopback
interface every user of this machine can connect, unless there is a token; elsewhere
there has to be one, in the variable ` + tokenVariable + ` or in a --token-file that
only you can read. Use a proxy in front of it for TLS.`,
		Example: `  pocketdock mcp install claude-code
  pocketdock mcp --profile dev --allow-network --allow-dir ~/work
  pocketdock mcp --http 127.0.0.1:8808 --token-file ~/.config/pocketdock-token`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.mcp(cmd, &o) },
	}
	o.register(cmd.Flags())
	_ = cmd.RegisterFlagCompletionFunc("profile", a.profileNames)
	cmd.AddCommand(a.mcpInstallCommand())
	return cmd
}

func (o *mcpFlags) register(f *pflag.FlagSet) {
	f.StringVar(&o.options.Image, "image", "", "image of sandboxes for which the client names none (default: the profile's)")
	f.StringVar(&o.options.Profile, "profile", "", "profile of such sandboxes (default: in a project its default_profile, else the first that is built of agent and minimal-python)")
	f.BoolVar(&o.options.AllowNetwork, "allow-network", false, "clients may ask for sandboxes with a network")
	f.StringArrayVar(&o.dirs, "allow-dir", nil, "directory of this machine, DIR[:ro], that clients may copy from and to")
	f.DurationVar(&o.options.AnswerWithin, "answer-within", 45*time.Second, "a call answers within this time; set it below the client's own limit")
	f.DurationVar(&o.options.Timeout, "timeout", 30*time.Minute, "of a command for which the client names none")
	f.StringVar(&o.maxOutput, "max-output", "16k", "how much of an output or file an answer has")
	f.IntVar(&o.options.MaxSandboxes, "max-sandboxes", 8, "sandboxes that a client has at a time")
	f.StringVar(&o.http, "http", "", "serve over HTTP at this address, such as 127.0.0.1:8808; port 0 is any that is free")
	f.StringVar(&o.tokenFile, "token-file", "", "file with the token that clients over HTTP have to present")
	f.DurationVar(&o.over.SessionTimeout, "session-timeout", 10*time.Minute, "over HTTP, end a client's session that shows no sign of life for this long")
}

// parse completes the options.
func (o *mcpFlags) parse() (err error) {
	if o.options.Image != "" && o.options.Profile != "" {
		return fmt.Errorf("%w: --image and --profile: one of them says what a sandbox is made of", pocketdock.ErrInvalid)
	}
	n, err := pocketdock.ParseSize(o.maxOutput)
	if err != nil {
		return fmt.Errorf("--max-output: %w", err)
	}
	o.options.MaxOutput = int(min(n, 1<<30))
	for _, s := range o.dirs {
		dir, readOnly := strings.CutSuffix(s, ":ro")
		o.options.Directories = append(o.options.Directories, mcp.Directory{Path: dir, ReadOnly: readOnly})
	}
	if o.http == "" {
		if o.tokenFile != "" {
			return fmt.Errorf("%w: --token-file is for --http", pocketdock.ErrInvalid)
		}
		return nil
	}
	if _, _, err := net.SplitHostPort(o.http); err != nil {
		return fmt.Errorf("%w: --http %q: write ADDRESS:PORT, such as 127.0.0.1:8808", pocketdock.ErrInvalid, o.http)
	}
	o.over.Token = os.Getenv(tokenVariable)
	if o.tokenFile != "" {
		o.over.Token, err = tokenOf(o.tokenFile)
	}
	return err
}

// tokenOf reads a token, of a file that nobody else may read.
func tokenOf(name string) (string, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	if mode := fi.Mode(); mode&0o077 != 0 && os.PathSeparator == '/' {
		return "", fmt.Errorf("%w: --token-file %s may be read by others (%v): chmod 600 %s", pocketdock.ErrInvalid, name, mode.Perm(), name)
	}
	token, err := secretFile(name)
	if err == nil && token == "" {
		err = fmt.Errorf("%w: it is empty", pocketdock.ErrInvalid)
	}
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return token, nil
}

func (a *app) mcp(cmd *cobra.Command, o *mcpFlags) error {
	if err := o.parse(); err != nil {
		return err
	}
	w, err := a.work()
	if err != nil {
		return err
	}
	c := &o.options
	// Without a project's or a user's word the server picks what is there.
	if v, _ := w.Value("default_profile"); c.Image == "" && c.Profile == "" && v.Source > project.BuiltIn {
		c.Profile = w.DefaultProfile
	}
	c.Client, c.Project, c.Version = &a.client, w.ProjectName, version()
	c.Log = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: a.logLevel()}))
	s, err := mcp.New(*c)
	if err != nil {
		return invalidDir(err)
	}
	if o.http != "" {
		err = a.serveHTTP(cmd.Context(), s, o)
	} else {
		a.notef("Talking to an MCP client over standard input and output; clients start this by themselves: pocketdock mcp install")
		err = s.Serve(cmd.Context(), a.stdin, a.out)
	}
	return errors.Join(err, s.Close())
}

// invalidDir makes a directory that is not there a wrong command line.
func invalidDir(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", pocketdock.ErrInvalid, err)
	}
	return err
}

func (a *app) serveHTTP(ctx context.Context, s *mcp.Server, o *mcpFlags) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.http)
	if err != nil {
		return err
	}
	if !a.quiet {
		fmt.Fprintf(a.err, "serving at http://%s%s\n", l.Addr(), mcp.HTTPPath)
	}
	return s.ServeHTTP(ctx, l, o.over)
}

// logLevel: clients show what is on standard error as this program's trouble.
func (a *app) logLevel() slog.Level {
	if a.verbose {
		return slog.LevelInfo
	}
	return slog.LevelError
}
