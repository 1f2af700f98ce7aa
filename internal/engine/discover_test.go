package engine

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// fakeHost is a machine with this environment and nothing else.
func fakeHost(t *testing.T, goos string, uid int, env map[string]string) host {
	return host{getenv: func(k string) string { return env[k] }, goos: goos, home: t.TempDir(), uid: uid}
}

// writeFile makes a file and its directories.
func writeFile(t *testing.T, text string, path ...string) {
	t.Helper()
	p := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// dockerContextFiles makes a docker context and makes it the current one.
func dockerContextFiles(t *testing.T, dir, name, endpoint string) {
	config, _ := json.Marshal(map[string]string{"currentContext": name})
	writeFile(t, string(config), dir, "config.json")
	sum := sha256.Sum256([]byte(name))
	meta, _ := json.Marshal(map[string]any{"Name": name, "Endpoints": map[string]any{"docker": map[string]any{"Host": endpoint}}})
	writeFile(t, string(meta), dir, "contexts/meta", hex.EncodeToString(sum[:]), "meta.json")
}

func paths(list []candidate) []string {
	var p []string
	for _, c := range list {
		p = append(p, c.path)
	}
	return p
}

func TestUsualSockets(t *testing.T) {
	for _, tt := range []struct {
		name string
		goos string
		uid  int
		env  map[string]string
		want []string
	}{
		{"root", "linux", 0, nil, []string{"/run/podman/podman.sock", "/var/run/docker.sock"}},
		{"a user", "linux", 1000, nil, []string{"/run/user/1000/podman/podman.sock", "/run/podman/podman.sock",
			"/var/run/docker.sock", "/run/user/1000/docker.sock"}},
		{"a user with a runtime directory", "linux", 1000, map[string]string{"XDG_RUNTIME_DIR": "/x"},
			[]string{"/x/podman/podman.sock", "/run/podman/podman.sock", "/var/run/docker.sock", "/x/docker.sock"}},
		{"each once", "linux", 0, map[string]string{"XDG_RUNTIME_DIR": "/run"},
			[]string{"/run/podman/podman.sock", "/var/run/docker.sock", "/run/docker.sock"}},
	} {
		list := candidates("", "", fakeHost(t, tt.goos, tt.uid, tt.env))
		if got := paths(list); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		for _, c := range list {
			if c.named || c.err != nil || c.source == "" {
				t.Errorf("%s: %+v", tt.name, c)
			}
		}
	}
}

func TestUsualSocketsOfMacOS(t *testing.T) {
	h := fakeHost(t, "darwin", 501, nil)
	writeFile(t, "", h.home, ".colima/work/docker.sock")
	want := []string{"/run/podman/podman.sock", "/var/run/docker.sock",
		h.home + "/.local/share/containers/podman/machine/podman.sock", h.home + "/.docker/run/docker.sock",
		h.home + "/.colima/default/docker.sock", h.home + "/.colima/work/docker.sock", h.home + "/.orbstack/run/docker.sock"}
	if got := paths(candidates("", "", h)); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestNamedSocket: what the user named is the only one tried, the most
// particular name first.
func TestNamedSocket(t *testing.T) {
	env := map[string]string{"POCKETDOCK_SOCKET": "/env/pocketdock", "CONTAINER_HOST": "unix:///env/podman",
		"DOCKER_HOST": "unix:///env/docker", "DOCKER_CONTEXT": "desk"}
	h := fakeHost(t, "linux", 0, env)
	dockerContextFiles(t, h.home+"/.docker", "desk", "unix:///context/docker")
	check := func(explicit, source, path string) {
		t.Helper()
		list := candidates(explicit, "", h)
		if len(list) != 1 || list[0].path != path || !strings.Contains(list[0].source, source) || !list[0].named {
			t.Errorf("%+v, want only %s from %s", list, path, source)
		}
	}
	check("/option", "socket option", "/option")
	check("unix:///option", "socket option", "/option")
	check("", "POCKETDOCK_SOCKET", "/env/pocketdock")
	delete(env, "POCKETDOCK_SOCKET")
	check("", "CONTAINER_HOST", "/env/podman")
	delete(env, "CONTAINER_HOST")
	check("", "DOCKER_HOST", "/env/docker")
	delete(env, "DOCKER_HOST")
	check("", `docker context "desk"`, "/context/docker")
	delete(env, "DOCKER_CONTEXT")
	check("", `docker context "desk"`, "/context/docker") // config.json says so, too
	env["DOCKER_CONTEXT"] = "default"
	if got := candidates("", "", h); len(got) < 2 || got[0].named {
		t.Errorf("the context named default is none: %+v", got)
	}
}

func TestDockerContextElsewhere(t *testing.T) {
	env := map[string]string{"DOCKER_CONFIG": t.TempDir()}
	h := fakeHost(t, "linux", 0, env)
	dockerContextFiles(t, env["DOCKER_CONFIG"], "far", "tcp://far:2375")
	list := candidates("", "", h)
	if len(list) != 1 || list[0].err == nil || !strings.Contains(list[0].err.Error(), "tcp") {
		t.Errorf("%+v, want one candidate that cannot be tried", list)
	}
	env["DOCKER_CONTEXT"] = "missing"
	list = candidates("", "", h)
	if len(list) != 1 || !errors.Is(list[0].err, fs.ErrNotExist) || !strings.Contains(list[0].source, "missing") {
		t.Errorf("%+v, want the missing context named", list)
	}
	writeFile(t, "{", env["DOCKER_CONFIG"], "config.json")
	delete(env, "DOCKER_CONTEXT")
	if list := candidates("", "", h); len(list) < 2 {
		t.Errorf("an unreadable config.json: %+v", list)
	}
}

func TestSocketPath(t *testing.T) {
	for _, tt := range []struct {
		address, want string
		ok            bool
	}{
		{"/run/x.sock", "/run/x.sock", true},
		{"unix:///run/x.sock", "/run/x.sock", true},
		{"x.sock", "x.sock", true},
		{"unix://", "", false},
		{"", "", false},
		{"/run/x\x00y", "", false},
		{"tcp://127.0.0.1:2375", "", false},
		{"ssh://root@host/run/podman/podman.sock", "", false},
		{"npipe:////./pipe/docker_engine", "", false},
	} {
		got, err := SocketPath(tt.address)
		if (err == nil) != tt.ok || tt.ok && got != tt.want {
			t.Errorf("%q: %q, %v", tt.address, got, err)
		}
	}
	if _, err := SocketPath("ssh://host"); !strings.Contains(err.Error(), "ssh -L") {
		t.Errorf("%v does not say what to do instead", err)
	}
}

// TestEveryReason: where nothing serves, the error says of each place why not.
func TestEveryReason(t *testing.T) {
	dir, err := os.MkdirTemp("", "pd-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	// A socket that nothing listens on any more, one that answers nonsense.
	dead := listen(t, filepath.Join(dir, "docker.sock"))
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	os.Mkdir(filepath.Join(dir, "podman"), 0o755)
	noise := listen(t, filepath.Join(dir, "podman/podman.sock"))
	defer noise.Close()
	go func() {
		for {
			c, err := noise.Accept()
			if err != nil {
				return
			}
			http.ReadRequest(bufio.NewReader(c))
			c.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n"))
			c.Close()
		}
	}()
	h := fakeHost(t, "linux", 1000, map[string]string{"XDG_RUNTIME_DIR": dir})
	list := candidates("", "", h)
	var tried []Attempt
	for _, c := range list {
		if !strings.HasPrefix(c.path, dir) {
			continue // this machine may have an engine
		}
		_, err := Open(t.Context(), c.path)
		if err == nil {
			t.Fatalf("%s is taken for an engine", c.path)
		}
		tried = append(tried, Attempt{c.source, c.path, reason(err)})
	}
	text := (&DiscoverError{tried}).Error()
	for _, want := range []string{"rootless Podman", dir + "/podman/podman.sock", "malformed HTTP",
		"rootless Docker", dir + "/docker.sock", "nothing listens there", "POCKETDOCK_SOCKET"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}

func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestNamedIsTheOnlyOne: a mistake in what the user named must not lead to
// another engine, nor start one.
func TestNamedIsTheOnlyOne(t *testing.T) {
	h := fakeHost(t, "linux", 0, map[string]string{"DOCKER_HOST": "unix://" + t.TempDir() + "/none.sock"})
	started := false
	_, err := discover(t.Context(), "", "", h, func(context.Context, host) (string, error) {
		started = true
		return "", errors.New("x")
	})
	de, ok := errors.AsType[*DiscoverError](err)
	if !ok || len(de.Tried) != 1 || de.Tried[0].Source != "DOCKER_HOST" || started {
		t.Errorf("%v, Podman started: %v", err, started)
	}
	if !strings.Contains(err.Error(), "no such socket") {
		t.Errorf("%v does not say why", err)
	}
}

func TestCancelledSearchStops(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	cancel(stop)
	_, err := discover(ctx, "", "", fakeHost(t, "linux", 1000, nil), func(context.Context, host) (string, error) {
		t.Error("a cancelled search starts an engine")
		return "", nil
	})
	de, ok := errors.AsType[*DiscoverError](err)
	if !ok || len(de.Tried) != 1 || !errors.Is(de.Tried[0].Err, stop) {
		t.Errorf("%v, want one attempt that ended for the context's cause", err)
	}
	if !errors.Is(err, stop) {
		t.Errorf("%v is not the context's cause", err)
	}
}

func TestReason(t *testing.T) {
	wrap := func(err error) error {
		return &TransportError{Socket: "/s", Method: "GET", Path: "/version", Err: fmt.Errorf("dial: %w", err)}
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{wrap(syscall.ENOENT), "no such socket"},
		{wrap(syscall.EACCES), "permission denied"},
		{wrap(syscall.ECONNREFUSED), "connection refused"},
		{wrap(errors.New("odd")), "dial: odd"},
		{errors.New("docker 1.0: too old"), "docker 1.0: too old"},
	} {
		if got := reason(tt.err).Error(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
}

// TestKindOfEngine: another kind of engine does not serve, and is passed by
// unless the user named it for this program alone.
func TestKindOfEngine(t *testing.T) {
	dir, err := os.MkdirTemp("", "pd-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	podman := filepath.Join(dir, "podman.sock")
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Libpod-Api-Version", "4.3.1")
		w.Header().Set("Api-Version", "1.41")
	})}
	go srv.Serve(listen(t, podman))
	defer srv.Close()
	start := func(context.Context, host) (string, error) { return podman, nil }
	for _, tt := range []struct {
		name, explicit, kind string
		env                  map[string]string
		ok                   bool
	}{
		{"the kind that answers", podman, "podman", nil, true},
		{"another kind", podman, "docker", nil, false},
		{"another kind, named for us", "", "docker", map[string]string{"POCKETDOCK_SOCKET": podman}, false},
		{"named for all, and wrong", "", "podman", map[string]string{"DOCKER_HOST": dir + "/none.sock"}, true},
	} {
		e, err := discover(t.Context(), tt.explicit, tt.kind, fakeHost(t, "linux", 0, tt.env), start)
		switch {
		case (err == nil) != tt.ok:
			t.Errorf("%s: %v", tt.name, err)
		case tt.ok && e.Name != tt.kind:
			t.Errorf("%s: found %s", tt.name, e.Name)
		case !tt.ok && !strings.Contains(err.Error(), "docker was asked for"):
			t.Errorf("%s: %v does not say why", tt.name, err)
		}
	}
}
