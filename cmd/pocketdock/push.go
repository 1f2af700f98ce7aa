package main

import (
	"context"
	"fmt"
	"os"
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
exists. A DEST that ends with a slash, and for a file one that is a directory, takes
it under its name.

SRC - is standard input, of any size: the content of the file DEST or, where DEST
ends with a slash, a tar archive to unpack there.

--exclude leaves files out, by patterns as in a .gitignore file; --gitignore what
the .gitignore files in the directory say. A .git directory is pushed like any
other unless it is excluded.`,
		Example: `  pocketdock push web ./site /srv
  pocketdock push --gitignore --exclude .git web . /src
  pg_dump shop | pocketdock push web - /tmp/shop.sql
  git archive HEAD | pocketdock push web - /src/`,
		Args:              transfer,
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
	if dest, err = pushDest(ctx, box, src, dest, o.User); err != nil {
		return err
	}
	m := a.newMeter("push "+src, 0)
	defer func() { m.end(err) }()
	o.Progress = m.moved
	return box.Push(ctx, src, dest, o)
}

// pushDest is the path that SRC will have: one in DEST, if that is a directory
// and SRC is not, or if it is meant to be one.
func pushDest(ctx context.Context, box *pocketdock.Container, src, dest, user string) (string, error) {
	abs, err := filepath.Abs(src)
	if err != nil {
		return "", err
	}
	into := path.Join(dest, filepath.Base(abs))
	if strings.HasSuffix(dest, "/") {
		return into, nil
	}
	from, err := os.Stat(src)
	if err != nil {
		return "", err
	}
	to, err := box.Stat(ctx, dest, pocketdock.FileOptions{User: user})
	switch {
	case err != nil: // it is not there, or Push says what is wrong with it
		return dest, nil
	case to.IsDir() && !from.IsDir():
		return into, nil
	case !to.IsDir() && from.IsDir():
		return "", fmt.Errorf("%s is a directory, and %s in container %s is a file; remove that first, or give DEST another name", src, dest, box)
	}
	return dest, nil
}
