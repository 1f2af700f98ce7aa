package fakeengine

import (
	"archive/tar"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"time"
)

type file struct {
	head tar.Header
	data []byte
}

// File is the content of a file in a container.
func (e *Engine) File(ref, name string) ([]byte, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.find(ref).files[name]
	if f == nil {
		return nil, false
	}
	return f.data, true
}

// WriteFile puts a file into a container.
func (e *Engine) WriteFile(ref, name string, data []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.find(ref).files[name] = &file{tar.Header{Name: path.Base(name), Mode: 0o644, Size: int64(len(data)), ModTime: time.Unix(0, 0)}, data}
}

// withFile finds a file, or answers that there is none.
func (e *Engine) withFile(w http.ResponseWriter, r *http.Request, ref string, do func(f *file)) {
	name := r.URL.Query().Get("path")
	e.with(w, ref, func(c *Container) {
		if f := c.files[path.Clean(name)]; f != nil {
			do(f)
		} else if e.Podman {
			e.fail(w, http.StatusNotFound, fmt.Sprintf("%q could not be found on container: no such file or directory", name))
		} else {
			e.fail(w, http.StatusNotFound, fmt.Sprintf("Could not find the file %s in container %s", name, ref))
		}
	})
}

func (e *Engine) archiveStat(w http.ResponseWriter, r *http.Request, args []string) {
	e.withFile(w, r, args[0], func(f *file) {
		b, _ := json.Marshal(struct {
			Name       string      `json:"name"`
			Size       int64       `json:"size"`
			Mode       fs.FileMode `json:"mode"`
			MTime      time.Time   `json:"mtime"`
			LinkTarget string      `json:"linkTarget"`
		}{f.head.Name, f.head.Size, f.head.FileInfo().Mode(), f.head.ModTime, f.head.Linkname})
		w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString(b))
	})
}

func (e *Engine) archiveGet(w http.ResponseWriter, r *http.Request, args []string) {
	e.withFile(w, r, args[0], func(f *file) {
		w.Header().Set("Content-Type", "application/x-tar")
		tw := tar.NewWriter(w)
		tw.WriteHeader(&f.head)
		tw.Write(f.data)
		tw.Close()
	})
}

func (e *Engine) archivePut(w http.ResponseWriter, r *http.Request, args []string) {
	dir := r.URL.Query().Get("path")
	readOnly := false
	files := map[string]*file{}
	e.with(w, args[0], func(c *Container) {
		readOnly = c.ReadOnly
		files = c.files
	})
	if readOnly {
		if e.Podman {
			e.fail(w, http.StatusInternalServerError, "error copying to container: read-only file system")
		} else {
			e.fail(w, http.StatusForbidden, "container rootfs is marked read-only")
		}
		return
	}
	tr := tar.NewReader(r.Body)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return
		}
		var data []byte
		if err == nil {
			data, err = io.ReadAll(tr)
		}
		if err != nil {
			e.fail(w, http.StatusInternalServerError, err.Error())
			return
		}
		name := path.Join(dir, h.Name)
		e.mu.Lock()
		h.Name = path.Base(name)
		files[name] = &file{*h, data}
		e.mu.Unlock()
	}
}
