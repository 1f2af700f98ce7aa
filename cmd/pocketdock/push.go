package main

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

func (a *app) pushCommand() *cobra.Command {
	var o pocketdock.TransferOptions
	cmd := &cobra.Command{
		Use:   "push CONTAINER SRC DEST",
		Short: "Copy a file or directory into a sandbox",
		Long: `Copies a file or directory of this machine into a sandbox, with modes, times and
links. Missing directories are made; what is in a directory is added to one that
exists. A DEST that ends with a slash is the directory to put it in.

SRC - is standard input, of any size: the content of the file DEST or, where DEST
ends with a slash, a tar archive to unpack there.

--exclude leaves files out, by patterns as in a .gitignore file; --gitignore what
the .gitignore files in the directory say. A .git directory is pushed like any
other unless it is excluded.`,
		Example: `  pocketdock push web ./site /srv
  pocketdock push --gitignore --exclude .git web . /src
  pg_dump shop | pocketdock push web - /tmp/shop.sql
  git archive HEAD | pocketdock push web - /src/`,
		Args:              exactly("CONTAINER", "SRC", "DEST"),
		ValidArgsFunction: a.transferArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.push(cmd.Context(), args[0], args[1], args[2], o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.User, "user", "u", "", "write as that user (default: the sandbox's)")
	f.StringArrayVar(&o.Exclude, "exclude", nil, "leave out what matches, such as '*.log' or node_modules/")
	f.BoolVar(&o.GitIgnore, "gitignore", false, "leave out what .gitignore files say")
	return cmd
}

// transferArgs completes a container, and a file of this machine as the
// argument number local.
func (a *app) transferArgs(local int) completer {
	boxes := a.boxes(false, isRunning)
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == local {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return boxes(cmd, args, word)
	}
}

func (a *app) push(ctx context.Context, name, src, dest string, o pocketdock.TransferOptions) (err error) {
	if src == "-" && (o.GitIgnore || len(o.Exclude) > 0) {
		return fmt.Errorf("%w: --exclude and --gitignore are for a directory, not for standard input", pocketdock.ErrInvalid)
	}
	box, err := a.client.Get(ctx, name)
	if err != nil {
		return err
	}
	if src == "-" {
		m := a.newMeter("push "+dest, 0)
		defer func() { m.end(err) }()
		if strings.HasSuffix(dest, "/") {
			return box.PushTar(ctx, a.stdin, dest, pocketdock.TransferOptions{User: o.User, Progress: m.moved})
		}
		return box.CopyIn(ctx, dest, m.reader(a.stdin), pocketdock.FileOptions{User: o.User})
	}
	if strings.HasSuffix(dest, "/") {
		abs, err := filepath.Abs(src)
		if err != nil {
			return err
		}
		dest = path.Join(dest, filepath.Base(abs))
	}
	m := a.newMeter("push "+src, 0)
	defer func() { m.end(err) }()
	o.Progress = m.moved
	return box.Push(ctx, src, dest, o)
}
