//go:build linux

// Package api serves the Docker Engine API, version 1.41, for the embedded
// engine: what package pocketdock asks an engine for, and what goes with it.
// It keeps nothing but the execs that are under way.
package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/embedded/internal/container"
	"github.com/pocketdock/pocketdock/embedded/internal/imagestore"
)

// Version of the API that is served, and the engine's own.
const (
	Version       = "1.41"
	EngineVersion = "0.1.0"
)

// A Server is an http.Handler.
type Server struct {
	Store *container.Store
	// Root is the directory that it all is in.
	Root string

	mu    sync.Mutex
	execs map[string]*exec
}

// maxBody bounds a request's JSON.
const maxBody = 8 << 20

// A route is a path's pattern and who serves it. "*" stands for any text, which
// is what is served, a "/" at the end for all below, and no method for any.
type route struct {
	method, pattern string
	serve           func(*Server, http.ResponseWriter, *http.Request, string) error
}

// match tells what the pattern's "*" stands for.
func (r *route) match(method, path string) (arg string, ok bool) {
	if r.method != "" && r.method != method {
		return "", false
	}
	if all, ok := strings.CutSuffix(r.pattern, "/"); ok {
		return "", path == all || strings.HasPrefix(path, r.pattern)
	}
	before, after, wild := strings.Cut(r.pattern, "*")
	if !wild {
		return "", path == r.pattern
	}
	if len(path) <= len(before)+len(after) || !strings.HasPrefix(path, before) || !strings.HasSuffix(path, after) {
		return "", false
	}
	return path[len(before) : len(path)-len(after)], true
}

// unversioned is a path without the API's version that it may begin with.
func unversioned(path string) string {
	version, ok := strings.CutPrefix(path, "/v")
	if !ok {
		return path
	}
	if rest := strings.TrimLeft(version, "0123456789."); len(rest) < len(version) && strings.HasPrefix(rest, "/") {
		return rest
	}
	return path
}

// routes, of which the first that matches serves.
var routes = [...]route{
	{"GET", "/_ping", (*Server).ping},
	{"HEAD", "/_ping", (*Server).ping},
	{"GET", "/version", (*Server).version},
	{"GET", "/info", (*Server).info},
	{"POST", "/containers/create", (*Server).create},
	{"POST", "/containers/expect", (*Server).expect},
	{"GET", "/containers/json", (*Server).list},
	{"GET", "/containers/*/json", (*Server).inspect},
	{"POST", "/containers/*/start", (*Server).start},
	{"POST", "/containers/*/stop", (*Server).stop},
	{"POST", "/containers/*/restart", (*Server).restart},
	{"POST", "/containers/*/kill", (*Server).kill},
	{"POST", "/containers/*/wait", (*Server).wait},
	{"POST", "/containers/*/pause", (*Server).pause},
	{"POST", "/containers/*/unpause", (*Server).unpause},
	{"POST", "/containers/*/rename", (*Server).rename},
	{"GET", "/containers/*/logs", (*Server).logs},
	{"GET", "/containers/*/top", (*Server).top},
	{"GET", "/containers/*/stats", (*Server).stats},
	{"POST", "/containers/*/attach", (*Server).attach},
	{"POST", "/containers/*/resize", (*Server).resize},
	{"POST", "/containers/*/exec", (*Server).createExec},
	{"DELETE", "/containers/*", (*Server).remove},
	{"POST", "/exec/*/start", (*Server).startExec},
	{"POST", "/exec/*/resize", (*Server).resizeExec},
	{"POST", "/exec/*/kill", (*Server).killExec},
	{"GET", "/exec/*/json", (*Server).inspectExec},
	{"GET", "/images/json", (*Server).listImages},
	{"GET", "/images/get", (*Server).saveImages},
	{"GET", "/images/*/get", (*Server).saveImage},
	{"POST", "/images/load", (*Server).loadImages},
	{"GET", "/images/*/json", (*Server).inspectImage},
	{"POST", "/images/*/tag", (*Server).tagImage},
	{"DELETE", "/images/*", (*Server).removeImage},
	{"POST", "/commit", (*Server).commit},
	{"POST", "/images/create", unsupported("pulling images", "; load one from a file (docker load, pocketdock import)")},
	{"POST", "/build", unsupported("building images", "; build it with Docker or Podman, and load it from a file")},
	{"HEAD", "/containers/*/archive", (*Server).statArchive},
	{"GET", "/containers/*/archive", (*Server).getArchive},
	{"PUT", "/containers/*/archive", (*Server).putArchive},
	{"GET", "/events", (*Server).events},
	{"GET", "/networks", (*Server).networks},
	{"GET", "/volumes", (*Server).volumes},
	{"", "/networks/", unsupported("networks", "")},
	{"", "/volumes/", unsupported("volumes by name", "; use a directory of the host")},
	{"", "/system/df", unsupported("disk usage", "")},
	{"", "/containers/*/changes", unsupported("changes, export and update of a container", "")},
	{"", "/containers/*/export", unsupported("changes, export and update of a container", "")},
	{"", "/containers/*/update", unsupported("changes, export and update of a container", "")},
	{"", "/images/*/history", unsupported("history and push of an image", "")},
	{"", "/images/*/push", unsupported("history and push of an image", "")},
	{"", "/plugins/", unsupported("that", "")},
	{"", "/swarm/", unsupported("that", "")},
	{"", "/nodes/", unsupported("that", "")},
	{"", "/services/", unsupported("that", "")},
	{"", "/secrets/", unsupported("that", "")},
	{"", "/configs/", unsupported("that", "")},
	{"", "/session/", unsupported("that", "")},
	{"", "/distribution/", unsupported("that", "")},
	{"", "/tasks/", unsupported("that", "")},
}

func unsupported(what, instead string) func(*Server, http.ResponseWriter, *http.Request, string) error {
	return func(_ *Server, _ http.ResponseWriter, r *http.Request, _ string) error {
		// Who is still sending when the connection ends does not read why.
		const patience = 64 << 20
		io.CopyN(io.Discard, r.Body, patience)
		return fmt.Errorf("%s: %w%s", what, container.ErrNoSupport, instead)
	}
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Api-Version", Version)
	h.Set("Ostype", "linux")
	h.Set("Server", "Pocketdock/"+EngineVersion+" (linux)")
	path := unversioned(r.URL.Path)
	for i := range routes {
		if arg, ok := routes[i].match(r.Method, path); ok {
			if err := routes[i].serve(s, w, r, arg); err != nil {
				fail(w, err)
			}
			return
		}
	}
	fail(w, fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, errNoPage))
}

var (
	errNoPage    = errors.New("page not found")
	errNotChange = errors.New("not modified")
	errNoFile    = errors.New("no such file or directory")
	errForbidden = errors.New("not allowed")
	errSent      = errors.New("the answer was sent") // nothing more can be said
)

// status is an error's HTTP status, as Docker has them.
func status(err error) int {
	switch {
	case errors.Is(err, container.ErrNotFound), errors.Is(err, imagestore.ErrNotFound), errors.Is(err, errNoPage), errors.Is(err, errNoExec), errors.Is(err, errNoFile):
		return http.StatusNotFound
	case errors.Is(err, container.ErrConflict), errors.Is(err, imagestore.ErrConflict), errors.Is(err, container.ErrNotRunning):
		return http.StatusConflict
	case errors.Is(err, container.ErrInvalid), errors.Is(err, imagestore.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, errForbidden):
		return http.StatusForbidden
	case errors.Is(err, container.ErrNoSupport):
		return http.StatusNotImplemented
	case errors.Is(err, errNotChange):
		return http.StatusNotModified
	}
	return http.StatusInternalServerError
}

func fail(w http.ResponseWriter, err error) {
	if errors.Is(err, errSent) {
		return
	}
	code := status(err)
	if code == http.StatusNotModified {
		w.WriteHeader(code)
		return
	}
	answer(w, code, map[string]string{"message": err.Error()})
}

func answer(w http.ResponseWriter, code int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(v)
	return nil
}

func done(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// body decodes a request's JSON; none at all is the zero value.
func body(r *http.Request, v any) error {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return err
	}
	if len(b) > maxBody {
		return fmt.Errorf("a body of more than %d bytes: %w", maxBody, container.ErrInvalid)
	}
	if len(strings.TrimSpace(string(b))) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", err, container.ErrInvalid)
	}
	return nil
}

// is reads a boolean of a query.
func is(r *http.Request, name string) bool {
	switch strings.ToLower(r.URL.Query().Get(name)) {
	case "", "0", "false", "no", "none":
		return false
	}
	return true
}

func (s *Server) ping(w http.ResponseWriter, r *http.Request, _ string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Builder-Version", "1")
	if r.Method == http.MethodGet {
		io.WriteString(w, "OK")
	}
	return nil
}

// networks is the one that there is.
func (s *Server) networks(w http.ResponseWriter, _ *http.Request, _ string) error {
	return answer(w, http.StatusOK, []map[string]any{{"Name": "none", "Id": "none", "Scope": "local", "Driver": "null", "Created": "0001-01-01T00:00:00Z",
		"IPAM": map[string]any{"Driver": "default"}, "Containers": map[string]any{}, "Options": map[string]any{}, "Labels": map[string]any{}}})
}

// volumes are none: only directories of the host are mounted.
func (s *Server) volumes(w http.ResponseWriter, _ *http.Request, _ string) error {
	return answer(w, http.StatusOK, map[string]any{"Volumes": []any{}, "Warnings": []any{}})
}

func kernel() string {
	var u unix.Utsname
	unix.Uname(&u)
	return unix.ByteSliceToString(u.Release[:])
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request, _ string) error {
	return answer(w, http.StatusOK, map[string]any{
		"Platform":   map[string]string{"Name": "pocketdock embedded engine"},
		"Components": []map[string]any{{"Name": "pocketdock embedded engine", "Version": EngineVersion, "Details": map[string]string{}}},
		"Version":    EngineVersion, "ApiVersion": Version, "MinAPIVersion": Version,
		"GitCommit": "", "GoVersion": runtime.Version(), "Os": "linux", "Arch": runtime.GOARCH, "KernelVersion": kernel(),
		"BuildTime": "",
	})
}

func (s *Server) info(w http.ResponseWriter, r *http.Request, _ string) error {
	list, err := s.Store.List()
	if err != nil {
		return err
	}
	running := 0
	for _, c := range list {
		if c.Running {
			running++
		}
	}
	images, err := s.Store.Images.List(r.Context())
	if err != nil {
		return err
	}
	var mem unix.Sysinfo_t
	unix.Sysinfo(&mem)
	rootless := os.Geteuid() != 0
	security := []string{"name=gvisor"}
	var warnings []string
	if rootless {
		security = append(security, "name=rootless")
		warnings = append(warnings, "limits of memory and processors are not enforced for an ordinary user")
	}
	return answer(w, http.StatusOK, map[string]any{
		"ID": "pocketdock", "Name": hostname(), "ServerVersion": EngineVersion, "Driver": "erofs", "DockerRootDir": s.Root,
		"Containers": len(list), "ContainersRunning": running, "ContainersPaused": 0, "ContainersStopped": len(list) - running, "Images": len(images),
		"OperatingSystem": "pocketdock embedded engine", "OSType": "linux", "Architecture": machine(), "KernelVersion": kernel(),
		"NCPU": runtime.NumCPU(), "MemTotal": int64(mem.Totalram) * int64(mem.Unit),
		"MemoryLimit": !rootless, "CpuCfsQuota": !rootless, "CpuCfsPeriod": !rootless, "PidsLimit": false, "SwapLimit": false,
		"CgroupDriver": cgroupDriver(rootless), "CgroupVersion": cgroupVersion(),
		"SecurityOptions": security, "Runtimes": map[string]any{"runsc": map[string]string{"path": "runsc"}}, "DefaultRuntime": "runsc",
		"Warnings": warnings, "Swarm": map[string]string{"LocalNodeState": "inactive"}, "LoggingDriver": "json-file",
		"Plugins":    map[string]any{"Volume": []string{}, "Network": []string{"none"}, "Log": []string{}},
		"SystemTime": time.Now().Format(time.RFC3339Nano),
	})
}

func hostname() string { h, _ := os.Hostname(); return h }

func machine() string {
	if runtime.GOARCH == "arm64" {
		return "aarch64"
	}
	return "x86_64"
}

func cgroupDriver(rootless bool) string {
	if rootless {
		return "none"
	}
	return "cgroupfs"
}

func cgroupVersion() string {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return "2"
	}
	return "1"
}
