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

// A tool is described for a model, which reads its name, its description and
// the schema of In, whose fields have descriptions of their own.
type tool[In any, Out answer] struct {
	name, title, description string
	effect                   effect
	input                    func(*jsonschema.Schema) // adds what Go's types do not say; may be nil
	slow                     bool                     // it keeps to the time of an answer by itself
	do                       func(ctx context.Context, c *call, in In) (Out, error)
}

// An effect is what clients ask their user about.
type effect int

const (
	reads effect = iota
	changes
	destroys
)

// An answer is what a tool returns, beside its fields.
type answer interface {
	// text is the answer in words: what a client shows a model that has no use
	// for structured content.
	text() string
}

// A failing answer may be an error, though the tool did its work.
type failing interface{ failed() bool }

// A pictured answer has images.
type pictured interface{ pictures() []sdk.Content }

// A call is one request of a client.
type call struct {
	*session
	req   *sdk.CallToolRequest
	begun time.Time
	box   *sandbox // that it acts on, once it is known
}

// left is how much of the time for an answer is left.
func (c *call) left() time.Duration { return c.srv.opts.AnswerWithin - time.Since(c.begun) }

// use finds the sandbox that a call is about.
func (c *call) use(ctx context.Context, id string) (*sandbox, error) {
	b, _, err := c.find(ctx, id)
	c.box = b
	return b, err
}

// add makes a tool known to clients.
func add[In any, Out answer](s *Server, t tool[In, Out]) {
	yes, no := true, false
	notes := &sdk.ToolAnnotations{Title: t.title, ReadOnlyHint: t.effect == reads, DestructiveHint: &no, OpenWorldHint: &no}
	if t.effect == destroys {
		notes.DestructiveHint = &yes
	}
	in := schemaOf[In](t.name)
	if t.input != nil {
		t.input(in)
	}
	def := &sdk.Tool{Name: t.name, Title: t.title, Description: t.description, Annotations: notes,
		InputSchema: in, OutputSchema: schemaOf[Out](t.name)}
	sdk.AddTool(s.inner, def, func(ctx context.Context, req *sdk.CallToolRequest, in In) (*sdk.CallToolResult, Out, error) {
		c := &call{session: s.of(req.Session), req: req, begun: time.Now()}
		ctx, cancel := c.during(ctx)
		defer cancel()
		if !t.slow {
			var stop context.CancelFunc
			ctx, stop = context.WithTimeoutCause(ctx, s.opts.AnswerWithin, errTooSlow)
			defer stop()
		}
		out, err := t.do(ctx, c, in)
		if err != nil {
			return nil, out, c.explain(ctx, err)
		}
		res := &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: out.text()}}}
		if p, ok := any(out).(pictured); ok {
			res.Content = append(res.Content, p.pictures()...)
		}
		if f, ok := any(out).(failing); ok {
			res.IsError = f.failed()
		}
		return res, out, nil
	})
}

// explain completes an error with what a model can do about it.
func (c *call) explain(ctx context.Context, err error) error {
	switch err = inTime(ctx, err); {
	case errors.Is(err, errTooSlow):
		return fmt.Errorf("%w (%v), and was given up", errTooSlow, c.srv.opts.AnswerWithin)
	case c.lost(c.box, err):
		return fmt.Errorf("%w; sandbox %s has ended, by its time limit or from outside, and its files and processes are lost: the next call without sandbox_id makes a new one", err, c.box.id())
	case errors.Is(err, pocketdock.ErrProcessNotFound):
		return fmt.Errorf("%w: sandbox_info lists the processes of a sandbox", err)
	}
	return err
}

// schemaOf is the schema of a tool's input or output. A list is a list and a
// map a map there: null beside them, which is what Go's nil is, keeps some
// models' clients from using a tool at all.
func schemaOf[T any](name string) *jsonschema.Schema {
	s, err := jsonschema.For[T](nil)
	if err != nil {
		panic(fmt.Sprintf("schema of tool %s: %v", name, err)) // a type of ours
	}
	strict(s)
	return s
}

func strict(s *jsonschema.Schema) {
	if len(s.Types) == 2 && s.Types[0] == "null" {
		s.Type, s.Types = s.Types[1], nil
	}
	for _, p := range s.Properties {
		strict(p)
	}
	if s.Items != nil {
		strict(s.Items)
	}
}

// oneOf restricts a property to some values.
func oneOf(s *jsonschema.Schema, property string, values ...string) {
	p := s.Properties[property]
	for _, v := range values {
		p.Enum = append(p.Enum, v)
	}
}

// between restricts a number.
func between(s *jsonschema.Schema, property string, least, most float64) {
	p := s.Properties[property]
	p.Minimum, p.Maximum = &least, &most
}

// needs restricts a text or a list to something that is not empty.
func needs(s *jsonschema.Schema, properties ...string) {
	one := 1
	for _, name := range properties {
		s.Properties[name].MinLength = &one
	}
}

// plural is "1 file" or "3 files".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if strings.HasSuffix(what, "y") {
		what = strings.TrimSuffix(what, "y") + "ie"
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (s *Server) addTools() {
	s.addRunTools()
	s.addProcessTools()
	s.addFileTools()
	s.addSearchTools()
	s.addSandboxTools()
	if len(s.dirs) > 0 {
		s.addTransferTools()
	}
}
