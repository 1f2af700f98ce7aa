package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/mcp/install"
)

type mcpInstallOptions struct {
	write      bool
	file, name string
}

func (a *app) mcpInstallCommand() *cobra.Command {
	var o mcpInstallOptions
	var names []string
	for _, c := range install.Clients() {
		names = append(names, c.Name)
	}
	cmd := &cobra.Command{
		Use:   "install [CLIENT...] [-- MCP-OPTION...]",
		Short: "Print or write the configuration that makes an MCP client start pocketdock",
		Long: `Prints what belongs into the configuration of MCP clients, and where that is: for
all that are known, or for those named, of ` + strings.Join(names[:4], ", ") + `,
` + strings.Join(names[4:], ", ") + `.

With --write it adds it to the client's file, and leaves all else in it as it is,
comments included. A copy of the file as it was stays beside it. Options behind --
are those of pocketdock mcp, for the client to start it with.`,
		Example: `  pocketdock mcp install
  pocketdock mcp install cursor --write
  pocketdock mcp install claude-code --write -- --profile dev --allow-dir ~/work`,
		RunE: func(cmd *cobra.Command, args []string) error {
			options := []string{}
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				args, options = args[:n], args[n:]
			}
			return a.mcpInstall(cmd, &o, args, options)
		},
		ValidArgs: names,
	}
	f := cmd.Flags()
	f.BoolVar(&o.write, "write", false, "write it to the client's file")
	f.StringVar(&o.file, "file", "", "that file instead of the client's usual one")
	f.StringVar(&o.name, "name", "pocketdock", "name of the server")
	return cmd
}

func (a *app) mcpInstall(cmd *cobra.Command, o *mcpInstallOptions, names, options []string) error {
	clients := install.Clients()
	if len(names) > 0 {
		clients = nil
	}
	for _, name := range names {
		c, ok := install.Find(name)
		if !ok {
			return usageError{cmd, errNoClient(name)}
		}
		clients = append(clients, c)
	}
	switch {
	case o.write && len(names) == 0:
		return usageError{cmd, errors.New("--write needs the name of a client")}
	case o.file != "" && len(names) != 1:
		return usageError{cmd, errors.New("--file is for one client")}
	case o.name == "":
		return usageError{cmd, errors.New("--name is empty")}
	}
	e, err := a.mcpEntry(cmd, o.name, options)
	if err != nil {
		return err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	m := install.Machine{OS: runtime.GOOS, Home: home, Getenv: os.Getenv}
	for i, c := range clients {
		path := o.file
		if path == "" {
			if path, err = c.Path(m); err != nil {
				return err
			}
		}
		if o.write {
			err = a.writeEntry(c, path, e)
		} else {
			err = a.printEntry(c, path, e, i > 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printEntry(c install.Client, path string, e install.Entry, more bool) error {
	s, err := c.Snippet(e)
	if err != nil {
		return err
	}
	if more {
		s = "\n" + a.out.paint(bold, printable("# "+c.Title+": "+path)) + "\n" + s
	} else {
		s = a.out.paint(bold, printable("# "+c.Title+": "+path)) + "\n" + s
	}
	_, err = fmt.Fprint(a.out, s)
	return err
}

func (a *app) writeEntry(c install.Client, path string, e install.Entry) error {
	w, err := c.Write(path, e)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Title, err)
	}
	if !w.Changed {
		_, err = fmt.Fprintf(a.out, "%s has it already: %s\n", c.Title, printable(w.Path))
		return err
	}
	if _, err = fmt.Fprintf(a.out, "%s: written to %s\n", c.Title, printable(w.Path)); err != nil {
		return err
	}
	if w.Backup != "" {
		_, err = fmt.Fprintf(a.out, "What it was is in %s\n", printable(w.Backup))
	}
	a.notef("For %s to see it: %s", c.Title, c.Next)
	return err
}

// mcpEntry is how a client starts this program. Options that mcp would refuse
// are told now, and not some day by the client.
func (a *app) mcpEntry(cmd *cobra.Command, name string, options []string) (install.Entry, error) {
	program, err := os.Executable()
	if err != nil {
		return install.Entry{}, err
	}
	e := install.Entry{Name: name, Command: program}
	if f := cmd.Flag("socket"); f != nil && f.Changed {
		e.Args = append(e.Args, "--socket", a.client.Socket)
	}
	if f := cmd.Flag("engine"); f != nil && f.Changed {
		e.Args = append(e.Args, "--engine", a.client.EngineName)
	}
	e.Args = append(append(e.Args, "mcp"), options...)
	var o mcpFlags
	f := pflag.NewFlagSet("mcp", pflag.ContinueOnError)
	o.register(f)
	if err := f.Parse(options); err != nil {
		return e, usageError{cmd, fmt.Errorf("behind --: %w", err)}
	}
	if f.NArg() > 0 {
		return e, usageError{cmd, fmt.Errorf("behind --: %q is no option of pocketdock mcp", f.Arg(0))}
	}
	if o.http != "" {
		return e, usageError{cmd, errors.New("behind --: a client that starts a server talks to it over its streams, not over HTTP")}
	}
	if err := o.parse(); err != nil {
		return e, err
	}
	for _, d := range o.options.Directories {
		if !filepath.IsAbs(d.Path) {
			return e, fmt.Errorf("%w: --allow-dir %s: clients start programs anywhere, write an absolute path", pocketdock.ErrInvalid, d.Path)
		}
	}
	return e, nil
}

// errNoClient says that there is no client of that name.
type errNoClient string

func (e errNoClient) Error() string {
	var names []string
	for _, c := range install.Clients() {
		names = append(names, c.Name)
	}
	s := "there is no client " + string(e)
	if near := nearest(string(e), names); near != "" {
		return s + "; did you mean " + near + "?"
	}
	return s + "; there are " + strings.Join(names, ", ")
}
