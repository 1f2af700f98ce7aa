package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a shell's completion script",
		Long: `Prints the script with which a shell completes pocketdock's commands, options,
containers and processes. The names are asked of the engine at each key press.`,
		Example: `  source <(pocketdock completion bash)
  pocketdock completion zsh > "${fpath[1]}/_pocketdock"
  pocketdock completion fish > ~/.config/fish/completions/pocketdock.fish
  pocketdock completion powershell | Out-String | Invoke-Expression`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{cmd, errors.New("for which shell? Write bash, zsh, fish or powershell")}
			}
			return exactly("SHELL")(cmd, args)
		},
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.out, true)
			case "zsh":
				return root.GenZshCompletion(a.out)
			case "fish":
				return root.GenFishCompletion(a.out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.out)
			}
			return usageError{cmd, errNoShell(args[0])}
		},
	}
}

// errNoShell says that there is no completion for a shell of that name.
type errNoShell string

func (e errNoShell) Error() string {
	s := "no completion for " + string(e) + ": write bash, zsh, fish or powershell"
	if near := nearest(string(e), []string{"bash", "zsh", "fish", "powershell"}); near != "" {
		s += "; did you mean " + near + "?"
	}
	return s
}
