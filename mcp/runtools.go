package mcp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pocketdock/pocketdock"
)

type runCode struct {
	Code     string `json:"code" jsonschema:"the whole program"`
	Language string `json:"language"`
	runOptions
}

type runCommand struct {
	Command    string `json:"command" jsonschema:"a line for /bin/sh: pipes, && and redirection work"`
	Background bool   `json:"background,omitempty" jsonschema:"for a server or another long job: answers after a second with a process_id while it goes on, without a timeout; without stdin, process_write can write to it"`
	runOptions
}

type runOptions struct {
	Stdin          string            `json:"stdin,omitempty" jsonschema:"text for its standard input, which then ends"`
	Env            map[string]string `json:"env,omitempty" jsonschema:"environment variables to add"`
	Cwd            string            `json:"cwd,omitempty" jsonschema:"working directory (default: the sandbox's, usually its user's home)"`
	TimeoutSeconds float64           `json:"timeout_seconds,omitempty"`
	Images         []string          `json:"images,omitempty" jsonschema:"paths of images (PNG, JPEG, GIF, WebP, SVG) that it writes and that are to be returned for you to see; the last part may be a pattern such as *.png"`
	SandboxID      string            `json:"sandbox_id,omitempty" jsonschema:"leave out for the default sandbox"`
}

// maxTimeout is the longest time limit of a command, in seconds: a week.
const maxTimeout = 7 * 24 * 3600

func (s *Server) addRunTools() {
	limits := func(in *jsonschema.Schema) {
		t := in.Properties["timeout_seconds"]
		t.Description = fmt.Sprintf("kill it after this long (default %.0f, not in the background)", s.opts.Timeout.Seconds())
		between(in, "timeout_seconds", 0.1, maxTimeout)
	}
	add(s, tool[runCode, ran]{
		name: "run_code", title: "Run code", effect: changes, slow: true,
		description: fmt.Sprintf("Runs a program in a sandbox, from source text, and returns its output and exit code. Each call is a process of its own: variables do not outlive it, files do. What still runs after %v goes on, and the answer says how to read on.", s.opts.AnswerWithin),
		input: func(in *jsonschema.Schema) {
			limits(in)
			oneOf(in, "language", pocketdock.Languages()...)
			in.Properties["language"].Description = "the sandbox's image must have its interpreter"
			needs(in, "code")
		},
		do: func(ctx context.Context, c *call, in runCode) (ran, error) {
			return in.run(ctx, c, pocketdock.Code(in.Language, in.Code), false)
		},
	})
	add(s, tool[runCommand, ran]{
		name: "run_command", title: "Run a command", effect: changes, slow: true,
		description: fmt.Sprintf("Runs a shell command in a sandbox and returns its output and exit code. The working directory and variables do not carry over to the next call, files do. What still runs after %v goes on, and the answer says how to read on.", s.opts.AnswerWithin),
		input: func(in *jsonschema.Schema) {
			limits(in)
			needs(in, "command")
		},
		do: func(ctx context.Context, c *call, in runCommand) (ran, error) {
			return in.run(ctx, c, pocketdock.Shell(in.Command), in.Background)
		},
	})
}

func (o *runOptions) run(ctx context.Context, c *call, cmd pocketdock.Command, background bool) (ran, error) {
	if background && len(o.Images) > 0 {
		return ran{}, errors.New("images: a command in the background may not have written them yet; file_read with encoding image reads one later")
	}
	b, err := c.useSoon(ctx, o.SandboxID)
	if err != nil {
		return ran{}, err
	}
	cmd.Env, cmd.Dir = o.Env, o.Cwd
	switch {
	case o.Stdin != "":
		cmd.Stdin = strings.NewReader(o.Stdin)
	case background:
		cmd.Stdin = pocketdock.Interactive
	}
	switch {
	case o.TimeoutSeconds > 0:
		cmd.Timeout = time.Duration(o.TimeoutSeconds * float64(time.Second))
	case background:
		cmd.Timeout = -1
	default:
		cmd.Timeout = c.srv.opts.Timeout
	}
	return c.run(ctx, b, cmd, execution{background: background, images: o.Images})
}

// useSoon is use within the time of an answer, for calls that keep to it by
// themselves.
func (c *call) useSoon(ctx context.Context, id string) (*sandbox, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, max(c.left(), time.Second), errTooSlow)
	defer cancel()
	b, err := c.use(ctx, id)
	return b, inTime(ctx, err)
}

// inTime is err, or why the time was up if it was: whatever broke off then did
// so for that.
func inTime(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (r ran) pictures() []sdk.Content { return contents(r.images) }
