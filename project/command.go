package project

import (
	"strings"
	"unicode/utf8"

	"github.com/pocketdock/pocketdock"
)

// bareWord reports that a word needs no quotes in a shell.
func bareWord(w string) bool {
	return w != "" && strings.IndexFunc(w, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_@%+=:,./-", r))
	}) < 0
}

// commandText is a command as a shell would take it, without its environment
// and without what looks like a secret among its arguments.
func commandText(cmd pocketdock.Command) string {
	switch {
	case cmd.Shell != "":
		return cmd.Shell
	case cmd.Lang != "":
		return cmd.Lang + ": " + cmd.Code
	}
	return Quote(RedactArgs(cmd.Args)...)
}

// Quote joins words to a line that a shell takes apart into the same words.
func Quote(words ...string) string { return strings.Join(quoteAll(words), " ") }

func quoteAll(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		if out[i] = w; !bareWord(w) {
			out[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return out
}

// incomplete is the length of the beginning of a UTF-8 character at the end
// of b.
func incomplete(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}
