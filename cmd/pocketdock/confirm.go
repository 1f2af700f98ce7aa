package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

var errDeclined = errors.New("nothing was done")

// confirm asks before something is destroyed. Without a terminal it asks
// nobody: then --yes has to say so.
func (a *app) confirm(ctx context.Context, cmd *cobra.Command, question string) error {
	if a.yes {
		return nil
	}
	if !a.err.terminal || !isTerminal(a.stdin) {
		return usageError{cmd, fmt.Errorf("%s? There is no terminal to ask on: say --yes", question)}
	}
	fmt.Fprintf(a.err, "%s? [y/N] ", printable(question))
	answer := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(io.LimitReader(a.stdin, 1<<10)).ReadString('\n')
		if err != nil {
			fmt.Fprintln(a.err)
		}
		answer <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.err)
		return context.Cause(ctx)
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
		return errDeclined
	}
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
