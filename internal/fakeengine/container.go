package fakeengine

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Container as the engine keeps it.
type Container struct {
	ID     string // set by Add
	Name   string
	Image  string
	Labels map[string]string
	// ReadOnly root: files cannot be put into it.
	ReadOnly bool
	// Status is "created", "running", "exited" or "paused".
	Status    string
	ExitCode  int
	OOMKilled bool

	files map[string]*file
	gone  chan struct{} // closed at the end of its processes
}

// Add puts a container there that somebody else made, running unless it says
// otherwise, and returns its ID.
func (e *Engine) Add(c Container) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.add(&c).ID
}

func (e *Engine) add(c *Container) *Container {
	e.serial++
	c.ID = fmt.Sprintf("%064x", e.serial)
	if c.Name == "" {
		c.Name = fmt.Sprintf("box%d", e.serial)
	}
	if c.Status == "" {
		c.Status = "running"
	}
	if c.Image == "" {
		c.Image = "test:latest"
	}
	if e.images[c.Image] == nil {
		e.images[c.Image] = &Image{Arch: "amd64"}
	}
	c.files, c.gone = map[string]*file{}, make(chan struct{})
	e.containers[c.ID] = c
	return c
}

// Container is a copy of a container; nil if there is none.
func (e *Engine) Container(ref string) *Container {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.find(ref); c != nil {
		copied := *c
		return &copied
	}
	return nil
}

// End ends a container's processes, as the kernel would.
func (e *Engine) End(ref, status string, exitCode int, oom bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.end(e.find(ref), status, exitCode)
	e.find(ref).OOMKilled = oom
}

// Remove removes a container behind everybody's back.
func (e *Engine) Remove(ref string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.find(ref)
	e.end(c, "exited", 137)
	delete(e.containers, c.ID)
}

func (e *Engine) end(c *Container, status string, exitCode int) {
	if c.Status == "running" || c.Status == "paused" {
		close(c.gone)
		c.gone = make(chan struct{})
	}
	c.Status, c.ExitCode = status, exitCode
}

func (e *Engine) find(ref string) *Container {
	for id, c := range e.containers {
		if id == ref || c.Name == ref || len(ref) >= 4 && strings.HasPrefix(id, ref) {
			return c
		}
	}
	return nil
}

// with finds a container, locked, or answers that there is none.
func (e *Engine) with(w http.ResponseWriter, ref string, do func(c *Container)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.find(ref)
	if c == nil {
		if e.Podman {
			e.fail(w, http.StatusNotFound, fmt.Sprintf("no container with name or ID %q found: no such container", ref))
		} else {
			e.fail(w, http.StatusNotFound, "No such container: "+ref)
		}
		return
	}
	do(c)
}

func (e *Engine) create(w http.ResponseWriter, r *http.Request, _ []string) {
	var body struct {
		Image      string
		Labels     map[string]string
		HostConfig struct{ ReadonlyRootfs bool }
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		e.fail(w, http.StatusBadRequest, err.Error())
		return
	}
	name := r.URL.Query().Get("name")
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.images[body.Image] == nil {
		e.noImage(w, body.Image)
		return
	}
	if other := e.find(name); name != "" && other != nil {
		if e.Podman {
			e.fail(w, http.StatusInternalServerError, fmt.Sprintf("creating container storage: the container name %q is already in use by %s. You have to remove that container to be able to reuse that name: that name is already in use", name, other.ID))
		} else {
			e.fail(w, http.StatusConflict, fmt.Sprintf("Conflict. The container name \"/%s\" is already in use by container %q. You have to remove (or rename) that container to be able to reuse that name.", name, other.ID))
		}
		return
	}
	c := e.add(&Container{Name: name, Image: body.Image, Labels: body.Labels, ReadOnly: body.HostConfig.ReadonlyRootfs, Status: "created"})
	answer(w, http.StatusCreated, map[string]any{"Id": c.ID, "Warnings": []string{}})
}

func (e *Engine) inspect(w http.ResponseWriter, _ *http.Request, args []string) {
	e.with(w, args[0], func(c *Container) {
		answer(w, http.StatusOK, map[string]any{
			"Id": c.ID, "Name": "/" + c.Name, "Created": time.Unix(0, 0).UTC().Format(time.RFC3339Nano), "Image": c.Image,
			"State": map[string]any{"Status": c.Status, "Running": c.Status == "running" || c.Status == "paused",
				"Paused": c.Status == "paused", "OOMKilled": c.OOMKilled, "ExitCode": c.ExitCode,
				"StartedAt": time.Unix(0, 0).UTC().Format(time.RFC3339Nano)},
			"Config":     map[string]any{"Image": c.Image, "Labels": c.Labels},
			"HostConfig": map[string]any{"NetworkMode": "none", "ReadonlyRootfs": c.ReadOnly},
		})
	})
}

func (e *Engine) list(w http.ResponseWriter, r *http.Request, _ []string) {
	var filters struct{ Label, Status []string }
	json.Unmarshal([]byte(r.URL.Query().Get("filters")), &filters)
	e.mu.Lock()
	defer e.mu.Unlock()
	list := []any{}
	for _, c := range e.containers {
		match := len(filters.Status) == 0 || slices.Contains(filters.Status, c.Status)
		for _, l := range filters.Label {
			k, v, _ := strings.Cut(l, "=")
			match = match && c.Labels[k] == v
		}
		if !match {
			continue
		}
		list = append(list, map[string]any{"Id": c.ID, "Names": []string{"/" + c.Name}, "Image": c.Image, "State": c.Status, "Labels": c.Labels})
	}
	answer(w, http.StatusOK, list)
}

func (e *Engine) start(w http.ResponseWriter, _ *http.Request, args []string) {
	e.with(w, args[0], func(c *Container) {
		status := http.StatusNoContent
		if c.Status == "running" {
			status = http.StatusNotModified
		}
		c.Status, c.ExitCode, c.OOMKilled = "running", 0, false
		w.WriteHeader(status)
	})
}

func (e *Engine) stop(w http.ResponseWriter, _ *http.Request, args []string) {
	e.with(w, args[0], func(c *Container) {
		if c.Status != "running" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		e.end(c, "exited", 143)
		w.WriteHeader(http.StatusNoContent)
	})
}

func (e *Engine) rename(w http.ResponseWriter, r *http.Request, args []string) {
	e.with(w, args[0], func(c *Container) {
		c.Name = r.URL.Query().Get("name")
		w.WriteHeader(http.StatusNoContent)
	})
}

func (e *Engine) remove(w http.ResponseWriter, r *http.Request, args []string) {
	e.with(w, args[0], func(c *Container) {
		if c.Status == "running" && r.URL.Query().Get("force") != "true" {
			e.fail(w, http.StatusConflict, "You cannot remove a running container "+c.ID+". Stop the container before attempting removal or force remove")
			return
		}
		e.end(c, "exited", 137)
		delete(e.containers, c.ID)
		w.WriteHeader(http.StatusNoContent)
	})
}
