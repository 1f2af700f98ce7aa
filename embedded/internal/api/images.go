//go:build linux

package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/pocketdock/pocketdock/embedded/internal/container"
	"github.com/pocketdock/pocketdock/embedded/internal/imagestore"
	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

func (s *Server) inspectImage(w http.ResponseWriter, r *http.Request, name string) error {
	img, err := s.image(r.Context(), name)
	if err != nil {
		return err
	}
	c := img.Config
	return answer(w, http.StatusOK, map[string]any{
		"Id": img.ID, "RepoTags": none(img.Names), "RepoDigests": []string{}, "Parent": img.Parent, "Comment": "", "Author": c.Author,
		"Created": img.Created.Format(time.RFC3339Nano), "Size": img.Size, "VirtualSize": img.Size,
		"Architecture": c.Architecture, "Os": c.OS, "Config": c.Config, "RootFS": map[string]any{"Type": "layers", "Layers": img.Layers},
		"GraphDriver": map[string]any{"Name": "erofs", "Data": nil}, "Metadata": map[string]any{"LastTagTime": img.Loaded.Format(time.RFC3339Nano)},
	})
}

// none makes an empty list of no list.
func none(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (s *Server) listImages(w http.ResponseWriter, r *http.Request, _ string) error {
	f, err := filters(r)
	if err != nil {
		return err
	}
	list, err := s.Store.Images.List(r.Context())
	if err != nil {
		return err
	}
	out := []map[string]any{}
	for _, img := range list {
		if !imageSelected(f, img) {
			continue
		}
		names := img.Names
		if len(names) == 0 {
			names = []string{"<none>:<none>"}
		}
		out = append(out, map[string]any{"Id": img.ID, "ParentId": img.Parent, "RepoTags": names, "RepoDigests": []string{}, "Created": img.Created.Unix(),
			"Size": img.Size, "VirtualSize": img.Size, "SharedSize": -1, "Containers": -1, "Labels": img.Config.Config.Labels})
	}
	return answer(w, http.StatusOK, out)
}

func imageSelected(f map[string][]string, img *imagestore.Image) bool {
	for _, l := range f["label"] {
		k, v, has := strings.Cut(l, "=")
		if got, ok := img.Config.Config.Labels[k]; !ok || has && got != v {
			return false
		}
	}
	for _, d := range f["dangling"] {
		if (d == "true" || d == "1") != (len(img.Names) == 0) {
			return false
		}
	}
	for _, ref := range f["reference"] {
		ok := false
		for _, n := range img.Names {
			repo, _, _ := strings.Cut(n, ":")
			m, _ := filepath.Match(ref, n)
			m2, _ := filepath.Match(ref, repo)
			ok = ok || m || m2
		}
		if !ok {
			return false
		}
	}
	return true
}

func (s *Server) loadImages(w http.ResponseWriter, r *http.Request, _ string) error {
	loaded, err := s.Store.Images.Load(r.Context(), r.Body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	for _, l := range loaded {
		for _, n := range l.Names {
			e.Encode(map[string]string{"stream": "Loaded image: " + n + "\n"})
		}
		if len(l.Names) == 0 {
			e.Encode(map[string]string{"stream": "Loaded image ID: " + l.ID + "\n"})
		}
	}
	return nil
}

func (s *Server) saveImages(w http.ResponseWriter, r *http.Request, _ string) error {
	var names []string
	for _, n := range r.URL.Query()["names"] {
		names = append(names, strings.Split(n, ",")...)
	}
	return s.save(w, r, names)
}

func (s *Server) saveImage(w http.ResponseWriter, r *http.Request, name string) error {
	return s.save(w, r, []string{name})
}

func (s *Server) save(w http.ResponseWriter, r *http.Request, names []string) error {
	for _, n := range names {
		if _, err := s.image(r.Context(), n); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Type", "application/x-tar")
	if err := s.Store.Images.Save(r.Context(), w, names...); err != nil {
		panic(http.ErrAbortHandler) // the archive is cut: the client must see that
	}
	return nil
}

func (s *Server) tagImage(w http.ResponseWriter, r *http.Request, name string) error {
	q := r.URL.Query()
	as := q.Get("repo")
	if tag := q.Get("tag"); tag != "" {
		as += ":" + tag
	}
	if _, err := s.image(r.Context(), name); err != nil {
		return err
	}
	if err := s.Store.Images.Tag(r.Context(), name, as); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (s *Server) removeImage(w http.ResponseWriter, r *http.Request, name string) error {
	img, err := s.image(r.Context(), name)
	if err != nil {
		return err
	}
	if !is(r, "force") && len(img.Names) <= 1 {
		list, err := s.Store.List()
		if err != nil {
			return err
		}
		for _, c := range list {
			if c.ImageID == img.ID {
				return fmt.Errorf("conflict: unable to remove %s (must be forced) - container %s is using it: %w", name, c.ID[:12], container.ErrConflict)
			}
		}
	}
	untagged, deleted, err := s.Store.Images.Remove(r.Context(), name, is(r, "force"))
	if err != nil {
		return err
	}
	out := []map[string]string{}
	for _, n := range untagged {
		out = append(out, map[string]string{"Untagged": n})
	}
	for _, n := range deleted {
		out = append(out, map[string]string{"Deleted": n})
	}
	return answer(w, http.StatusOK, out)
}

// commit makes an image of what a container has written.
func (s *Server) commit(w http.ResponseWriter, r *http.Request, _ string) error {
	q := r.URL.Query()
	c, err := s.Store.Get(q.Get("container"))
	if err != nil {
		return err
	}
	img, err := s.Store.Images.Get(r.Context(), c.ImageID)
	if err != nil {
		return err
	}
	config := c.ImageConfig(img)
	if err := change(&config, q["changes"]); err != nil {
		return err
	}
	diff, err := s.written(c, !q.Has("pause") || is(r, "pause"))
	if err != nil {
		return err
	}
	defer diff.Close()
	ref := q.Get("repo")
	if tag := q.Get("tag"); tag != "" && ref != "" {
		ref += ":" + tag
	}
	id, err := s.Store.Images.Commit(r.Context(), imagestore.CommitOptions{Parent: img.ID, Diff: newLayer(diff, c), Config: &config,
		Author: q.Get("author"), Comment: q.Get("comment"), CreatedBy: strings.Join(c.Config.Cmd, " "), Ref: ref})
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, map[string]string{"Id": id})
}

// written is the tar archive of what a container has written, as it is now or
// as of its last stop.
func (s *Server) written(c *container.Container, pause bool) (io.ReadCloser, error) {
	upper := filepath.Join(c.Dir, monitor.UpperFile)
	if !c.Running || c.Host.ReadonlyRootfs {
		f, err := os.Open(upper)
		if errors.Is(err, os.ErrNotExist) {
			return io.NopCloser(strings.NewReader(string(make([]byte, 1024)))), nil
		}
		return f, err
	}
	f, err := os.CreateTemp(filepath.Join(s.Root, "tmp"), "commit-*")
	if err != nil {
		return nil, err
	}
	f.Close()
	defer os.Remove(f.Name())
	if pause && !c.Paused {
		if err := c.Pause(true); err != nil {
			return nil, err
		}
		defer c.Pause(false)
	}
	if _, err := c.Ask(&monitor.Request{Op: "save", Path: f.Name()}); err != nil {
		return nil, err
	}
	return os.Open(f.Name())
}

// change applies what docker commit --change takes.
func change(c *v1.Config, changes []string) error {
	for _, line := range changes {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		var list []string
		isList := json.Unmarshal([]byte(rest), &list) == nil
		if !isList && rest != "" {
			list = []string{"/bin/sh", "-c", rest}
		}
		switch strings.ToUpper(word) {
		case "CMD":
			c.Cmd = list
		case "ENTRYPOINT":
			c.Entrypoint = list
		case "USER":
			c.User = rest
		case "WORKDIR":
			c.WorkingDir = rest
		case "ENV":
			k, v, _ := strings.Cut(rest, "=")
			c.Env = append(without(c.Env, k), k+"="+unquote(v))
		case "LABEL":
			k, v, _ := strings.Cut(rest, "=")
			labels := map[string]string{}
			for a, b := range c.Labels {
				labels[a] = b
			}
			labels[unquote(k)] = unquote(v)
			c.Labels = labels
		case "STOPSIGNAL":
			c.StopSignal = rest
		default:
			return fmt.Errorf("change %q: %w", line, container.ErrNoSupport)
		}
	}
	return nil
}

func without(env []string, name string) []string {
	var out []string
	for _, kv := range env {
		if !strings.HasPrefix(kv, name+"=") {
			out = append(out, kv)
		}
	}
	return out
}

// unquote reads a word in double quotes, in which a backslash quotes what
// follows, as Dockerfiles have it.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	for in := s[1 : len(s)-1]; in != ""; in = in[1:] {
		if in[0] == '\\' && len(in) > 1 {
			in = in[1:]
		}
		b.WriteByte(in[0])
	}
	return b.String()
}
