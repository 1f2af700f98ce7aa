//go:build linux

package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/embedded/internal/container"
	"github.com/pocketdock/pocketdock/embedded/internal/imagestore"
)

// createBody is what a container is created with.
type createBody struct {
	container.Config
	HostConfig container.HostConfig
}

func (s *Server) create(w http.ResponseWriter, r *http.Request, _ string) error {
	var b createBody
	if err := body(r, &b); err != nil {
		return err
	}
	img, err := s.image(r.Context(), b.Image)
	if err != nil {
		return err
	}
	c := &container.Container{Name: strings.TrimPrefix(r.URL.Query().Get("name"), "/"), ImageID: img.ID, Config: b.Config, Host: b.HostConfig}
	c.Config.Labels = merged(img.Config.Config.Labels, b.Labels)
	if err := c.Check(); err != nil {
		return err
	}
	if err := s.Store.Create(r.Context(), c); err != nil {
		return err
	}
	return answer(w, http.StatusCreated, map[string]any{"Id": c.ID, "Warnings": []string{}})
}

// expect is no part of Docker's API: a container is about to be created.
func (s *Server) expect(w http.ResponseWriter, _ *http.Request, _ string) error {
	s.Store.Expect()
	return done(w)
}

func merged(a, b map[string]string) map[string]string {
	m := map[string]string{}
	for k, v := range a {
		m[k] = v
	}
	for k, v := range b {
		m[k] = v
	}
	return m
}

// image finds an image, with Docker's words if there is none.
func (s *Server) image(ctx context.Context, name string) (*imagestore.Image, error) {
	img, err := s.Store.Images.Get(ctx, name)
	if errors.Is(err, imagestore.ErrNotFound) {
		return nil, fmt.Errorf("no such image: %s%w", name, hidden{err})
	}
	return img, err
}

// hidden is an error's kind without its text.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }

// list answers with the containers that the filters select.
func (s *Server) list(w http.ResponseWriter, r *http.Request, _ string) error {
	filters, err := filters(r)
	if err != nil {
		return err
	}
	all, err := s.Store.List()
	if err != nil {
		return err
	}
	items := []map[string]any{}
	for _, c := range all {
		if !is(r, "all") && len(filters["status"]) == 0 && !c.Running || !selects(filters, c) {
			continue
		}
		items = append(items, map[string]any{
			"Id": c.ID, "Names": []string{"/" + c.Name}, "Image": c.Config.Image, "ImageID": c.ImageID,
			"Command": strings.Join(slices.Concat(c.Config.Entrypoint, c.Config.Cmd), " "), "Created": c.Created.Unix(),
			"State": c.Status(), "Status": words(c), "Ports": []any{}, "Labels": c.Config.Labels,
			"HostConfig": map[string]string{"NetworkMode": "none"}, "NetworkSettings": map[string]any{"Networks": map[string]any{}}, "Mounts": []any{},
		})
	}
	return answer(w, http.StatusOK, items)
}

// words say how a container is, as docker ps shows it.
func words(c *container.Container) string {
	ago := func(t string) string {
		at, _ := time.Parse(time.RFC3339Nano, t)
		return time.Since(at).Round(time.Second).String()
	}
	switch {
	case c.Paused:
		return "Up " + ago(c.State.Started) + " (Paused)"
	case c.Running:
		return "Up " + ago(c.State.Started)
	case c.Status() == "created":
		return "Created"
	}
	return fmt.Sprintf("Exited (%d) %s ago", c.State.ExitCode, ago(c.State.Finished))
}

// filters reads both forms: {"label":["a"]} and {"label":{"a":true}}.
func filters(r *http.Request) (map[string][]string, error) {
	text := r.URL.Query().Get("filters")
	m := map[string][]string{}
	if text == "" {
		return m, nil
	}
	if json.Unmarshal([]byte(text), &m) == nil {
		return m, nil
	}
	old := map[string]map[string]bool{}
	if err := json.Unmarshal([]byte(text), &old); err != nil {
		return nil, fmt.Errorf("filters: %w: %w", err, container.ErrInvalid)
	}
	m = map[string][]string{}
	for k, set := range old {
		for v := range set {
			m[k] = append(m[k], v)
		}
	}
	return m, nil
}

func selects(filters map[string][]string, c *container.Container) bool {
	for _, l := range filters["label"] {
		k, v, hasValue := strings.Cut(l, "=")
		if got, ok := c.Config.Labels[k]; !ok || hasValue && got != v {
			return false
		}
	}
	any := func(list []string, ok func(string) bool) bool { return len(list) == 0 || slices.ContainsFunc(list, ok) }
	return any(filters["status"], func(v string) bool { return v == c.Status() }) &&
		any(filters["name"], func(v string) bool { return strings.Contains(c.Name, strings.Trim(v, "^/$")) }) &&
		any(filters["id"], func(v string) bool { return strings.HasPrefix(c.ID, v) }) &&
		any(filters["ancestor"], func(v string) bool { return v == c.Config.Image || strings.HasPrefix(c.ImageID, v) })
}

func (s *Server) inspect(w http.ResponseWriter, r *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	img, err := s.Store.Images.Get(r.Context(), c.ImageID)
	if err != nil {
		img = &imagestore.Image{} // it was removed
	}
	config := c.Config
	config.WorkingDir = cmp.Or(config.WorkingDir, img.Config.Config.WorkingDir)
	config.User = cmp.Or(config.User, img.Config.Config.User)
	if config.Entrypoint == nil {
		config.Entrypoint = img.Config.Config.Entrypoint
		if config.Cmd == nil {
			config.Cmd = img.Config.Config.Cmd
		}
	}
	config.Env = c.Environ(img)
	st := c.State
	zero := "0001-01-01T00:00:00Z"
	pid := 0
	if c.Running {
		pid = st.Sandbox
	}
	status := c.Status()
	if c.Paused {
		status = "paused"
	}
	path, args := "", []string{}
	if cmd := slices.Concat(config.Entrypoint, config.Cmd); len(cmd) > 0 {
		path, args = cmd[0], cmd[1:]
	}
	var mounts []map[string]any
	for _, m := range c.Volumes() {
		mounts = append(mounts, map[string]any{"Type": "bind", "Source": m.Source, "Destination": m.Target, "RW": !m.ReadOnly, "Mode": "", "Propagation": "rprivate"})
	}
	out := map[string]any{
		"Id": c.ID, "Name": "/" + c.Name, "Created": c.Created.Format(time.RFC3339Nano), "Image": c.ImageID, "RestartCount": 0,
		"Path": path, "Args": args, "Driver": "erofs", "Platform": "linux", "MountLabel": "", "ProcessLabel": "", "AppArmorProfile": "",
		"State": map[string]any{"Status": status, "Running": c.Running, "Paused": c.Paused, "Restarting": false, "Dead": false, "OOMKilled": st.OOM,
			"Pid": pid, "ExitCode": st.ExitCode, "Error": st.Error, "StartedAt": cmp.Or(st.Started, zero), "FinishedAt": cmp.Or(st.Finished, zero)},
		"Config": config, "HostConfig": c.Host, "Mounts": mounts,
		"NetworkSettings": map[string]any{"IPAddress": "", "Ports": map[string]any{}, "Networks": map[string]any{"none": map[string]string{"IPAddress": ""}}},
	}
	if is(r, "size") {
		out["SizeRw"], out["SizeRootFs"] = c.Written(), img.Size+c.Written()
	}
	return answer(w, http.StatusOK, out)
}

func (s *Server) start(w http.ResponseWriter, r *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	if c.Running {
		return errNotChange
	}
	// What was begun is finished, whether or not the caller waits.
	ctx := context.WithoutCancel(r.Context())
	if err := s.Store.Start(ctx, c); err != nil {
		if c.Host.AutoRemove {
			err = errors.Join(err, s.Store.Remove(ctx, c, true))
		}
		return err
	}
	return done(w)
}

func grace(r *http.Request) time.Duration {
	if n, err := strconv.Atoi(r.URL.Query().Get("t")); err == nil {
		if n < 0 {
			return 24 * time.Hour
		}
		return time.Duration(n) * time.Second
	}
	return 10 * time.Second
}

// stopSignal is what ends a container.
func (s *Server) stopSignal(ctx context.Context, c *container.Container) unix.Signal {
	name := c.Config.StopSignal
	if img, err := s.Store.Images.Get(ctx, c.ImageID); err == nil && name == "" {
		name = img.Config.Config.StopSignal
	}
	if sig, err := parseSignal(name); err == nil {
		return sig
	}
	return unix.SIGTERM
}

func parseSignal(name string) (unix.Signal, error) {
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n < 65 {
		return unix.Signal(n), nil
	}
	up := strings.ToUpper(name)
	if !strings.HasPrefix(up, "SIG") {
		up = "SIG" + up
	}
	if n := unix.SignalNum(up); n != 0 {
		return n, nil
	}
	return 0, fmt.Errorf("signal %q: %w", name, container.ErrInvalid)
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	if !c.Running {
		return errNotChange
	}
	if err := c.Stop(r.Context(), s.stopSignal(r.Context(), c), grace(r)); err != nil {
		return err
	}
	return done(w)
}

func (s *Server) restart(w http.ResponseWriter, r *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	if err := c.Stop(r.Context(), s.stopSignal(r.Context(), c), grace(r)); err != nil {
		return err
	}
	if err := s.Store.Start(context.WithoutCancel(r.Context()), c); err != nil {
		return err
	}
	return done(w)
}

func (s *Server) kill(w http.ResponseWriter, r *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	sig := unix.SIGKILL
	if name := r.URL.Query().Get("signal"); name != "" {
		if sig, err = parseSignal(name); err != nil {
			return err
		}
	}
	if err := c.Kill(r.Context(), sig); err != nil {
		return err
	}
	s.Store.Tell(c, "kill", map[string]string{"signal": strconv.Itoa(int(sig))})
	return done(w)
}

// wait answers at once that it waits, and then how the container ended.
func (s *Server) wait(w http.ResponseWriter, r *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	http.NewResponseController(w).Flush()
	if cond := r.URL.Query().Get("condition"); (cond == "next-exit" || cond == "removed") && !c.Running {
		s.awaitStart(r.Context(), c) // it is about to be started by somebody
	}
	c.Wait(r.Context())
	if r.Context().Err() != nil {
		return errSent
	}
	json.NewEncoder(w).Encode(map[string]any{"StatusCode": c.State.ExitCode})
	return nil
}

func (s *Server) pause(w http.ResponseWriter, _ *http.Request, ref string) error {
	return s.setPaused(w, ref, true)
}

func (s *Server) unpause(w http.ResponseWriter, _ *http.Request, ref string) error {
	return s.setPaused(w, ref, false)
}

func (s *Server) setPaused(w http.ResponseWriter, ref string, yes bool) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	if err := c.Pause(yes); err != nil {
		return err
	}
	action := "unpause"
	if yes {
		action = "pause"
	}
	s.Store.Tell(c, action, nil)
	return done(w)
}

func (s *Server) rename(w http.ResponseWriter, r *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	if err := s.Store.Rename(c, strings.TrimPrefix(r.URL.Query().Get("name"), "/")); err != nil {
		return err
	}
	return done(w)
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	if err := s.Store.Remove(context.WithoutCancel(r.Context()), c, is(r, "force")); err != nil {
		return err
	}
	return done(w)
}
