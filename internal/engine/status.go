package engine

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxErrorBody bounds what is read of an error's body, maxErrorText what is
// kept of its message.
const (
	maxErrorBody = 64 << 10
	maxErrorText = 2 << 10
)

// A StatusError is an answer with an error status.
type StatusError struct {
	Method  string
	Path    string
	Status  int
	Message string // the engine's, at most 2 KiB
	page    bool   // a web page: something else than an engine answered
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s %s: engine answered %d: %s", e.Method, e.Path, e.Status, e.Message)
}

// statusError reads the error body of an answer. Docker sends {"message"},
// Podman {"cause","message","response"}; a proxy may send a web page.
func statusError(method, path string, res *http.Response) *StatusError {
	e := &StatusError{Method: method, Path: path, Status: res.StatusCode}
	b, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
	var body struct{ Message, Cause string }
	if json.Unmarshal(b, &body) == nil && body.Message != "" {
		e.Message = body.Message
	} else if ct := res.Header.Get("Content-Type"); strings.Contains(ct, "html") {
		e.page = true
		e.Message = http.StatusText(res.StatusCode) + " (a web page, not an engine's answer)"
	} else {
		e.Message = strings.TrimSpace(string(b))
	}
	if e.Message == "" {
		e.Message = http.StatusText(res.StatusCode)
	}
	if len(e.Message) > maxErrorText {
		e.Message = strings.ToValidUTF8(e.Message[:maxErrorText], "") + "…"
	}
	e.Message = strings.ToValidUTF8(e.Message, "?")
	return e
}

// NotFound reports an engine's 404 for what the path names. That of a proxy
// says nothing about what the engine has.
func (e *StatusError) NotFound() bool {
	gone := e.Status == http.StatusNotFound ||
		// Podman's, for a container that is being removed.
		e.Status == http.StatusInternalServerError && strings.Contains(strings.ToLower(e.Message), "no such container")
	return gone && !e.page && !e.NoSuchExec()
}

// NoSuchExec reports that an exec is not known (any more). Docker says 404 "No
// such exec instance: X", Podman 404 or 500 "no such exec session". Its
// container may well be there: Podman 4.3 loses execs that run at once with
// many others.
func (e *StatusError) NoSuchExec() bool {
	return (e.Status == http.StatusNotFound || e.Status == http.StatusInternalServerError) &&
		strings.Contains(strings.ToLower(e.Message), "no such exec")
}

// NotRunning reports that the container is there and does not run. Docker
// says 409; Podman says 500 and only the message tells ("container state
// improper", "can only create exec sessions on running containers").
func (e *StatusError) NotRunning() bool {
	m := strings.ToLower(e.Message)
	switch e.Status {
	case http.StatusConflict:
		return strings.Contains(m, "not running") || strings.Contains(m, "is paused") ||
			strings.Contains(m, "state improper") || strings.Contains(m, "is restarting")
	case http.StatusInternalServerError:
		return strings.Contains(m, "container state improper") ||
			strings.Contains(m, "on running containers") ||
			strings.Contains(m, "is not running")
	}
	return false
}

// NoSuchImage reports that an image is missing. Docker says 404 "No such
// image: X"; Podman 404 "no such image", or 500 "image not known" when it
// fails while creating a container.
func (e *StatusError) NoSuchImage() bool {
	m := strings.ToLower(e.Message)
	named := strings.Contains(m, "no such image") || strings.Contains(m, "image not known") ||
		strings.Contains(m, "does not resolve to an image")
	return named && (e.Status == http.StatusNotFound || e.Status == http.StatusInternalServerError)
}

// Conflict reports that a name is taken. Docker says 409; Podman 500 or 409
// with "name ... is already in use".
func (e *StatusError) Conflict() bool {
	m := strings.ToLower(e.Message)
	return strings.Contains(m, "already in use") &&
		(e.Status == http.StatusConflict || e.Status == http.StatusInternalServerError)
}
