package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// InitOptions are what a new project's file says.
type InitOptions struct {
	// Name of the project. Empty: that of its directory, wherever it is moved.
	Name string
	// Profile of containers that name none. Empty: the built-in one.
	Profile string
}

// InitResult is what Init found and did.
type InitResult struct {
	Project *Project
	// Created are the paths that were made; none in a project that was
	// complete, of which nothing is changed.
	Created []string
}

// gitignore leaves out what belongs to one machine.
const gitignore = "# Histories and logs of this machine's containers.\n/instances/\n/.lock\n"

// Init makes dir, which must exist, a project. What is there is left as it
// is, so that a second Init changes nothing.
func Init(dir string, o InitOptions) (*InitResult, error) {
	home, _ := os.UserHomeDir()
	return initialize(dir, home, o)
}

func initialize(dir, home string, o InitOptions) (*InitResult, error) {
	dir, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	if h, err := resolve(home); home != "" && err == nil && h == dir {
		return nil, fmt.Errorf("%s is your home directory, whose %s is for your own settings: make the project in a directory below", dir, dirName)
	}
	text, err := template(o)
	if err != nil {
		return nil, err
	}
	outer, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("making a project: %w", err)
	}
	defer outer.Close()
	r := &InitResult{}
	switch err := outer.Mkdir(dirName, 0o755); {
	case err == nil:
		r.Created = append(r.Created, filepath.Join(dir, dirName))
	case !errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("making a project: %w", err)
	}
	p, err := Open(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range []struct{ name, text string }{{".gitignore", gitignore}, {configName, text}} {
		if err := p.keep(f.name, f.text, r); err != nil {
			p.Close()
			return nil, err
		}
	}
	r.Project = p
	return r, nil
}

// keep makes a file unless there is one.
func (p *Project) keep(name, text string, r *InitResult) error {
	path := filepath.Join(p.dir, dirName, name)
	switch fi, err := p.root.Lstat(name); {
	case err == nil && fi.Mode().IsRegular():
		return nil
	case err == nil:
		return fmt.Errorf("%s: must be a regular file, this is a %s: move it away", path, kindOf(fi))
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("making a project: %w", err)
	}
	switch err := newFile(p.root, name, []byte(text), 0o644); {
	case err == nil:
		r.Created = append(r.Created, path)
	case !errors.Is(err, fs.ErrExist): // another program was faster
		return fmt.Errorf("making %s: %w", path, err)
	}
	return nil
}

// template is the settings file of a new project: every setting with its
// built-in value, commented out, but for those that were given.
func template(o InitOptions) (string, error) {
	given := map[string]string{"project_name": o.Name, "default_profile": o.Profile}
	var b strings.Builder
	b.WriteString("# Settings of this project. What is commented out is the built-in value; the\n" +
		"# user's ~/.pocketdock/pocketdock.yaml, environment variables (POCKETDOCK_LOG_LEVEL)\n" +
		"# and flags stand beside it: pocketdock config shows what holds, and why.\n")
	section := ""
	for i := range fields {
		f := &fields[i]
		head, name, nested := strings.Cut(f.key, ".")
		indent := "  "
		if !nested {
			name, indent = head, ""
		}
		b.WriteString("\n")
		if nested && head != section {
			fmt.Fprintf(&b, "%s:\n", head)
			section = head
		}
		for line := range strings.SplitSeq(f.comment, "\n") {
			fmt.Fprintf(&b, "%s# %s\n", indent, line)
		}
		if v := given[f.key]; v != "" {
			if _, err := f.parse(v); err != nil {
				return "", &ConfigError{Origin: f.key, Msg: err.Error()}
			}
			fmt.Fprintf(&b, "%s%s: %s\n", indent, name, f.render(v))
			continue
		}
		fmt.Fprintf(&b, "%s# %s: %s\n", indent, name, f.render(f.def))
	}
	b.WriteString("\n# Profiles of your own: a name, and a directory with a Dockerfile, relative to\n" +
		"# the directory that has .pocketdock.\nprofiles:\n  # my-tools: ./docker/my-tools\n")
	return b.String(), nil
}
