package mcp

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pocketdock/pocketdock"
)

// Options of a [Server]. The zero value uses the engine of this machine, and
// lets clients neither at the network nor at files of this host.
type Options struct {
	// Client that sandboxes are made with. Nil: the zero Client.
	Client *pocketdock.Client
	// Image and Profile of a sandbox for which the client names neither. Both
	// empty: the profile agent, the profile minimal-python or the image
	// debian:bookworm-slim, the first that the engine has.
	Image, Profile string
	// Project that the sandboxes belong to. Empty: none.
	Project string
	// AllowNetwork lets clients ask for a sandbox with a network. Without it
	// every sandbox has none, whatever its profile says.
	AllowNetwork bool
	// Directories of this host that upload and download may use. None: there
	// are no such tools.
	Directories []Directory
	// AnswerWithin is how long a call takes at most: what runs longer goes on
	// in the sandbox, and the answer says how to come back. It should be below
	// the client's own limit, often 60 s. 0: 45 s; at least 1 s.
	AnswerWithin time.Duration
	// Timeout kills a command for which the client names none and that does
	// not run in the background. 0: half an hour.
	Timeout time.Duration
	// MaxOutput is how many bytes of each output stream, or of a file, an
	// answer has. 0: 16 KiB; at least 256.
	MaxOutput int
	// MaxSandboxes that a session has at a time. 0: 8.
	MaxSandboxes int
	// Version of the program, for the client to show. Empty: "devel".
	Version string
	// Log of what happens. Nil: none.
	Log *slog.Logger
}

const (
	defaultAnswer    = 45 * time.Second
	defaultTimeout   = 30 * time.Minute
	defaultOutput    = 16 << 10
	defaultSandboxes = 8
)

// settle checks the options and sets those that are zero.
func (o *Options) settle() error {
	if o.Client == nil {
		o.Client = &pocketdock.Client{}
	}
	if o.Image != "" && o.Profile != "" {
		return errors.New("an image and a profile: only one of them says what a sandbox is made of")
	}
	o.AnswerWithin = cmp.Or(o.AnswerWithin, defaultAnswer)
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.MaxOutput = cmp.Or(o.MaxOutput, defaultOutput)
	o.MaxSandboxes = cmp.Or(o.MaxSandboxes, defaultSandboxes)
	o.Version = cmp.Or(o.Version, "devel")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.AnswerWithin < time.Second:
		return fmt.Errorf("%w: an answer within %v: must be a second at least", pocketdock.ErrInvalid, o.AnswerWithin)
	case o.Timeout < 0:
		return fmt.Errorf("%w: timeout %v: must not be negative", pocketdock.ErrInvalid, o.Timeout)
	case o.MaxOutput < 256:
		return fmt.Errorf("%w: output of %d bytes: must be 256 at least", pocketdock.ErrInvalid, o.MaxOutput)
	case o.MaxSandboxes < 1:
		return fmt.Errorf("%w: %d sandboxes: must be 1 at least", pocketdock.ErrInvalid, o.MaxSandboxes)
	}
	return nil
}
