package pocketdock

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pocketdock/pocketdock/internal/engine"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// The kinds of failure, for [errors.Is].
var (
	// ErrNoEngine: no engine answers, or the connection to it broke.
	ErrNoEngine = errors.New("no connection to a container engine")
	// ErrContainerNotFound: there is no container of that name or ID.
	ErrContainerNotFound = errors.New("no such container")
	// ErrContainerNotRunning: the container is there and does not run.
	ErrContainerNotRunning = errors.New("container is not running")
	// ErrContainerGone: the container was removed while its handle was in use.
	ErrContainerGone = errors.New("container is gone")
	// ErrNameInUse: another container has that name.
	ErrNameInUse = errors.New("container name is in use")
	// ErrImageNotFound: the engine does not have the image.
	ErrImageNotFound = errors.New("no such image")
	// ErrFileNotFound: there is no such file in the container.
	ErrFileNotFound = errors.New("no such file")
	// ErrFileExists: there is such a file already.
	ErrFileExists = errors.New("file exists")
	// ErrPermission: the sandbox's user may not do that.
	ErrPermission = errors.New("permission denied")
	// ErrCommandNotFound: the program does not exist in the container; a
	// shell would say 127.
	ErrCommandNotFound = errors.New("command not found")
	// ErrCommandNotExecutable: the program exists and cannot be executed; a
	// shell would say 126.
	ErrCommandNotExecutable = errors.New("command cannot be executed")
	// ErrProcessNotFound: there is no process of that ID, or its record was dropped.
	ErrProcessNotFound = errors.New("no such process")
	// ErrSessionClosed: the session's interpreter has ended.
	ErrSessionClosed = errors.New("session is closed")
	// ErrOutputLost: output is missing that should be there.
	ErrOutputLost = errors.New("output is incomplete")
	// ErrUnsupported: this engine, or the way into this container, cannot do that.
	ErrUnsupported = errors.New("not supported here")
	// ErrPoolClosed: the pool was closed.
	ErrPoolClosed = errors.New("pool is closed")
	// ErrInvalid: an option or argument makes no sense. Nothing was done.
	ErrInvalid = errors.New("invalid argument")
)

// A SocketError is a failure to talk to the engine.
type SocketError struct {
	Socket string // path of the Unix socket, if one was chosen
	Err    error
}

func (e *SocketError) Error() string {
	if e.Socket == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("engine socket %s: %v", e.Socket, e.Err)
}

// Unwrap makes a SocketError an [ErrNoEngine], unless the caller's own
// context ended it.
func (e *SocketError) Unwrap() []error {
	if errors.Is(e.Err, context.Canceled) || errors.Is(e.Err, context.DeadlineExceeded) {
		return []error{e.Err}
	}
	return []error{ErrNoEngine, e.Err}
}

// An EngineError is an engine's refusal that has no kind of its own.
type EngineError struct {
	Op      string // what was being done, "create container pd-1a2b3c4d"
	Status  int    // HTTP status
	Message string // the engine's, at most 2 KiB
}

func (e *EngineError) Error() string {
	return fmt.Sprintf("%s: the engine refused (%d): %s", e.Op, e.Status, e.Message)
}

// A ContainerError is about one container. Its kind is ErrContainerNotFound,
// ErrContainerNotRunning, ErrContainerGone or ErrNameInUse.
type ContainerError struct {
	Container string // name or ID
	Kind      error
	// Status, ExitCode and OOMKilled say how a container that does not run ended.
	Status    string // "exited", "created", "paused"; empty if not known
	ExitCode  int
	OOMKilled bool
}

func (e *ContainerError) Error() string {
	var b strings.Builder
	switch {
	case e.Kind == ErrContainerNotRunning:
		fmt.Fprintf(&b, "container %s is not running", e.Container)
		if e.Status != "" {
			fmt.Fprintf(&b, ": %s", e.Status)
			if e.Status == "exited" {
				fmt.Fprintf(&b, " with code %d", e.ExitCode)
			}
		}
		if e.OOMKilled {
			b.WriteString(", killed by the kernel for using more memory than its limit; create it with a higher memory limit")
		} else {
			fmt.Fprintf(&b, "; start it again with: pocketdock resume %s", e.Container)
		}
	case e.Kind == ErrContainerGone:
		fmt.Fprintf(&b, "container %s was removed; create another", e.Container)
	case e.Kind == ErrContainerNotFound:
		fmt.Fprintf(&b, "no container %s; see those that exist with: pocketdock list", e.Container)
	case e.Kind == ErrNameInUse:
		fmt.Fprintf(&b, "container name %s is in use; choose another, or remove that container with: pocketdock shutdown %s", e.Container, e.Container)
	default:
		fmt.Fprintf(&b, "container %s: %v", e.Container, e.Kind)
	}
	return b.String()
}

func (e *ContainerError) Unwrap() error { return e.Kind }

// An ImageError says that an image is missing.
type ImageError struct {
	Image string
	// Hint is the command that gets it.
	Hint string
}

func (e *ImageError) Error() string {
	return fmt.Sprintf("no image %s on this engine; get it with: %s", e.Image, e.Hint)
}

func (e *ImageError) Unwrap() error { return ErrImageNotFound }

// A FileError is about one path in a container.
type FileError struct {
	Op        string // "read", "write", "list", …
	Path      string
	Container string
	Err       error // its kind, or the reason as text
}

func (e *FileError) Error() string {
	op := e.Op
	switch op {
	case wire.OpTarIn:
		op = "unpack into"
	case wire.OpTarOut:
		op = "pack"
	}
	return fmt.Sprintf("%s %s in container %s: %v", op, e.Path, e.Container, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// A CommandError says that a program could not be started.
type CommandError struct {
	Command   string // argv[0]
	Container string
	Kind      error  // ErrCommandNotFound or ErrCommandNotExecutable
	Detail    string // the reason, if more is known
}

func (e *CommandError) Error() string {
	s := fmt.Sprintf("%s: %v in container %s", e.Command, e.Kind, e.Container)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

func (e *CommandError) Unwrap() error { return e.Kind }

// ExitCode is the code that a shell would end with: 127 or 126.
func (e *CommandError) ExitCode() int {
	if e.Kind == ErrCommandNotFound {
		return 127
	}
	return 126
}

// invalidf makes an ErrInvalid.
func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// noID refuses an answer without the ID that every answer of its kind has.
func noID(e *engine.Engine, op string) error {
	return fmt.Errorf("%s: %w", op, &SocketError{Socket: e.Path, Err: errors.New("the answer is not that of an engine: it has no ID")})
}

// apiError turns an error of the engine client into one of ours. op says what
// was being done; ref is the container it was done to, or empty.
func apiError(err error, op, ref string) error {
	if err == nil {
		return nil
	}
	if te, ok := errors.AsType[*engine.TransportError](err); ok {
		if te.Ended {
			return fmt.Errorf("%s: %w", op, te.Err)
		}
		return fmt.Errorf("%s: %w", op, &SocketError{Socket: te.Socket, Err: te.Err})
	}
	if de, ok := errors.AsType[*engine.DiscoverError](err); ok {
		return &SocketError{Err: de}
	}
	se, ok := errors.AsType[*engine.StatusError](err)
	if !ok {
		return fmt.Errorf("%s: %w", op, err)
	}
	switch {
	case se.NoSuchImage():
		return &ImageError{Image: ref, Hint: imageHint(nil, ref)}
	case ref != "" && se.Conflict():
		return &ContainerError{Container: ref, Kind: ErrNameInUse}
	case ref != "" && se.NotRunning():
		return &ContainerError{Container: ref, Kind: ErrContainerNotRunning}
	case ref != "" && se.NotFound():
		return &ContainerError{Container: ref, Kind: ErrContainerNotFound}
	}
	return &EngineError{Op: op, Status: se.Status, Message: se.Message}
}
