package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

func (a *app) quickstartCommand() *cobra.Command {
	var image string
	cmd := &cobra.Command{
		Use:   "quickstart",
		Short: "Try this machine out, and show the first commands",
		Long: `Looks for an engine and an image, runs one command in a sandbox, removes the
sandbox, and says what to try next. Where something is missing it says how to
get it. Nothing is left behind, nothing is downloaded.`,
		Example: `  pocketdock quickstart
  pocketdock quickstart --image python:3-slim`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.quickstart(cmd.Context(), image) },
	}
	cmd.Flags().StringVar(&image, "image", defaultImage, "image to try")
	return cmd
}

func (a *app) quickstart(ctx context.Context, image string) (err error) {
	step := func(format string, args ...any) {
		fmt.Fprintf(a.out, "%s %s\n", a.out.paint(good, "ok"), printable(fmt.Sprintf(format, args...)))
	}
	e, err := a.client.Engine(ctx)
	if err != nil {
		return err
	}
	step("engine: %s %s at %s", e.Name, e.Version, e.Socket)
	img, err := a.client.Image(ctx, image)
	if err != nil {
		return err
	}
	step("image: %s, %s", image, pocketdock.FormatSize(img.Size))
	begun := time.Now()
	box, err := a.client.Create(ctx, image, pocketdock.CreateOptions{IdleTimeout: doIdle})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		err = errors.Join(err, box.Destroy(ctx))
	}()
	step("sandbox: %s, made in %v", box, time.Since(begun).Round(time.Millisecond))
	begun = time.Now()
	res, err := box.Run(ctx, pocketdock.Argv("echo", "hello from a sandbox"))
	if err != nil {
		return err
	}
	step("command: %q, in %v", string(res.Stdout), time.Since(begun).Round(100*time.Microsecond))
	fmt.Fprintln(a.out, `
Now try:

  pocketdock do -- uname -a                 run one command in a sandbox of its own
  pocketdock create --name first            make one that stays
  pocketdock run first -- ls -la /          run commands in it
  pocketdock shell first                    work in it; Ctrl-P Ctrl-Q leaves it running
  pocketdock push first ./notes.txt /tmp/   put files in, and pull them out
  pocketdock list                           see what there is
  pocketdock shutdown first                 remove it with its files

  pocketdock COMMAND --help has examples of every command.`)
	return nil
}
