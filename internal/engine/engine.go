// Package engine speaks HTTP/1.1 to a container engine over its Unix socket:
// one connection per request, upgraded streams, typed and bounded errors, and
// finding the engine in the first place. It knows the Engine API's manners,
// not its objects.
package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The API versions this library speaks. Older engines are refused; newer ones
// are asked for the oldest version they still serve, because that is what the
// tests run against.
const (
	MinAPI = "1.41"
	MaxAPI = "1.52"
)

// maxJSON bounds the body of an answer that is decoded as one value. The
// largest seen is a list of containers: 10,000 of them are below 20 MB.
const maxJSON = 64 << 20

// An Engine is one engine's socket. It is safe for concurrent use.
type Engine struct {
	Path string // of the Unix socket, or see EmbeddedName
	// Name is "docker", "podman" or "embedded", Version its own version, API the version
	// of the Engine API in use.
	Name    string
	Version string
	API     string

	client *http.Client
}

// newEngine makes an engine that has not been asked anything.
func newEngine(path string) *Engine {
	return &Engine{Path: path, client: &http.Client{CheckRedirect: noRedirect, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dial(ctx, path)
			if s, ok := ctx.Value(sourceKey{}).(*source); ok && err == nil {
				return &sourceConn{conn, s}, nil
			}
			return conn, err
		},
		DisableKeepAlives:      true, // one connection per operation
		DisableCompression:     true,
		MaxResponseHeaderBytes: 256 << 10,
	}}}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// probeTimeout is how long an engine may take to say that it is one. A busy
// Podman service on two cores was seen to need a second.
const probeTimeout = 5 * time.Second

// Open asks the socket at path who it is and agrees on an API version.
func Open(ctx context.Context, path string) (*Engine, error) {
	e := newEngine(path)
	ctx, cancel := context.WithTimeoutCause(ctx, probeTimeout,
		fmt.Errorf("no answer within %v", probeTimeout))
	defer cancel()
	// The answer to a ping says all that is needed, and whether the version
	// that is asked for is served: Docker refuses one that is too old or too
	// new. A /version takes far longer: Docker runs runc and docker-init to
	// ask for theirs (20 ms), Podman the system's package manager (up to 1 s).
	e.API = MinAPI
	ping, err := e.Do(ctx, "GET", "/_ping", nil, nil, "")
	e.API = ""
	if err == nil {
		ping.Body.Close()
		if v := ping.Header.Get("Libpod-Api-Version"); v != "" {
			e.Name, e.Version = "podman", v
			return e, e.agree("", ping.Header.Get("Api-Version"))
		}
		if v, ok := strings.CutPrefix(ping.Header.Get("Server"), "Docker/"); ok {
			e.Name = "docker"
			e.Version, _, _ = strings.Cut(v, " ") // of "Docker/20.10.24 (linux)"
			return e, e.agree("", ping.Header.Get("Api-Version"))
		}
	} else if _, ok := errors.AsType[*StatusError](err); !ok {
		return nil, err
	}
	v, err := e.Describe(ctx)
	if err != nil {
		return nil, err
	}
	e.Name, e.Version = "docker", v.Version
	for _, c := range v.Components {
		if strings.Contains(strings.ToLower(c.Name), "podman") {
			e.Name = "podman"
		}
	}
	if strings.HasPrefix(v.Platform.Name, "pocketdock ") {
		e.Name = EmbeddedName
	}
	return e, e.agree(v.MinAPIVersion, v.APIVersion)
}

// A Description is an engine's own.
type Description struct {
	Version, APIVersion, MinAPIVersion, Arch, KernelVersion string
	Components                                              []struct{ Name string }
	Platform                                                struct{ Name string }
}

// Describe asks the engine about itself.
func (e *Engine) Describe(ctx context.Context) (*Description, error) {
	var v Description
	return &v, e.JSON(ctx, "GET", "/version", nil, nil, &v)
}

// Rootless asks the engine whether it runs as an ordinary user. Podman takes
// seconds to answer: it asks the system's package manager about other programs.
func (e *Engine) Rootless(ctx context.Context) (bool, error) {
	var info struct {
		Rootless        bool     // Podman says it here
		SecurityOptions []string // and Docker here
	}
	err := e.JSON(ctx, "GET", "/info", nil, nil, &info)
	return info.Rootless || slices.Contains(info.SecurityOptions, "name=rootless"), err
}

// AtLeast reports whether the engine's own version is not older than one such
// as "4.3".
func (e *Engine) AtLeast(version string) bool { return compareAPI(e.Version, version) >= 0 }

// agree settles the API version with an engine that serves min to max.
func (e *Engine) agree(min, max string) error {
	api, err := negotiate(min, max)
	if err != nil {
		return fmt.Errorf("%s %s: %w", e.Name, e.Version, err)
	}
	e.API = api
	return nil
}

// negotiate picks the API version for an engine that serves min to max.
func negotiate(min, max string) (string, error) {
	switch {
	case max == "":
		return "", errors.New("it does not say which API version it serves")
	case compareAPI(max, MinAPI) < 0:
		return "", fmt.Errorf("its API version %s is older than %s: update the engine", max, MinAPI)
	case min == "" || compareAPI(min, MinAPI) <= 0:
		return MinAPI, nil
	case compareAPI(min, MaxAPI) <= 0:
		return min, nil
	}
	return "", fmt.Errorf("its oldest API version %s is newer than %s: update pocketdock", min, MaxAPI)
}

// compareAPI compares two versions such as "1.41" as numbers.
func compareAPI(a, b string) int {
	am, an := splitAPI(a)
	bm, bn := splitAPI(b)
	if am != bm {
		return am - bm
	}
	return an - bn
}

func splitAPI(v string) (major, minor int) {
	a, b, _ := strings.Cut(v, ".")
	b, _, _ = strings.Cut(b, ".")
	major, _ = strconv.Atoi(a)
	minor, _ = strconv.Atoi(b)
	return major, minor
}

// url is the address of an API path; the host's name is not used by engines.
func (e *Engine) url(path string, query url.Values) string {
	u := "http://pocketdock"
	if e.API != "" {
		u += "/v" + e.API
	}
	u += path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return u
}

// Do sends a request and returns the answer if its status is below 400; the
// caller closes its body. An error status is a [*StatusError]. The context
// holds until the body is closed.
func (e *Engine) Do(ctx context.Context, method, path string, query url.Values, body io.Reader, contentType string) (*http.Response, error) {
	withValue, body, src := withSource(ctx, body)
	if src != nil {
		stop := context.AfterFunc(ctx, func() { src.pipe.Close() })
		defer stop()
	}
	req, err := http.NewRequestWithContext(withValue, method, e.url(path, query), body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := e.client.Do(req)
	if err != nil {
		src.settle()
		if err := src.failure(); err != nil && ctx.Err() == nil {
			return nil, fmt.Errorf("reading what is to be sent: %w", err)
		}
		return nil, e.transportError(ctx, method, path, err)
	}
	// An engine answers itself: what redirects is something else.
	if res.StatusCode >= 300 && res.StatusCode != http.StatusNotModified {
		defer res.Body.Close()
		err := e.refusal(ctx, method, path, res)
		src.settle() // not before: the connection ends with it
		return nil, err
	}
	return res, nil
}

// refusal is the error of an answer with an error status, or the context's
// end while it was read.
func (e *Engine) refusal(ctx context.Context, method, path string, res *http.Response) error {
	if res.StatusCode < 400 {
		return e.transportError(ctx, method, path, errors.New("not an engine's answer: "+res.Status))
	}
	se := statusError(method, path, res)
	if ctx.Err() != nil {
		return e.transportError(ctx, method, path, ctx.Err())
	}
	return se
}

// JSON sends in (nothing if nil) and decodes the answer into out (unless nil).
func (e *Engine) JSON(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body io.Reader
	contentType := ""
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body, contentType = bytes.NewReader(b), "application/json"
	}
	res, err := e.Do(ctx, method, path, query, body, contentType)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		_, err := io.CopyN(io.Discard, res.Body, maxJSON)
		if err != nil && err != io.EOF {
			return e.transportError(ctx, method, path, err)
		}
		return nil
	}
	lr := &io.LimitedReader{R: res.Body, N: maxJSON + 1}
	if err := json.NewDecoder(lr).Decode(out); err != nil {
		if lr.N <= 0 {
			err = fmt.Errorf("the answer is larger than %d bytes", maxJSON)
		}
		return e.transportError(ctx, method, path, fmt.Errorf("reading the answer: %w", err))
	}
	return nil
}

// A TransportError is a failure to talk: no connection, a broken one, or an
// answer that is not the API's.
type TransportError struct {
	Socket string
	Method string
	Path   string
	Err    error
	Ended  bool // the context ended; Err is its cause
}

func (e *TransportError) Error() string {
	return fmt.Sprintf("%s %s on %s: %v", e.Method, e.Path, e.Socket, e.Err)
}

func (e *TransportError) Unwrap() error { return e.Err }

// transportError wraps err once, with the context's cause in place of its
// symptom.
func (e *Engine) transportError(ctx context.Context, method, path string, err error) error {
	if ctx.Err() != nil {
		return &TransportError{Socket: e.Path, Method: method, Path: path, Err: context.Cause(ctx), Ended: true}
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	return &TransportError{Socket: e.Path, Method: method, Path: path, Err: err}
}
