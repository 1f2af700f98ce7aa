package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// An Attempt is one place where an engine was looked for.
type Attempt struct {
	Source string // what named it: "DOCKER_HOST", "rootful Podman"
	Path   string // the socket
	Err    error  // why it did not serve
}

// A DiscoverError says that no engine answered, and why each candidate did not.
type DiscoverError struct{ Tried []Attempt }

func (e *DiscoverError) Error() string {
	var b strings.Builder
	b.WriteString("no container engine answers; tried")
	for _, a := range e.Tried {
		fmt.Fprintf(&b, "\n  %s", a.Source)
		if a.Path != "" {
			fmt.Fprintf(&b, " (%s)", a.Path)
		}
		fmt.Fprintf(&b, ": %v", a.Err)
	}
	b.WriteString("\ninstall or start Podman or Docker, or name a socket in POCKETDOCK_SOCKET")
	return b.String()
}

// Unwrap gives the reasons, one of which may be that the context ended.
func (e *DiscoverError) Unwrap() []error {
	var errs []error
	for _, a := range e.Tried {
		errs = append(errs, a.Err)
	}
	return errs
}

// A candidate is a socket that may be an engine's.
type candidate struct {
	source, path string
	err          error // why it cannot be tried
	named        bool  // the user named it: nothing else is tried after it
	shared       bool  // it is named for all tools: not for another kind of engine
}

// host is what discovery reads of the machine; tests replace it.
type host struct {
	getenv func(string) string
	goos   string
	home   string
	uid    int
}

func thisHost() host {
	home, _ := os.UserHomeDir()
	return host{getenv: os.Getenv, goos: runtime.GOOS, home: home, uid: os.Getuid()}
}

// Discover finds the engine: explicit if not empty; then what the environment
// names (POCKETDOCK_SOCKET, CONTAINER_HOST, DOCKER_HOST, the current docker
// context); then the usual sockets. What the user named is the only one tried.
// Where a podman command exists and nothing answers, its service is started.
//
// If that fails, too, and this program has an engine in itself, that is it.
//
// With a kind, "docker", "podman" or "embedded", another engine does not serve, and what
// is named for other tools, too (all but explicit and POCKETDOCK_SOCKET), is
// not the only one tried.
func Discover(ctx context.Context, explicit, kind string) (*Engine, error) {
	return discover(ctx, explicit, kind, thisHost(), startPodman)
}

func discover(ctx context.Context, explicit, kind string, h host, start func(context.Context, host) (string, error)) (*Engine, error) {
	var tried []Attempt
	for _, c := range candidates(explicit, kind, h) {
		e, err := c.open(ctx, kind)
		if err == nil {
			return e, nil
		}
		tried = append(tried, Attempt{c.source, c.path, reason(err)})
		if ctx.Err() != nil || c.named && (kind == "" || !c.shared) {
			return nil, &DiscoverError{tried}
		}
	}
	if kind == "docker" || kind == EmbeddedName {
		return nil, &DiscoverError{tried}
	}
	path, err := start(ctx, h)
	if err == nil {
		var e *Engine
		if e, err = Open(ctx, path); err == nil {
			return e, nil
		}
	}
	tried = append(tried, Attempt{"starting Podman's service", path, reason(err)})
	if kind != "" || ctx.Err() != nil {
		return nil, &DiscoverError{tried}
	}
	own := embeddedCandidate()
	e, err := own.open(ctx, kind)
	if err == nil {
		return e, nil
	}
	return nil, &DiscoverError{append(tried, Attempt{own.source, own.path, reason(err)})}
}

// embeddedCandidate is the engine in this program, the last to be tried.
func embeddedCandidate() candidate {
	path, err := embeddedPath()
	return candidate{source: "the embedded engine", path: path, err: err, named: true}
}

// open tries the candidate.
func (c candidate) open(ctx context.Context, kind string) (*Engine, error) {
	if c.err != nil {
		return nil, c.err
	}
	e, err := Open(ctx, c.path)
	if err == nil && kind != "" && e.Name != kind {
		return nil, fmt.Errorf("that is %s, and %s was asked for", e.Name, kind)
	}
	return e, err
}

// candidates lists the sockets to try, in order, each once.
func candidates(explicit, kind string, h host) []candidate {
	if explicit != "" {
		return []candidate{named("socket option", explicit)}
	}
	if v := h.getenv("POCKETDOCK_SOCKET"); v != "" {
		return []candidate{named("POCKETDOCK_SOCKET", v)}
	}
	if kind == EmbeddedName {
		return []candidate{embeddedCandidate()}
	}
	if c, ok := sharedName(h); ok {
		c.shared = true
		if kind == "" {
			return []candidate{c}
		}
		return append([]candidate{c}, usual(h)...)
	}
	return usual(h)
}

// sharedName is what the user named for all tools.
func sharedName(h host) (candidate, bool) {
	for _, env := range []string{"CONTAINER_HOST", "DOCKER_HOST"} {
		if v := h.getenv(env); v != "" {
			return named(env, v), true
		}
	}
	return dockerContext(h)
}

// usual lists where engines listen unless they are told otherwise.
func usual(h host) []candidate {
	var list []candidate
	seen := map[string]bool{}
	add := func(source string, path ...string) {
		p := filepath.Join(path...)
		if path[0] != "" && !seen[p] {
			seen[p] = true
			list = append(list, candidate{source: source, path: p})
		}
	}
	xdg := h.getenv("XDG_RUNTIME_DIR")
	if xdg == "" && h.goos == "linux" && h.uid != 0 {
		xdg = fmt.Sprintf("/run/user/%d", h.uid)
	}
	if h.goos == "linux" && h.uid != 0 || xdg != "" {
		add("rootless Podman", xdg, "podman/podman.sock")
	}
	add("rootful Podman", "/run/podman/podman.sock")
	add("Docker", "/var/run/docker.sock")
	add("rootless Docker", xdg, "docker.sock")
	if h.goos == "darwin" && h.home != "" {
		add("Podman machine", h.home, ".local/share/containers/podman/machine/podman.sock")
		if m, _ := filepath.Glob(filepath.Join(h.getenv("TMPDIR"), "podman/*-api.sock")); h.getenv("TMPDIR") != "" {
			for _, p := range m {
				add("Podman machine", p)
			}
		}
		add("Docker Desktop", h.home, ".docker/run/docker.sock")
		add("Colima", h.home, ".colima/default/docker.sock")
		if m, _ := filepath.Glob(filepath.Join(h.home, ".colima/*/docker.sock")); len(m) > 0 {
			for _, p := range m {
				add("Colima", p)
			}
		}
		add("OrbStack", h.home, ".orbstack/run/docker.sock")
	}
	return list
}

// named is a candidate from an address that the user gave.
func named(source, address string) candidate {
	path, err := SocketPath(address)
	return candidate{source: source, path: path, err: err, named: true}
}

// SocketPath takes a path, a unix:// address, or a path of the embedded engine.
func SocketPath(address string) (string, error) {
	if IsEmbedded(address) {
		return address, nil
	}
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		scheme, rest = "unix", address
	}
	if scheme != "unix" {
		return address, fmt.Errorf("%s:// addresses are not supported, only Unix sockets; forward it to one with: ssh -L /tmp/engine.sock:/run/docker.sock HOST", scheme)
	}
	if rest == "" || strings.ContainsRune(rest, 0) {
		return address, errors.New("not a path of a Unix socket")
	}
	return rest, nil
}

// dockerContext reads the current context of the docker command: its name in
// ~/.docker/config.json, its endpoint in the context store, whose folders are
// named by the SHA-256 of the context's name.
func dockerContext(h host) (candidate, bool) {
	dir := h.getenv("DOCKER_CONFIG")
	if dir == "" {
		if h.home == "" {
			return candidate{}, false
		}
		dir = filepath.Join(h.home, ".docker")
	}
	name := h.getenv("DOCKER_CONTEXT")
	if name == "" {
		var config struct{ CurrentContext string }
		if readJSON(filepath.Join(dir, "config.json"), &config) != nil {
			return candidate{}, false
		}
		name = config.CurrentContext
	}
	if name == "" || name == "default" {
		return candidate{}, false
	}
	source := fmt.Sprintf("docker context %q", name)
	sum := sha256.Sum256([]byte(name))
	var meta struct {
		Endpoints map[string]struct{ Host string }
	}
	path := filepath.Join(dir, "contexts/meta", hex.EncodeToString(sum[:]), "meta.json")
	if err := readJSON(path, &meta); err != nil {
		return candidate{source: source, err: err, named: true}, true
	}
	return named(source, meta.Endpoints["docker"].Host), true
}

// readJSON decodes a small file.
func readJSON(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 1<<20)
	n, _ := f.Read(b)
	if err := json.Unmarshal(b[:n], v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// reason shortens the usual errors to what a user can act on.
func reason(err error) error {
	if te, ok := errors.AsType[*TransportError](err); ok {
		err = te.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("no such socket")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("permission denied: you may not use this socket (for Docker: join the group docker)")
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused: nothing listens there (a service that has ended?)")
	}
	return err
}
