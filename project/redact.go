package project

import (
	"strings"

	"github.com/pocketdock/pocketdock/internal/pattern"
)

// redacted stands where a secret stood.
const redacted = "***"

var (
	// envFlags take NAME=VALUE.
	envFlags = pattern.New(`^(-e|--env)$`)
	// secretName is what an option, a variable or a header is called whose
	// value is not for others.
	secretName = pattern.New(`(?i)(pass(word|wd|phrase)?|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential|auth(orization)?|cookie)s?$`)
	assignment = pattern.New(`(?s)^(-{0,2}[A-Za-z_][A-Za-z0-9_.-]*)([=:] ?)(.+)$`)
	userinfo   = pattern.New(`(://)[^/@\s]+@`)
)

// RedactArgs is a command line without the values of environment variables
// (-e NAME=VALUE, --env=NAME=VALUE) and without values of what is named like a
// secret (--password X, API_KEY=X, Authorization: X, https://user:X@host). It
// cannot know a secret that stands alone.
func RedactArgs(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = a
		if strings.Contains(a, "://") {
			out[i] = userinfo.ReplaceAllString(a, "${1}"+redacted+"@")
		}
		prev := ""
		if i > 0 {
			prev = args[i-1]
		}
		if name, _, ok := strings.Cut(a, "="); ok && (envFlags.MatchString(prev) || strings.HasPrefix(prev, "-") && strings.HasSuffix(prev, "e") && !strings.HasPrefix(prev, "--")) {
			out[i] = name + "=" + redacted
			continue
		}
		if rest, ok := strings.CutPrefix(a, "--env="); ok {
			name, _, _ := strings.Cut(rest, "=")
			out[i] = "--env=" + name + "=" + redacted
			continue
		}
		if rest, ok := strings.CutPrefix(a, "-e"); ok && strings.Contains(rest, "=") && !strings.HasPrefix(a, "--") {
			name, _, _ := strings.Cut(rest, "=")
			out[i] = "-e" + name + "=" + redacted
			continue
		}
		if strings.ContainsAny(a, "=:") {
			if m := assignment.FindStringSubmatch(a); m != nil && secretName.MatchString(m[1]) {
				out[i] = m[1] + m[2] + redacted
				continue
			}
		}
		if strings.HasPrefix(prev, "--") && !strings.Contains(prev, "=") && secretName.MatchString(prev) && !strings.HasPrefix(a, "-") {
			out[i] = redacted
		}
	}
	return out
}
