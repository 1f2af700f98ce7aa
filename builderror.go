package pocketdock

import (
	"errors"
	"fmt"
	"strings"
)

// A BuildError says where and why a build failed.
type BuildError struct {
	Image string // the tag that was to be built; may be empty
	// Step that failed of Steps, and its instruction; 0 and empty when it
	// failed before the first.
	Step, Steps int
	Instruction string
	// Message is the engine's, at most 2 KiB; Log the end of what the failing
	// step printed, at most 4 KiB.
	Message string
	Log     string
	// Hint says what to do, if the log shows it.
	Hint string
}

func (e *BuildError) Error() string {
	var b strings.Builder
	b.WriteString("build image")
	if e.Image != "" {
		b.WriteString(" " + e.Image)
	}
	if e.Step > 0 {
		// One line, and not all of a long RUN.
		fmt.Fprintf(&b, ": step %d of %d, %.60s", e.Step, e.Steps, strings.ToValidUTF8(e.Instruction, "?"))
	}
	b.WriteString(": " + e.Message)
	if last := lastLine(e.Log); last != "" && e.Hint == "" {
		b.WriteString(": " + last)
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// maxBuildLog bounds what is kept of a step's output for its error.
const maxBuildLog = 4 << 10

// A buildLog keeps what an error needs.
type buildLog struct {
	at   BuildEvent // the last step
	text []byte     // the end of its output
}

func (l *buildLog) add(ev BuildEvent) {
	switch ev.Kind {
	case BuildStep:
		l.at, l.text = ev, l.text[:0]
	case BuildOutput:
		l.text = append(l.text, ev.Text...)
		if over := len(l.text) - maxBuildLog; over > 0 {
			l.text = append(l.text[:0], l.text[over:]...)
		}
	}
}

// explain makes a BuildError of what the engine said; other errors stay.
func (l *buildLog) explain(image string, err error) error {
	failed, ok := errors.AsType[*progressError](err)
	if !ok {
		return err
	}
	log := strings.ToValidUTF8(string(l.text), "?")
	return &BuildError{Image: image, Step: l.at.Step, Steps: l.at.Steps, Instruction: shorten(l.at.Instruction),
		Message: failed.message, Log: log, Hint: buildHint(l.at.Instruction, failed.message+"\n"+log)}
}

// buildHint knows the failures that a machine without a network, or behind a
// proxy, has. The texts are those of apt, curl, npm and pip, and of Docker and
// Podman for a base image.
func buildHint(instruction, text string) string {
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	base, from := strings.CutPrefix(instruction, "FROM ")
	switch {
	case from:
		base, _, _ = strings.Cut(base, " ")
		return fmt.Sprintf("the base image %s is not there and cannot be fetched: load it (docker load, podman load, pocketdock import FILE), or connect this machine to a registry", shorten(base))
	case has("certificate verify failed", "SSL certificate problem", "SELF_SIGNED_CERT", "self-signed certificate"):
		return "a proxy seems to inspect TLS: name its certificates in SSL_CERT_FILE"
	case has("Temporary failure resolving", "Could not resolve", "Could not connect", "Connection timed out", "Network is unreachable",
		"Failed to fetch", "unable to connect", "EAI_AGAIN", "Failed to establish a new connection"):
		return "the build needs a package mirror and cannot reach it: connect this machine, set a proxy with the build arguments http_proxy and https_proxy, or import an image that was built elsewhere with: pocketdock import FILE"
	case has("No space left on device"):
		return "the engine's disk is full"
	}
	return ""
}

// lastLine is the last line of a text that is not blank, without the colours
// that Docker gives what a command prints on stderr.
func lastLine(text string) string {
	text = strings.NewReplacer("\x1b[91m", "", "\x1b[0m", "").Replace(text)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		line := strings.TrimSpace(lines[i])
		// Docker says what it does to the step's container.
		if line != "" && !strings.HasPrefix(line, "Removing intermediate container") && !strings.HasPrefix(line, "---> Running in") {
			return shorten(line)
		}
	}
	return ""
}
