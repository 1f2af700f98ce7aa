package pocketdock

import (
	"context"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock/internal/engine"
	"github.com/pocketdock/pocketdock/internal/pattern"
)

// ImageInfo describes an image.
type ImageInfo struct {
	ID      string   // "sha256:…"
	Tags    []string // "name:tag"
	Created time.Time
	Size    int64 // bytes, layers shared with other images included
	Arch    string
	User    string
	Labels  map[string]string
}

// imageHint is the command that gets an image for an engine; nil: not known which.
func imageHint(e *engine.Engine, image string) string {
	if name, ok := strings.CutPrefix(image, profileRepo); ok {
		if name, tag := splitTag(name); tag == "latest" && checkProfileName(name) == nil {
			return "pocketdock build " + name + ", or pocketdock import FILE"
		}
	}
	if e == nil {
		return "podman pull " + image + " (or docker pull), or pocketdock import FILE"
	}
	if cli := (EngineInfo{Name: e.Name, Socket: e.Path}).CLI(); cli != "" {
		return cli + " pull " + image + ", or pocketdock import FILE"
	}
	return "pocketdock import FILE"
}

// checkImage refuses what cannot be an image's name before it becomes part of
// an API path.
func checkImage(image string) error {
	if image == "" || len(image) > 512 || strings.ContainsAny(image, " \t\n\r\x00?#%\\") || strings.HasPrefix(image, "/") || strings.Contains(image, "..") {
		return invalidf("image %q: not a name of an image", image)
	}
	return nil
}

func inspectImage(ctx context.Context, e *engine.Engine, image string) (*apiImage, error) {
	if err := checkImage(image); err != nil {
		return nil, err
	}
	var img apiImage
	if err := e.JSON(ctx, "GET", "/images/"+image+"/json", nil, nil, &img); err != nil {
		if se, ok := errors.AsType[*engine.StatusError](err); ok && se.NotFound() {
			return nil, &ImageError{Image: image, Hint: imageHint(e, image)}
		}
		return nil, apiError(err, "inspect image "+image, image)
	}
	if img.ID == "" {
		return nil, noID(e, "inspect image "+image)
	}
	return &img, nil
}

// Image describes an image that the engine has; ErrImageNotFound otherwise.
func (c *Client) Image(ctx context.Context, image string) (*ImageInfo, error) {
	e, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	img, err := inspectImage(ctx, e, image)
	if err != nil {
		return nil, err
	}
	created, _ := time.Parse(time.RFC3339Nano, img.Created)
	return &ImageInfo{ID: img.ID, Tags: img.RepoTags, Created: created, Size: img.Size,
		Arch: img.Architecture, User: img.Config.User, Labels: img.Config.Labels}, nil
}

// ImageExists reports whether the engine has an image.
func (c *Client) ImageExists(ctx context.Context, image string) (bool, error) {
	_, err := c.Image(ctx, image)
	if errors.Is(err, ErrImageNotFound) {
		return false, nil
	}
	return err == nil, err
}

// ImageTags are the tags that the engine has of an image's name: "v1", "v2".
func (c *Client) ImageTags(ctx context.Context, name string) ([]string, error) {
	if err := checkImage(name); err != nil {
		return nil, err
	}
	e, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	var list []struct{ RepoTags []string }
	if err := e.JSON(ctx, "GET", "/images/json", nil, nil, &list); err != nil {
		return nil, apiError(err, "list images", "")
	}
	repo, _ := splitTag(name)
	var tags []string
	for _, img := range list {
		for _, full := range img.RepoTags {
			if _, tag := splitTag(full); sameName(full, repo+":"+tag) {
				tags = append(tags, tag)
			}
		}
	}
	slices.Sort(tags)
	return tags, nil
}

// Tag gives an image another name, "name" or "name:tag".
func (c *Client) Tag(ctx context.Context, image, name string) error {
	if err := errors.Join(checkImage(image), checkNewName(name)); err != nil {
		return err
	}
	e, err := c.open(ctx)
	if err != nil {
		return err
	}
	repo, tag := splitTag(name)
	q := url.Values{"repo": {repo}, "tag": {tag}}
	return imageErr(e, e.JSON(ctx, "POST", "/images/"+image+"/tag", q, nil, nil), "tag image "+image, image)
}

// newName is what an image can be named, as the distribution project's
// reference package has it: a registry's host, if any, a path, and a tag.
var newName = pattern.New(`^((localhost|[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9.-]+:[0-9]+|\[[0-9a-fA-F:]+\](:[0-9]+)?)(:[0-9]+)?/)?` +
	`[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*(:[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?$`)

// hexID is taken for an image's ID.
var hexID = pattern.New(`^[0-9a-f]{64}$`)

// checkNewName refuses what an image cannot be named, before an engine makes it:
// Docker would keep it without a name.
func checkNewName(name string) error {
	if err := checkImage(name); err != nil {
		return err
	}
	repo, _ := splitTag(name)
	switch {
	case strings.ContainsRune(name, '@'):
		return invalidf("image name %q: a new name has no digest", name)
	case !newName.MatchString(name), len(repo) > 255:
		return invalidf("image name %q: a name is lower-case letters and digits, with single '.', '_' or '-' between, in parts with '/' between, and a tag behind ':'", name)
	case hexID.MatchString(repo):
		return invalidf("image name %q: it would be taken for an ID", name)
	}
	return nil
}

// splitTag splits "name:tag"; the tag of a plain name is latest. A colon
// before a slash belongs to a registry's port.
func splitTag(name string) (repo, tag string) {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:]
	}
	return name, "latest"
}

// RemoveImage removes a name of an image, and the image with its last name.
// An image that a container uses is kept and the error says so.
func (c *Client) RemoveImage(ctx context.Context, image string) error {
	if err := checkImage(image); err != nil {
		return err
	}
	e, err := c.open(ctx)
	if err != nil {
		return err
	}
	return imageErr(e, e.JSON(ctx, "DELETE", "/images/"+image, nil, nil, nil), "remove image "+image, image)
}

func imageErr(e *engine.Engine, err error, op, image string) error {
	if se, ok := errors.AsType[*engine.StatusError](err); ok && se.NotFound() {
		return &ImageError{Image: image, Hint: imageHint(e, image)}
	}
	return apiError(err, op, "")
}

// SaveImages writes images as one tar archive, which LoadImages of any engine
// reads. It is streamed.
func (c *Client) SaveImages(ctx context.Context, w io.Writer, images ...string) error {
	if len(images) == 0 {
		return invalidf("no image to save")
	}
	e, err := c.open(ctx)
	if err != nil {
		return err
	}
	for _, image := range images {
		// Podman says 500, and may begin the archive first.
		if _, err := inspectImage(ctx, e, image); err != nil {
			return err
		}
	}
	body, err := e.Stream(ctx, "GET", "/images/get", url.Values{"names": images}, nil, "")
	if err != nil {
		return apiError(err, "save images", "")
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	return apiError(err, "save images", "")
}

// LoadImages reads an archive of images, streamed.
func (c *Client) LoadImages(ctx context.Context, r io.Reader) error {
	e, err := c.open(ctx)
	if err != nil {
		return err
	}
	body, err := e.Stream(ctx, "POST", "/images/load", url.Values{"quiet": {"1"}}, r, "application/x-tar")
	if err != nil {
		return apiError(err, "load images", "")
	}
	defer body.Close()
	for _, err := range progress(body) {
		if err != nil {
			return apiError(err, "load images", "")
		}
	}
	return nil
}
