package mcp

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pocketdock/pocketdock"
)

// HTTPOptions of [Server.ServeHTTP]. The zero value is for a listener on the
// loopback interface, which every user of this machine can reach.
type HTTPOptions struct {
	// Token that clients have to present, as "Authorization: Bearer TOKEN".
	// Empty: none, which only a listener on the loopback interface may have.
	// At least 16 bytes.
	Token string
	// SessionTimeout ends a session that has no request, and no stream of
	// events, open for so long. 0: ten minutes.
	SessionTimeout time.Duration
	// MaxSessions at a time. 0: 64.
	MaxSessions int
}

const (
	defaultSessionTimeout = 10 * time.Minute
	defaultSessions       = 64
	minToken              = 16 // bytes
	// readHeader bounds how long a client takes for the head of a request.
	readHeader = 10 * time.Second
	maxHeader  = 64 << 10 // bytes
	// idleConnection is how long a connection without a request is kept.
	idleConnection = 2 * time.Minute
)

// HTTPPath is where the protocol is served.
const HTTPPath = "/mcp"

const sessionHeader = "Mcp-Session-Id"

// ServeHTTP serves clients over streamable HTTP, at [HTTPPath], until ctx ends,
// and then ends their sessions. A session has sandboxes of its own. It closes
// the listener.
//
// A browser's requests are refused unless they come from this server's own
// origin, as are those whose Host header is not of the loopback interface when
// they arrive there: so no web page reaches a server on its visitor's machine.
func (s *Server) ServeHTTP(ctx context.Context, l net.Listener, o HTTPOptions) error {
	defer l.Close()
	h, err := s.handler(l.Addr(), o)
	if err != nil {
		return err
	}
	idle, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go h.endIdle(idle)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: readHeader, IdleTimeout: idleConnection, MaxHeaderBytes: maxHeader}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	// Sessions first: their streams of events would keep the server open.
	for ss := range s.inner.Sessions() {
		s.stop(ss)
	}
	err = errors.Join(err, srv.Close())
	s.watchers.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// An httpHandler is what stands before the protocol.
type httpHandler struct {
	srv   *Server
	inner http.Handler
	o     HTTPOptions
	token [sha256.Size]byte
	seats *seats
}

func (s *Server) handler(addr net.Addr, o HTTPOptions) (*httpHandler, error) {
	o.SessionTimeout = cmp.Or(o.SessionTimeout, defaultSessionTimeout)
	o.MaxSessions = cmp.Or(o.MaxSessions, defaultSessions)
	switch {
	case o.SessionTimeout < 0 || o.MaxSessions < 0:
		return nil, fmt.Errorf("%w: session timeout %v, %d sessions: must not be negative", pocketdock.ErrInvalid, o.SessionTimeout, o.MaxSessions)
	case o.Token == "" && !isLoopback(addr):
		return nil, fmt.Errorf("%w: %v is not on the loopback interface: whoever reaches it could run commands here; a token is needed", pocketdock.ErrInvalid, addr)
	case o.Token != "" && len(o.Token) < minToken:
		return nil, fmt.Errorf("%w: the token has %d bytes: it needs %d at least, and random ones", pocketdock.ErrInvalid, len(o.Token), minToken)
	}
	return &httpHandler{srv: s, o: o, token: sha256.Sum256([]byte(o.Token)), seats: &seats{all: map[string]*seat{}},
		inner: sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s.inner },
			&sdk.StreamableHTTPOptions{Logger: s.opts.Log, MaxRequestBodyBytes: maxMessage})}, nil
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback() || addr.Network() == "unix"
}

func (h *httpHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !h.sameOrigin(r):
		http.Error(w, "Forbidden: this is not for web pages of another origin", http.StatusForbidden)
		return
	case !h.authorized(r):
		w.Header().Set("WWW-Authenticate", `Bearer realm="pocketdock"`)
		http.Error(w, "Unauthorized: the token is missing, or it is another", http.StatusUnauthorized)
		return
	case r.URL.Path != HTTPPath:
		http.Error(w, "Not found: the protocol is at "+HTTPPath, http.StatusNotFound)
		return
	}
	id := r.Header.Get(sessionHeader)
	if id == "" && r.Method == http.MethodPost && h.seats.count() >= h.o.MaxSessions {
		w.Header().Set("Retry-After", "60")
		http.Error(w, fmt.Sprintf("There are %d sessions, which is the limit", h.o.MaxSessions), http.StatusServiceUnavailable)
		return
	}
	if id != "" {
		if r.Method == http.MethodDelete {
			h.cut(id) // or its end would wait for what it still does
			defer h.seats.leave(id)
		}
		if h.session(id) != nil {
			h.seats.take(id) // before the answer that named it was at its end
		}
		defer h.seats.enter(id)()
		h.inner.ServeHTTP(w, r)
		return
	}
	// The answer to the first request names the session.
	h.inner.ServeHTTP(w, r)
	if id := w.Header().Get(sessionHeader); id != "" && h.session(id) != nil {
		h.seats.take(id)
	}
}

// sameOrigin: a browser says in Origin which page asks; programs say nothing.
func (h *httpHandler) sameOrigin(r *http.Request) bool {
	list := r.Header.Values("Origin")
	if len(list) == 0 {
		return true
	}
	u, err := url.Parse(list[0])
	return err == nil && len(list) == 1 && strings.EqualFold(u.Host, r.Host)
}

// authorized compares hashes, so that the time it takes tells nothing, not even
// the token's length.
func (h *httpHandler) authorized(r *http.Request) bool {
	if h.o.Token == "" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	given := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(given[:], h.token[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// session finds a connection by its ID.
func (h *httpHandler) session(id string) *sdk.ServerSession {
	for ss := range h.srv.inner.Sessions() {
		if ss.ID() == id {
			return ss
		}
	}
	return nil
}

// cut ends what a session does, and not yet the session.
func (h *httpHandler) cut(id string) {
	if ss := h.session(id); ss != nil {
		h.srv.mu.Lock()
		have := h.srv.sessions[ss]
		h.srv.mu.Unlock()
		if have != nil {
			have.finish()
		}
	}
}

// endIdle ends sessions whose client is gone, until ctx ends.
func (h *httpHandler) endIdle(ctx context.Context) {
	tick := time.NewTicker(max(h.o.SessionTimeout/10, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, id := range h.seats.idle(h.o.SessionTimeout) {
			if ss := h.session(id); ss != nil {
				h.srv.opts.Log.Info("a session ends, its client is gone", "session", id)
				h.srv.stop(ss)
			}
			h.seats.leave(id)
		}
	}
}
