package pocketdock

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/pocketdock/pocketdock/internal/pattern"
)

// A BuildKind says what a [BuildEvent] is about.
type BuildKind int

const (
	// BuildOutput is what a step's command, or the engine, printed.
	BuildOutput BuildKind = iota
	// BuildStep: a step begins.
	BuildStep
	// BuildCached: the step's result was there from an earlier build.
	BuildCached
	// BuildPull: progress of getting the base image from a registry.
	BuildPull
	// BuildImage: the image is there, its ID is in ImageID. A build of several
	// stages has one for each stage on Docker; the last one counts.
	BuildImage
)

// String is the kind in one word.
func (k BuildKind) String() string {
	names := [...]string{"output", "step", "cached", "pull", "image"}
	if k < 0 || int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// A BuildEvent is one piece of a build's progress. A command in the
// Dockerfile can print the same text as the engine does, and is then taken for
// it: events are for showing, not for deciding.
type BuildEvent struct {
	Kind BuildKind
	// Text as the engine printed it, with its line ends; not always a whole line.
	Text string
	// Step that is under way, from 1, of Steps; both are 0 before the first
	// and where the engine does not count.
	Step, Steps int
	// Stage of Stages, of a Dockerfile with several on Podman, which counts
	// each one's steps by themselves; else both are 0.
	Stage, Stages int
	// Instruction of a BuildStep, "RUN make".
	Instruction string
	// ImageID of a BuildImage, "sha256:…".
	ImageID string
}

// What engines print at a step's beginning. Docker 20.10: "Step 2/5 : RUN
// x"; Podman 4.3: "STEP 2/5: RUN x", with "[1/2] " before it when there are
// several stages.
var stepLine = pattern.New(`^(?:\[(\d{1,4})/(\d{1,4})\] )?(?:Step|STEP) (\d{1,4})/(\d{1,4}) ?: (\S[^\n]*)\n?$`)

// And when they have its result: " ---> Using cache", "--> Using cache ID".
var cachedLine = pattern.New(`^ ?-{2,3}> Using cache\b`)

// A buildMessage is one message of the stream.
type buildMessage struct {
	Stream      string
	Status      string
	ID          string
	Progress    string
	Error       string
	ErrorDetail struct{ Message string }
	Aux         struct{ ID string }
}

// A position is where in the Dockerfile a stream is.
type position struct{ step, steps, stage, stages int }

// event reads a message; ok is false for one that says nothing.
func (p *position) event(m *buildMessage) (ev BuildEvent, ok bool) {
	ev.Text = m.Stream
	switch {
	case m.Aux.ID != "":
		ev.Kind, ev.ImageID = BuildImage, m.Aux.ID
	case m.Stream == "" && m.Status != "":
		ev.Kind, ev.Text = BuildPull, pullText(m)
	case m.Stream == "":
		return ev, false
	case cachedLine.MatchString(m.Stream):
		ev.Kind = BuildCached
	default:
		if f := stepLine.FindStringSubmatch(m.Stream); f != nil {
			ev.Kind, ev.Instruction = BuildStep, f[5]
			p.stage, p.stages, p.step, p.steps = number(f[1]), number(f[2]), number(f[3]), number(f[4])
		}
	}
	ev.Step, ev.Steps, ev.Stage, ev.Stages = p.step, p.steps, p.stage, p.stages
	return ev, true
}

// number reads up to four digits.
func number(s string) int {
	n, _ := strconv.Atoi(s) // empty where the engine does not say
	return n
}

func pullText(m *buildMessage) string {
	text := m.Status
	if m.ID != "" {
		text = m.ID + ": " + text
	}
	if m.Progress != "" {
		text += " " + m.Progress
	}
	return text + "\n"
}

// A progressError is a failure that the engine reports inside of a stream: the
// status said 200 before it knew.
type progressError struct{ message string }

func (e *progressError) Error() string { return e.message }

// progress reads a stream of JSON messages.
func progress(r io.Reader) iter.Seq2[BuildEvent, error] {
	return func(yield func(BuildEvent, error) bool) {
		bound := &messageBound{r: r}
		dec := json.NewDecoder(bound)
		var at position
		for {
			var m buildMessage
			err := dec.Decode(&m)
			bound.n = 0
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(BuildEvent{}, err)
				return
			}
			if text := m.ErrorDetail.Message; text != "" || m.Error != "" {
				if text == "" {
					text = m.Error
				}
				yield(BuildEvent{}, &progressError{shorten(strings.TrimSpace(text))})
				return
			}
			if ev, ok := at.event(&m); ok && !yield(ev, nil) {
				return
			}
		}
	}
}

// maxMessage bounds one message: what decodes it holds all of it.
const maxMessage = 1 << 20

// messageBound fails when more than a message's bound is read for one message.
type messageBound struct {
	r io.Reader
	n int // since the last message
}

func (b *messageBound) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.n += n; b.n > 2*maxMessage { // the decoder reads ahead
		return 0, fmt.Errorf("the engine sends a progress message of more than %d bytes", maxMessage)
	}
	return n, err
}

// shorten bounds an engine's text in an error.
func shorten(s string) string {
	const max = 2 << 10
	if len(s) > max {
		s = s[:max] + "…"
	}
	return strings.ToValidUTF8(s, "")
}
