//go:build linux

package container

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/pocketdock/pocketdock/embedded/internal/imagestore"
	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

// Environ is the environment of the container's processes.
func (c *Container) Environ(img *imagestore.Image) []string { return c.environ(img, nil) }

// Volumes are what of the host is mounted.
func (c *Container) Volumes() []Mount {
	var list []Mount
	own, err := c.mounts()
	if err != nil {
		return nil
	}
	for _, m := range own {
		if m.Type == "bind" {
			list = append(list, Mount{"bind", m.Source, m.Destination, slices.Contains(m.Options, "ro")})
		}
	}
	return list
}

// MountPoints are the places where something is mounted over the root.
func (c *Container) MountPoints() []string {
	list := []string{"/proc", "/sys", "/dev", "/etc/hosts"}
	own, _ := c.mounts()
	for _, m := range own {
		list = append(list, m.Destination)
	}
	return list
}

// Written is how much the container has on disk beside its image, as of its
// last stop, in bytes.
func (c *Container) Written() int64 {
	fi, err := os.Stat(filepath.Join(c.Dir, monitor.UpperFile))
	if err != nil {
		return 0
	}
	return fi.Size()
}

// ImageConfig is the configuration of an image that is made of the container:
// what the container was created with lasts.
func (c *Container) ImageConfig(img *imagestore.Image) v1.Config {
	config := img.Config.Config
	config.Labels = c.Config.Labels // the image's are among them
	config.Env = nil
	own := slices.Concat(img.Config.Config.Env, c.Config.Env)
	for _, kv := range c.environ(img, nil) {
		name, _, _ := strings.Cut(kv, "=")
		if slices.ContainsFunc(own, func(o string) bool { return strings.HasPrefix(o, name+"=") }) {
			config.Env = append(config.Env, kv)
		}
	}
	config.User = cmp.Or(c.Config.User, config.User)
	config.WorkingDir = cmp.Or(c.Config.WorkingDir, config.WorkingDir)
	if c.Config.Entrypoint != nil {
		config.Entrypoint, config.Cmd = c.Config.Entrypoint, c.Config.Cmd
	} else if c.Config.Cmd != nil {
		config.Cmd = c.Config.Cmd
	}
	return config
}

// Exec is a process for the monitor to start.
func (c *Container) Exec(img *imagestore.Image, args, env []string, dir, user string, tty bool) *monitor.Exec {
	if tty {
		env = append([]string{"TERM=xterm"}, env...)
	}
	return &monitor.Exec{Args: args, Env: c.environ(img, env), Caps: c.Caps(), TTY: tty,
		Dir:  cmp.Or(dir, c.Config.WorkingDir, img.Config.Config.WorkingDir, "/"),
		User: cmp.Or(user, c.user(img))}
}
