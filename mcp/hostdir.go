package mcp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A Directory of this host that clients may use.
type Directory struct {
	// Path of it, with all below it. It must exist.
	Path string
	// ReadOnly: files come from it, and none go there.
	ReadOnly bool
}

// A hostDir is an open Directory. Everything goes through its root: a symbolic
// link, or one that takes a directory's place meanwhile, leads nowhere else.
type hostDir struct {
	path     string // absolute
	readOnly bool
	root     *os.Root
}

func (d *hostDir) String() string {
	if d.readOnly {
		return d.path + " (upload only)"
	}
	return d.path
}

func openDir(d Directory) (*hostDir, error) {
	path, err := filepath.Abs(d.Path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("directory that clients may use: %w", err)
	}
	return &hostDir{path, d.ReadOnly, root}, nil
}

// hostPath finds the directory that a path of this host is in, of several the
// innermost, and the path in it. A relative one is in the first.
func (s *Server) hostPath(path string, write bool) (*hostDir, string, error) {
	if path == "" || strings.ContainsRune(path, 0) {
		return nil, "", errors.New("host_path is empty, or has a zero byte")
	}
	dirs := s.dirs
	if !filepath.IsAbs(path) {
		dirs = dirs[:1]
	}
	var in *hostDir
	var rel string
	for _, d := range dirs {
		r, err := filepath.Clean(path), error(nil)
		if filepath.IsAbs(path) {
			r, err = filepath.Rel(d.path, path)
		}
		if err == nil && filepath.IsLocal(r) && (in == nil || len(d.path) > len(in.path)) {
			in, rel = d, r
		}
	}
	switch {
	case in == nil:
		var names []string
		for _, d := range s.dirs {
			names = append(names, d.String())
		}
		return nil, "", fmt.Errorf("%s is not in a directory that the user allowed: %s", path, strings.Join(names, ", "))
	case write && in.readOnly:
		return nil, "", fmt.Errorf("%s is in %s: nothing may be written there", path, in)
	}
	return in, rel, nil
}
