// Package fakeengine is a container engine for tests: a real HTTP server on a
// real Unix socket that answers like Docker 20.10 (API 1.41) or Podman 4.3, as
// far as the library asks, with containers that live in memory and programs
// that are Go functions. Each route can be made to fail.
package fakeengine

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// An Engine is a running server.
type Engine struct {
	// Podman says that it answers like Podman 4.3.1 and not Docker 20.10.24.
	Podman bool

	socket string
	server *http.Server
	routes []route
	closed chan struct{}
	wg     sync.WaitGroup

	mu         sync.Mutex
	faults     map[string]Fault
	requests   []string
	open       map[net.Conn]struct{}
	containers map[string]*Container
	images     map[string]*Image
	execs      map[string]*execution
	programs   map[string]Program
	exitDelay  int
	pid        int
	serial     int
}

// A Fault stands before a route. It answers itself, or has next answer.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

type route struct {
	name   string // "POST /exec/{id}/start"
	path   *regexp.Regexp
	method string
	serve  func(w http.ResponseWriter, r *http.Request, args []string)
}

// Start starts an engine, and ends it with the test.
func Start(t testing.TB, podman bool) *Engine {
	t.Helper()
	// Not t.TempDir: a socket's path has at most 107 bytes.
	dir, err := os.MkdirTemp("", "pd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	e := &Engine{
		Podman: podman, programs: basicPrograms(), socket: filepath.Join(dir, "e.sock"), closed: make(chan struct{}),
		faults: map[string]Fault{}, open: map[net.Conn]struct{}{},
		containers: map[string]*Container{}, images: map[string]*Image{}, execs: map[string]*execution{},
	}
	e.addRoutes()
	l, err := net.Listen("unix", e.socket)
	if err != nil {
		t.Fatal(err)
	}
	e.server = &http.Server{Handler: e}
	e.wg.Go(func() { e.server.Serve(&listener{l, e}) })
	t.Cleanup(e.close)
	return e
}

// Socket is the path of the engine's socket.
func (e *Engine) Socket() string { return e.socket }

// close ends every request and waits for them.
func (e *Engine) close() {
	close(e.closed)
	e.server.Close()
	e.mu.Lock()
	open := maps.Clone(e.open)
	e.mu.Unlock()
	for c := range open { // the hijacked ones are not the server's any more
		c.Close()
	}
	e.wg.Wait()
}

// Fault puts a fault before a route, named as in addRoutes; nil takes it away.
func (e *Engine) Fault(name string, f Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.routes {
		if r.name == name {
			e.faults[name] = f
			return
		}
	}
	panic("fakeengine: no route " + name)
}

// Requests are the names of the routes that were asked so far.
func (e *Engine) Requests() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.requests...)
}

// Connections is how many connections are open on the engine's side.
func (e *Engine) Connections() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.open)
}

func (e *Engine) addRoutes() {
	add := func(name string, serve func(http.ResponseWriter, *http.Request, []string)) {
		method, path, _ := strings.Cut(name, " ")
		path = strings.NewReplacer("{id}", "([^/]+)", "{name}", "(.+)").Replace(path)
		e.routes = append(e.routes, route{name, regexp.MustCompile("^" + path + "$"), method, serve})
	}
	add("GET /version", e.version)
	add("GET /info", e.info)
	add("GET /libpod/info", e.podmanInfo)
	add("GET /containers/json", e.list)
	add("POST /containers/create", e.create)
	add("GET /containers/{id}/json", e.inspect)
	add("POST /containers/{id}/start", e.start)
	add("POST /containers/{id}/stop", e.stop)
	add("POST /containers/{id}/rename", e.rename)
	add("DELETE /containers/{id}", e.remove)
	add("POST /containers/{id}/exec", e.execCreate)
	add("POST /exec/{id}/start", e.execStart)
	add("GET /exec/{id}/json", e.execInspect)
	add("POST /exec/{id}/resize", e.execResize)
	add("HEAD /containers/{id}/archive", e.archiveStat)
	add("GET /containers/{id}/archive", e.archiveGet)
	add("PUT /containers/{id}/archive", e.archivePut)
	add("POST /commit", e.commit)
	add("POST /build", e.build)
	add("POST /images/load", e.load)
	add("GET /images/get", e.save)
	add("GET /images/{name}/json", e.inspectImage)
	add("POST /images/{name}/tag", e.tag)
	add("DELETE /images/{name}", e.removeImage)
}

var versionPrefix = regexp.MustCompile(`^/v[0-9.]+/`)

// ServeHTTP finds the route, with or without an API version in front.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.wg.Add(1)
	defer e.wg.Done()
	path := r.URL.Path
	if v := versionPrefix.FindString(path); v != "" {
		path = path[len(v)-1:]
	}
	for _, rt := range e.routes {
		args := rt.path.FindStringSubmatch(path)
		if rt.method != r.Method || args == nil {
			continue
		}
		e.mu.Lock()
		e.requests = append(e.requests, rt.name)
		fault := e.faults[rt.name]
		e.mu.Unlock()
		next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { rt.serve(w, r, args[1:]) })
		if fault != nil {
			fault(w, r, next)
		} else {
			next(w, r)
		}
		return
	}
	e.fail(w, http.StatusNotFound, "page not found")
}

func (e *Engine) version(w http.ResponseWriter, _ *http.Request, _ []string) {
	v := map[string]any{"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Arch": "amd64", "KernelVersion": "6.1.0",
		"Components": []any{map[string]any{"Name": "Engine"}}}
	if e.Podman {
		v = map[string]any{"Version": "4.3.1", "ApiVersion": "1.41", "MinAPIVersion": "1.24", "Arch": "amd64", "KernelVersion": "6.1.0",
			"Components": []any{map[string]any{"Name": "Podman Engine"}}}
	}
	answer(w, http.StatusOK, v)
}

func (e *Engine) info(w http.ResponseWriter, _ *http.Request, _ []string) {
	answer(w, http.StatusOK, map[string]any{"OperatingSystem": "Fake Linux", "NCPU": 2, "MemTotal": 8 << 30,
		"CgroupDriver": "systemd", "CgroupVersion": "2", "MemoryLimit": true, "PidsLimit": true, "CpuCfsQuota": true,
		"Driver": "overlay2", "DockerRootDir": "/var/lib/docker", "SecurityOptions": []string{"name=seccomp,profile=builtin"},
		"Runtimes": map[string]any{"runc": map[string]any{"path": "runc"}}, "DefaultRuntime": "runc"})
}

func (e *Engine) podmanInfo(w http.ResponseWriter, _ *http.Request, _ []string) {
	if !e.Podman {
		e.fail(w, http.StatusNotFound, "page not found")
		return
	}
	answer(w, http.StatusOK, map[string]any{"host": map[string]any{"cgroupVersion": "v2", "cgroupControllers": []string{"cpu", "memory", "pids"},
		"idMappings": map[string]any{"uidmap": []any{map[string]any{"size": 1}, map[string]any{"size": 65536}}},
		"security":   map[string]any{"rootless": true, "seccompEnabled": true, "seccompProfilePath": "/usr/share/containers/seccomp.json"}}})
}

// fail answers with an error as the engine words it.
func (e *Engine) fail(w http.ResponseWriter, status int, message string) {
	if e.Podman {
		cause := message[strings.LastIndex(message, ": ")+1:]
		answer(w, status, map[string]any{"cause": strings.TrimSpace(cause), "message": message, "response": status})
		return
	}
	answer(w, status, map[string]any{"message": message})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// listener counts the connections that are open.
type listener struct {
	net.Listener
	e *Engine
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	cc := &countedConn{c.(*net.UnixConn), l.e}
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	l.e.open[cc] = struct{}{}
	return cc, nil
}

type countedConn struct {
	*net.UnixConn
	e *Engine
}

func (c *countedConn) Close() error {
	c.e.mu.Lock()
	delete(c.e.open, c)
	c.e.mu.Unlock()
	return c.UnixConn.Close()
}
