package pocketdock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock/internal/engine"
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

// imageHint is the command that gets an image.
func imageHint(image string) string {
	return "podman pull " + image + " (or docker pull), or pocketdock import FILE"
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
			return nil, &ImageError{Image: image, Hint: imageHint(image)}
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
	return c.imageErr(e.JSON(ctx, "POST", "/images/"+image+"/tag", q, nil, nil), "tag image "+image, image)
}

// checkNewName refuses what an image cannot be named: a digest is given by its
// content.
func checkNewName(name string) error {
	if strings.ContainsRune(name, '@') {
		return invalidf("image name %q: a new name has no digest", name)
	}
	return checkImage(name)
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
	return c.imageErr(e.JSON(ctx, "DELETE", "/images/"+image, nil, nil, nil), "remove image "+image, image)
}

func (c *Client) imageErr(err error, op, image string) error {
	if se, ok := errors.AsType[*engine.StatusError](err); ok && se.NotFound() {
		return &ImageError{Image: image, Hint: imageHint(image)}
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

// BuildOptions are the optional properties of a build.
type BuildOptions struct {
	// Tag of the image that is built. Empty: none.
	Tag string
	// Dockerfile's path in the context. Empty: "Dockerfile".
	Dockerfile string
	// Args are the values of ARG instructions.
	Args map[string]string
	// Labels are added to the image.
	Labels map[string]string
	// NoCache builds every step anew.
	NoCache bool
}

// A BuildEvent is one line of a build's progress.
type BuildEvent struct {
	// Text as the engine printed it, with its line ends.
	Text string
	// ImageID is set on the event that says that the image is there.
	ImageID string
}

// Build builds an image from a build context, a tar stream. The events come
// as the engine sends them; a build that fails ends with its error. Ending
// the loop early cancels the build.
func (c *Client) Build(ctx context.Context, buildContext io.Reader, opts BuildOptions) iter.Seq2[BuildEvent, error] {
	return func(yield func(BuildEvent, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		fail := func(err error) { yield(BuildEvent{}, err) }
		e, err := c.open(ctx)
		if err != nil {
			fail(err)
			return
		}
		q := url.Values{"rm": {"1"}, "forcerm": {"1"}, "pull": {"0"}}
		if opts.Tag != "" {
			if err := checkImage(opts.Tag); err != nil {
				fail(err)
				return
			}
			q.Set("t", opts.Tag)
		}
		if opts.Dockerfile != "" {
			q.Set("dockerfile", opts.Dockerfile)
		}
		if opts.NoCache {
			q.Set("nocache", "1")
		}
		for key, m := range map[string]map[string]string{"buildargs": opts.Args, "labels": opts.Labels} {
			if len(m) > 0 {
				b, _ := json.Marshal(m) // a map of strings
				q.Set(key, string(b))
			}
		}
		body, err := e.Stream(ctx, "POST", "/build", q, buildContext, "application/x-tar")
		if err != nil {
			fail(apiError(err, "build image", ""))
			return
		}
		defer body.Close()
		for ev, err := range progress(body) {
			if err != nil {
				fail(apiError(err, "build image", ""))
				return
			}
			if !yield(ev, nil) {
				return
			}
		}
	}
}

// progress reads a stream of JSON messages. An error inside the stream is an
// error: the status said 200 before the engine knew.
func progress(r io.Reader) iter.Seq2[BuildEvent, error] {
	type message struct {
		Stream      string
		Status      string
		Error       string
		ErrorDetail struct{ Message string }
		Aux         struct{ ID string }
	}
	return func(yield func(BuildEvent, error) bool) {
		bound := &messageBound{r: r}
		dec := json.NewDecoder(bound)
		for {
			var m message
			err := dec.Decode(&m)
			bound.n = 0
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(BuildEvent{}, err)
				return
			}
			if text := m.ErrorDetail.Message; text != "" || m.Error != "" {
				if text == "" {
					text = m.Error
				}
				yield(BuildEvent{}, errors.New(shorten(strings.TrimSpace(text))))
				return
			}
			ev := BuildEvent{Text: m.Stream, ImageID: m.Aux.ID}
			if ev.Text == "" && m.Status != "" {
				ev.Text = m.Status + "\n"
			}
			if ev != (BuildEvent{}) && !yield(ev, nil) {
				return
			}
		}
	}
}

// maxMessage bounds one message: what decodes it holds all of it.
const maxMessage = 1 << 20

// messageBound fails when more than a message's bound is read for one message.
type messageBound struct {
	r io.Reader
	n int // since the last message
}

func (b *messageBound) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.n += n; b.n > 2*maxMessage { // the decoder reads ahead
		return 0, fmt.Errorf("the engine sends a progress message of more than %d bytes", maxMessage)
	}
	return n, err
}

// shorten bounds an engine's text in an error.
func shorten(s string) string {
	const max = 2 << 10
	if len(s) > max {
		s = s[:max] + "…"
	}
	return strings.ToValidUTF8(s, "")
}
