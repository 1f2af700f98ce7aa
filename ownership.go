package pocketdock

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock/internal/accounts"
	"github.com/pocketdock/pocketdock/internal/engine"
	"github.com/pocketdock/pocketdock/internal/state"
)

// ownership says whom a container's commands run as, and who that is on the
// host. With volumes, that should be the user of the host who mounts them: a
// file that a command makes is theirs, and theirs are the command's.
type ownership struct {
	user   string // of commands; empty: root
	userns string // mode of the user namespace; empty: the engine's default
}

// ownership decides for a container with volumes:
//
//   - Rootless Podman maps the host's user to root in the container, which is
//     right when commands run as root. Otherwise it maps them to the commands'
//     user instead ("keep-id").
//   - The embedded engine of an ordinary user has no other IDs to map: commands
//     run as the container's root, which is that user on the host.
//   - An engine that runs as root maps nothing. Where nobody said whom
//     commands run as, they run as the caller.
func (n *creation) ownership(ctx context.Context, dir state.Dir) (ownership, error) {
	own := ownership{user: cmp.Or(n.opts.User, n.img.Config.User)}
	if len(n.opts.Volumes) == 0 {
		return own, nil
	}
	rootless, err := n.rootless(ctx, dir)
	if err != nil {
		return own, apiError(err, "describe the engine", "")
	}
	if !rootless {
		if !n.noMounts {
			own.user = cmp.Or(own.user, callerUser(os.Getuid(), os.Getgid(), n.opts.Volumes))
		}
		return own, nil
	}
	if n.engine.Embedded() {
		// It has one user of the host's, whom it maps to root.
		switch {
		case n.opts.User == "":
			own.user = "0:0"
		case !isRoot(own.user) && slices.ContainsFunc(n.opts.Volumes, func(v Volume) bool { return !v.ReadOnly }):
			return own, fmt.Errorf("user %s with a volume: the embedded engine of an ordinary user can only let root of the sandbox write to it, which is that user: leave the user out, or mount it read-only: %w", own.user, ErrUnsupported)
		}
		return own, nil
	}
	// Podman 4.3 was the first to take the numbers; Docker cannot.
	if n.engine.Name != "podman" || !n.engine.AtLeast("4.3") || isRoot(own.user) {
		return own, nil
	}
	ids, err := dir.Remember(n.img.ID+"\x00"+own.user, func() (string, error) { return n.resolveUser(ctx, own.user) })
	if err != nil {
		return own, fmt.Errorf("user %s of image %s: %w", own.user, n.image, err)
	}
	uid, gid, ok := strings.Cut(ids, ":")
	if ok && uid != "0" {
		own.userns = "keep-id:uid=" + uid + ",gid=" + gid
	}
	return own, nil
}

// rootless reports whether the engine runs as an ordinary user. Who listens on
// its socket tells that it does not; that it does only the engine itself, once,
// as the listener may be a tunnel.
func (n *creation) rootless(ctx context.Context, dir state.Dir) (bool, error) {
	if engine.IsEmbedded(n.engine.Path) {
		return os.Geteuid() != 0, nil
	}
	if uid, ok := n.engine.Listener(ctx); ok && uid == 0 {
		return false, nil
	}
	info, err := os.Stat(n.engine.Path)
	if err != nil {
		return false, err
	}
	// Another socket in its place is another engine.
	key := fmt.Sprintf("rootless\x00%s\x00%d", n.engine.Path, info.ModTime().UnixNano())
	said, err := dir.Remember(key, func() (string, error) {
		yes, err := n.engine.Rootless(ctx)
		return strconv.FormatBool(yes), err
	})
	return said == "true", err
}

// callerUser is whom commands run as, for the sake of volumes that they may
// write to. (Windows has no such numbers and says -1.)
func callerUser(uid, gid int, volumes []Volume) string {
	if uid <= 0 || !slices.ContainsFunc(volumes, func(v Volume) bool { return !v.ReadOnly }) {
		return ""
	}
	return fmt.Sprintf("%d:%d", uid, gid)
}

func isRoot(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	return name == "" || name == "root" || name == "0"
}

// resolveUser returns a user's "uid:gid" by the image's own files, which only a
// container shows.
func (n *creation) resolveUser(ctx context.Context, user string) (string, error) {
	// It has the name and the labels of the container that comes after it, so
	// that whoever cleans up behind us takes it for that.
	body := &apiContainerConfig{Image: n.image, Entrypoint: []string{agentBinary}, User: "0:0", Labels: n.labels(),
		HostConfig: apiHostConfig{NetworkMode: "none", CapDrop: []string{"ALL"}}}
	var created struct {
		ID string `json:"Id"`
	}
	n.asked = true
	if err := n.engine.JSON(ctx, "POST", "/containers/create", url.Values{"name": {n.opts.Name}}, body, &created); err != nil {
		return "", n.createError(err)
	}
	if created.ID == "" {
		return "", noID(n.engine, "create a container to look at the image")
	}
	look := &Container{client: n.client, engine: n.engine, id: created.ID, name: n.image}
	ids, err := look.resolveUser(ctx, user)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if e := look.Destroy(end); e != nil {
		return "", errors.Join(err, e) // it has the name that the container is to have
	}
	n.asked = false
	return ids, err
}

func (c *Container) resolveUser(ctx context.Context, user string) (string, error) {
	passwd, err := c.accountFile(ctx, "/etc/passwd")
	if err != nil {
		return "", err
	}
	group, err := c.accountFile(ctx, "/etc/group")
	if err != nil {
		return "", err
	}
	u, err := accounts.Resolve(user, passwd, group)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d:%d", u.UID, u.GID), nil
}

// accountFile reads a file of a container that does not run; one that is not
// there, or is no file, has nothing.
func (c *Container) accountFile(ctx context.Context, path string) ([]byte, error) {
	res, err := c.engine.Do(ctx, http.MethodGet, c.path("/archive"), url.Values{"path": {path}}, nil, "")
	if se, ok := errors.AsType[*engine.StatusError](err); ok && se.NotFound() {
		return nil, nil
	}
	if err != nil {
		return nil, c.apiErr(ctx, err, "read "+path+" in")
	}
	defer res.Body.Close()
	tr := tar.NewReader(res.Body)
	h, err := tr.Next()
	if err != nil {
		return nil, c.cutFile(ctx, path, err)
	}
	if h.Typeflag != tar.TypeReg {
		return nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(tr, accounts.MaxFile))
	if err != nil {
		return nil, c.cutFile(ctx, path, err)
	}
	return b, nil
}
