package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

func (a *app) pullCommand() *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use:   "pull CONTAINER SRC DEST",
		Short: "Copy a file or directory out of a sandbox",
		Long: `Copies a file or directory of a sandbox to this machine, with modes, times and
links. Nothing is written outside of DEST, whatever the sandbox sends, and a file
appears under its name when it is whole. A DEST that is a directory, when SRC is a
file, takes it under its name.

DEST - is standard output: of a file its content, of a directory a tar archive. What
unpacks that has to see to it that nothing escapes; push does.`,
		Example: `  pocketdock pull web /var/log/app ./logs
  pocketdock pull web /tmp/shop.sql - | gzip > shop.sql.gz
  pocketdock pull web /srv - | pocketdock push web2 - /`,
		Args:              transfer,
		ValidArgsFunction: a.transferArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.pull(cmd.Context(), args[0], args[1], args[2], user)
		},
	}
	cmd.Flags().StringVarP(&user, "user", "u", "", "read as that user (default: the sandbox's)")
	return cmd
}

func (a *app) pull(ctx context.Context, name, src, dest, user string) (err error) {
	box, err := a.client.Get(ctx, name)
	if err != nil {
		return err
	}
	info, err := box.Stat(ctx, src, pocketdock.FileOptions{User: user})
	if err != nil {
		return err
	}
	if dest == "-" {
		return a.pullOut(ctx, box, src, user, info)
	}
	if to, err := os.Stat(dest); (err == nil && to.IsDir() || strings.HasSuffix(dest, "/")) && !info.IsDir() {
		base := path.Base(path.Clean(src))
		if base == "/" || base == "." || base == ".." {
			return fmt.Errorf("%w: %s is no name for a file in %s", pocketdock.ErrInvalid, src, dest)
		}
		dest = filepath.Join(dest, base)
	}
	var size int64
	if !info.IsDir() {
		size = info.Size
	}
	m := a.newMeter("pull "+src, size)
	defer func() { m.end(err) }()
	return box.Pull(ctx, src, dest, pocketdock.TransferOptions{User: user, Progress: m.moved})
}

// pullOut writes a file, or the archive of a directory, to standard output.
func (a *app) pullOut(ctx context.Context, box *pocketdock.Container, src, user string, info *pocketdock.FileInfo) (err error) {
	if info.IsDir() {
		if a.out.terminal {
			return fmt.Errorf("%w: %s is a directory, and its archive is nothing for a terminal; give DEST a path, or send it on", pocketdock.ErrInvalid, src)
		}
		m := a.newMeter("pull "+src, 0)
		defer func() { m.end(err) }()
		return box.PullTar(ctx, src, a.out, pocketdock.TransferOptions{User: user, Progress: m.moved})
	}
	info, r, err := box.OpenFile(ctx, src, pocketdock.ReadOptions{User: user})
	if err != nil {
		return err
	}
	defer r.Close()
	m := a.newMeter("pull "+src, info.Size)
	defer func() { m.end(err) }()
	_, err = io.CopyBuffer(struct{ io.Writer }{a.out}, m.reader(r), make([]byte, 1<<20))
	return err
}
