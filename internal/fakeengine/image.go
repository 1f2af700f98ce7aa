package fakeengine

import (
	"archive/tar"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// An Image as the engine keeps it.
type Image struct{ Arch string }

// AddImage puts an image there.
func (e *Engine) AddImage(name, arch string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.images[name] = &Image{Arch: arch}
}

// HasImage reports whether there is an image of that name.
func (e *Engine) HasImage(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.images[name] != nil
}

func (e *Engine) noImage(w http.ResponseWriter, name string) {
	if e.Podman {
		e.fail(w, http.StatusNotFound, fmt.Sprintf("failed to find image %s: %s: No such image", name, name))
		return
	}
	e.fail(w, http.StatusNotFound, "No such image: "+name)
}

func (e *Engine) withImage(w http.ResponseWriter, name string, do func(i *Image)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := e.images[name]; i != nil {
		do(i)
		return
	}
	e.noImage(w, name)
}

func (e *Engine) inspectImage(w http.ResponseWriter, _ *http.Request, args []string) {
	e.withImage(w, args[0], func(i *Image) {
		answer(w, http.StatusOK, map[string]any{"Id": "sha256:" + args[0], "RepoTags": []string{args[0]},
			"Architecture": i.Arch, "Os": "linux", "Config": map[string]any{}})
	})
}

func (e *Engine) tag(w http.ResponseWriter, r *http.Request, args []string) {
	e.withImage(w, args[0], func(i *Image) {
		q := r.URL.Query()
		e.images[q.Get("repo")+":"+q.Get("tag")] = i
		w.WriteHeader(http.StatusCreated)
	})
}

func (e *Engine) removeImage(w http.ResponseWriter, _ *http.Request, args []string) {
	e.withImage(w, args[0], func(*Image) {
		delete(e.images, args[0])
		answer(w, http.StatusOK, []any{map[string]any{"Untagged": args[0]}})
	})
}

func (e *Engine) commit(w http.ResponseWriter, r *http.Request, _ []string) {
	q := r.URL.Query()
	e.with(w, q.Get("container"), func(*Container) {
		name := q.Get("repo") + ":" + q.Get("tag")
		e.images[name] = &Image{Arch: "amd64"}
		answer(w, http.StatusCreated, map[string]any{"Id": "sha256:" + name})
	})
}

// build reads the whole context and builds what is asked for.
func (e *Engine) build(w http.ResponseWriter, r *http.Request, _ []string) {
	tr := tar.NewReader(r.Body)
	for {
		if _, err := tr.Next(); err == io.EOF {
			break
		} else if err != nil {
			e.fail(w, http.StatusInternalServerError, err.Error())
			return
		}
	}
	if name := r.URL.Query().Get("t"); name != "" {
		e.AddImage(name, "amd64")
	}
	w.Header().Set("Content-Type", "application/json")
	for _, line := range []string{`{"stream":"Step 1/1 : FROM scratch"}`, `{"stream":"\n"}`, `{"aux":{"ID":"sha256:built"}}`} {
		io.WriteString(w, line+"\r\n")
		http.NewResponseController(w).Flush()
	}
}

// save sends the names as if they were archives, load reads them back.
func (e *Engine) save(w http.ResponseWriter, r *http.Request, _ []string) {
	for _, name := range r.URL.Query()["names"] {
		e.withImage(w, name, func(*Image) { io.WriteString(w, name+"\n") })
	}
}

func (e *Engine) load(w http.ResponseWriter, r *http.Request, _ []string) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		e.fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	for name := range strings.Lines(string(b)) {
		name = strings.TrimSpace(name)
		e.AddImage(name, "amd64")
		fmt.Fprintf(w, "{\"stream\":\"Loaded image: %s\\n\"}\r\n", name)
	}
}
