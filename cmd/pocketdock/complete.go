package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

// A completer is what cobra asks for the words that may come next.
type completer = func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective)

// completionTime bounds what a key press waits for.
const completionTime = 3 * time.Second

// boxes completes container names: as the first argument only, or as every one.
func (a *app) boxes(many bool, fits func(pocketdock.ListItem) bool) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && !many || a.settle(cmd) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.boxNames(cmd.Context(), args, word, fits), cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) boxNames(ctx context.Context, taken []string, word string, fits func(pocketdock.ListItem) bool) []cobra.Completion {
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	list, err := a.client.List(ctx, pocketdock.ListOptions{})
	if err != nil {
		return nil
	}
	skip := map[string]bool{}
	for _, name := range taken {
		skip[name] = true
	}
	var names []cobra.Completion
	for _, it := range list {
		if strings.HasPrefix(it.Name, word) && !skip[it.Name] && (fits == nil || fits(it)) {
			names = append(names, cobra.CompletionWithDesc(it.Name, it.Status+", "+oneLine(it.Image)))
		}
	}
	return names
}

func isRunning(it pocketdock.ListItem) bool { return it.Status == "running" }
func isStopped(it pocketdock.ListItem) bool { return it.Status != "running" }

// processes completes a container and the IDs of what runs in it.
func (a *app) processes(many bool) completer {
	boxes := a.boxes(false, isRunning)
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return boxes(cmd, args, word)
		}
		if len(args) > 1 && !many || a.settle(cmd) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		var ids []cobra.Completion
		if box, err := a.client.Get(ctx, args[0]); err == nil {
			list, _ := box.Processes(ctx)
			for _, p := range list {
				if p.Running && strings.HasPrefix(p.ID, word) {
					ids = append(ids, cobra.CompletionWithDesc(p.ID, oneLine(strings.Join(p.Args, " "))))
				}
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}
